"""A clip: the stretch of music it will replace, ducked, with the voices over it, as µ-law.

Everything is float32 from the decoded music to the one rounding into µ-law. Sums, products and roundings of IEEE
numbers are the same on every processor, and the one table that is not made of them is rounded to 22 bits, so the same
inputs give the same bytes on x86-64 and arm64.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from duckline.envelope import FADE_OUT_FRAMES, Duck, Ducking, gain_at
from duckline.sound import mulaw
from duckline.sound.loudness import rms_dbov
from duckline.timeline import FRAME_SAMPLES, frames_from_samples

# Where a voice sounds, peaks over the knee bend towards the ceiling and never reach it. The ceiling lies under −3 dBov
# by as much as the nearest µ-law value may lie over a sample.
KNEE = 10 ** (-4 / 20)
CEILING = 0.7  # −3.1 dBov
BLOCK_FRAMES = 100  # are mixed at a time: all that is in between stays in the processor's cache


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """Ready speech in its place: `pcm` (float32, 8 kHz, mono) sounds from call frame `at`, which may precede the clip.

    A voice with a `fade_at` is cut off: from that frame it fades out over `fade_frames`, and is silent after them.
    """

    pcm: np.ndarray
    at: int
    fade_at: int | None = None
    fade_frames: int = FADE_OUT_FRAMES

    @property
    def end(self) -> int:
        """The frame from which it is silent."""
        spoken = self.at + frames_from_samples(len(self.pcm))
        return spoken if self.fade_at is None else min(spoken, self.fade_at + self.fade_frames)


class Scratch:
    """Buffers for a caller who mixes often and wants no allocations; of one size, however long a clip is."""

    __slots__ = ("encoder", "mixed")

    def __init__(self) -> None:
        self.mixed = np.empty(_samples(BLOCK_FRAMES), np.float32)
        self.encoder = mulaw.Scratch(_samples(BLOCK_FRAMES))


def mix_clip(music: np.ndarray, duck: Duck, voices: Sequence[Voice], scratch: Scratch | None = None) -> bytes:
    """The clip of `duck`: frames [start, end) of `music` beneath `voices`, 160 bytes of µ-law a frame.

    `music` is float32 in [−1, 1) and exactly as long as the clip; it is left as it was. Where the gain is 1 and no
    voice sounds, the bytes are the music's own. Where a voice sounds, no sample reaches −3 dBov. Raises ValueError if
    the lengths differ or if a voice would still sound when the clip is over.
    """
    frames = duck.end - duck.start
    if len(music) != frames * FRAME_SAMPLES:
        raise ValueError(f"the clip has {frames} frames, {frames * FRAME_SAMPLES} samples; the music has {len(music)}")
    for voice in voices:
        if voice.end > duck.end:
            raise ValueError(f"a voice sounds until frame {voice.end}, but the clip ends at {duck.end}")
    scratch = scratch or Scratch()
    clip = bytearray()
    for first in range(0, frames, BLOCK_FRAMES):
        stretch = music[_samples(first) : _samples(first + BLOCK_FRAMES)]
        mixed = scratch.mixed[: len(stretch)]
        start = duck.start + first
        np.multiply(stretch, _gain(duck, start, len(stretch) // FRAME_SAMPLES), out=mixed)
        for voice in voices:
            _add(mixed, voice, start)
        for voice in voices:
            _soften_peaks(mixed[_samples(voice.at - start) : _samples(voice.end - start)])
        clip += mulaw.encode(mixed, scratch.encoder, bounded=True)
    return bytes(clip)


def _gain(duck: Duck, first: int, frames: int) -> np.ndarray | float:
    """The music's gain over `frames` frames from `first` on: one number between the ramps."""
    if duck.start + duck.down <= first and first + frames <= duck.up_at:
        return duck.depth
    return gain_curve(duck, first, frames)


def gain_curve(duck: Duck, first_frame: int, frames: int) -> np.ndarray:
    """`duckline.envelope.gain_at` for every sample of `frames` frames from `first_frame` on (float32)."""
    curve = np.empty(frames * FRAME_SAMPLES, np.float32)
    curve[: _samples(duck.start - first_frame)] = duck.gain_in
    curve[_samples(duck.start - first_frame) : _samples(duck.up_at - first_frame)] = duck.depth
    curve[_samples(duck.end - first_frame) :] = 1
    _overwrite(curve, duck.start - first_frame, _way_down(duck))
    _overwrite(curve, duck.up_at - first_frame, _way_up(duck))
    return curve


def _way_down(duck: Duck) -> np.ndarray:
    return duck.gain_in + (duck.depth - duck.gain_in) * rising(duck.down)[: _samples(duck.up_at - duck.start)]


def _way_up(duck: Duck) -> np.ndarray:
    lowest = gain_at(duck, duck.up_at)
    return lowest + (1 - lowest) * rising(duck.up)


def depth_over(music: np.ndarray, speech_dbov: float, bed_dbov: float, ducking: Ducking) -> float:
    """How far `music`, the stretch beneath a speech of `speech_dbov`, is to go down: a linear gain.

    `bed_dbov` is the level of the bed on the whole. Where the stretch is louder, its own level counts, so that speech
    stands out of a crescendo as well; where it is softer, it stays as much softer. A bed holds nothing beyond the
    telephone's band, so its RMS is its level there.
    """
    return ducking.depth(speech_dbov, max(bed_dbov, rms_dbov(music)))


def crossfade(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """`old` giving way to `new` over their whole length, a whole number of frames, at equal power (float32).

    Two pieces of music have nothing to do with each other, so their powers add up, and these stay at one level.
    """
    if len(old) != len(new) or len(old) % FRAME_SAMPLES:
        raise ValueError(f"{len(old)} samples cannot give way to {len(new)}: both must be the same whole frames")
    rise = rising(len(old) // FRAME_SAMPLES)
    faded = np.sqrt(1 - rise) * old + np.sqrt(rise) * new
    _soften_peaks(faded)
    return faded


@lru_cache(maxsize=64)
def rising(frames: int) -> np.ndarray:
    """The raised cosine from 0 towards 1, a sample at a time over `frames` frames (float32, read-only)."""
    samples = frames * FRAME_SAMPLES
    exact = 0.5 - 0.5 * np.cos(np.pi * np.arange(samples) / max(samples, 1))
    curve = (np.rint(exact * 2**22) / 2**22).astype(np.float32)  # cosines differ in their last bit between processors
    curve.setflags(write=False)
    return curve


def _samples(frames: int) -> int:
    """Where a frame lies in a buffer; before its beginning counts as its beginning."""
    return max(frames, 0) * FRAME_SAMPLES


def _overwrite(curve: np.ndarray, frame: int, values: np.ndarray) -> None:
    """Write `values` into `curve` from `frame` on, as far as it reaches on both sides."""
    values = values[_samples(-frame) :]
    place = curve[_samples(frame) :][: len(values)]
    place[:] = values[: len(place)]


def _add(mixed: np.ndarray, voice: Voice, start: int) -> None:
    """Add what `voice` says from frame `start` on, as far as `mixed` reaches."""
    place = mixed[_samples(voice.at - start) :]
    skipped = _samples(start - voice.at)
    pcm = voice.pcm[skipped : _samples(voice.end - voice.at)][: len(place)]
    if voice.fade_at is not None:
        fade = 1 - rising(voice.fade_frames)
        gain = np.ones(len(pcm), np.float32)
        _overwrite(gain, voice.fade_at - max(voice.at, start), fade)
        pcm = pcm * gain
    place[: len(pcm)] += pcm


def _soften_peaks(pcm: np.ndarray) -> None:
    """Bend what lies over the knee towards the ceiling, in place; all else stays as it is."""
    if len(pcm) == 0 or max(pcm.max(), -pcm.min()) <= KNEE:
        return
    loud = np.flatnonzero(np.abs(pcm) > KNEE)
    over, room = np.abs(pcm[loud]) - np.float32(KNEE), np.float32(CEILING - KNEE)
    pcm[loud] = np.copysign(np.float32(KNEE) + room * over / (over + room), pcm[loud])
