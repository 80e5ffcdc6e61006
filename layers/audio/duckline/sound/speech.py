"""Speech made ready for the call: at 8 kHz, without rumble and dead air, at one level, its peaks within bounds.

The level is that of ITU-T P.56, the voice while it speaks. −22 dBov is −15.8 dBm0, within RFC 7874's −19 dBm0 ± 6 dB
and below the −16 dBov from which a voice clips audibly in µ-law.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import soxr

from duckline.errors import Unspeakable
from duckline.sound.band import band_pass, filtered
from duckline.sound.downmix import one_channel
from duckline.sound.limiter import limited
from duckline.sound.loudness import active_level_dbov
from duckline.timeline import FRAME_SAMPLES, SAMPLE_RATE_HZ

with warnings.catch_warnings(action="ignore"):  # pydub misses an ffmpeg that is not needed here
    from pydub import AudioSegment
    from pydub.silence import detect_leading_silence

LEVEL_DBOV = -22.0
PEAK_DBOV = -4.5  # the music beneath has what is left to −3 dBov
RUMBLE_HZ = 140  # hum of 50 and 60 Hz and handling noise lie below it, the telephone's 300 Hz far above
SILENCE_DBOV = -54.0  # of 10 ms: 32 dB under the voice, softer than an f or a breath
SOFTEST_DBOV = -62.0  # raising what is softer, by more than 40 dB, would raise noise
BREATH_MS = 30  # kept before the first sound
DYING_AWAY_MS = 80  # kept after the last
EDGE_SAMPLES = SAMPLE_RATE_HZ * 5 // 1000  # faded at both ends

_INT16 = 32768.0


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """Speech that can be laid over music: `pcm` is float32, 8 kHz, mono, a whole number of frames."""

    pcm: np.ndarray
    level_dbov: float

    @property
    def frames(self) -> int:
        return len(self.pcm) // FRAME_SAMPLES


def make_ready(pcm: np.ndarray, rate_hz: int) -> Ready:
    """`pcm`, floats of shape (samples,) or (samples, channels) at `rate_hz`, made ready.

    Dead air is dropped at both ends; a pause inside belongs to what is said. Every value of the result is a 16-bit one,
    so it comes back from the cache as it went in. Raises Unspeakable if there is nothing to be heard.
    """
    if not np.isfinite(pcm).all():
        raise Unspeakable("the speech holds samples that are not numbers; they must be finite")
    voice = _without_rumble(_at_8_khz(_mono(pcm, rate_hz), rate_hz)) if len(pcm) else np.zeros(0, np.float32)
    level_dbov = active_level_dbov(voice).level_dbov
    if level_dbov < SOFTEST_DBOV:
        raise Unspeakable(
            f"the speech is silent: {len(pcm) / rate_hz:.2f} s at {level_dbov:.0f} dBov;"
            f" it must be louder than {SOFTEST_DBOV:.0f} dBov"
        )
    voice = _without_dead_air(voice * np.float32(_linear(LEVEL_DBOV - level_dbov)))
    _fade_edges(voice)
    levelled = _levelled(np.pad(voice, (0, -len(voice) % FRAME_SAMPLES)))
    kept = (np.rint(levelled * _INT16) / _INT16).astype(np.float32)
    return Ready(kept, active_level_dbov(kept).level_dbov)


def to_bytes(ready: Ready) -> bytes:
    """The sound of `ready` as it is kept: int16, little-endian, mono, 8 kHz."""
    return (ready.pcm * _INT16).astype("<i2").tobytes()


def from_bytes(kept: bytes) -> Ready:
    """What `to_bytes` was given, its level measured again."""
    pcm = (np.frombuffer(kept, "<i2") / _INT16).astype(np.float32)
    return Ready(pcm, active_level_dbov(pcm).level_dbov)


def _linear(gain_db: float) -> float:
    return 10 ** (gain_db / 20)


def _mono(pcm: np.ndarray, rate_hz: int) -> np.ndarray:
    return pcm if pcm.ndim == 1 else np.concatenate(list(one_channel([pcm], rate_hz)))


def _at_8_khz(pcm: np.ndarray, rate_hz: int) -> np.ndarray:
    return pcm if rate_hz == SAMPLE_RATE_HZ else soxr.resample(pcm, rate_hz, SAMPLE_RATE_HZ, quality="HQ")


def _without_rumble(pcm: np.ndarray) -> np.ndarray:
    taps = band_pass(RUMBLE_HZ, SAMPLE_RATE_HZ / 2, transition_hz=80, stop_db=60)
    offset = pcm.mean(dtype=np.float64)  # it would begin and end with a click
    return np.concatenate(list(filtered([pcm - offset], taps))).astype(np.float32)


def _without_dead_air(voice: np.ndarray) -> np.ndarray:
    """`voice`, at its level, from shortly before its first sound to shortly after its last."""
    samples = np.rint(np.clip(voice, -1, 1 - 1 / _INT16) * _INT16).astype(np.int16)
    sound = AudioSegment(samples.tobytes(), sample_width=2, frame_rate=SAMPLE_RATE_HZ, channels=1)
    before_ms = detect_leading_silence(sound, SILENCE_DBOV) - BREATH_MS
    after_ms = detect_leading_silence(sound.reverse(), SILENCE_DBOV) - DYING_AWAY_MS
    samples_per_ms = SAMPLE_RATE_HZ // 1000
    return voice[max(before_ms, 0) * samples_per_ms : len(voice) - max(after_ms, 0) * samples_per_ms]


def _levelled(voice: np.ndarray) -> np.ndarray:
    """`voice` at the active level, peaks limited. Limiting takes level away, so it is given back and limited again."""
    gain = 1.0
    for _ in range(5):
        levelled = np.concatenate(list(limited(voice, gain, _linear(PEAK_DBOV))))
        missing_db = LEVEL_DBOV - active_level_dbov(levelled).level_dbov
        if abs(missing_db) < 0.1:
            break
        gain *= _linear(missing_db)
    return levelled


def _fade_edges(voice: np.ndarray) -> None:
    length = min(EDGE_SAMPLES, len(voice) // 2)
    rise = (0.5 - 0.5 * np.cos(np.pi * np.arange(length) / EDGE_SAMPLES)).astype(np.float32)
    voice[:length] *= rise
    voice[len(voice) - length :] *= rise[::-1]
