"""Music files to a bed: one channel of the telephone's band, at one level, that loops without a seam.

The music is decoded as a stream and kept at 8 kHz only, so that an hour of it fits into 200 MB.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soxr

from duckline.bed import Playlist, Segment
from duckline.errors import DucklineError, Malformed, TooLarge, UnreadableAudio
from duckline.sound import mulaw
from duckline.sound.band import TELEPHONE_HIGH_HZ, band_pass, filtered
from duckline.sound.container import SoundFile, recognise
from duckline.sound.decode import blocks
from duckline.sound.downmix import one_channel
from duckline.sound.limiter import BLOCK_SAMPLES, limited
from duckline.sound.loop import SHORTEST_S
from duckline.sound.loudness import SILENT_DBOV, band_mean_square, dbov
from duckline.sound.reel import Reel
from duckline.timeline import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, SEGMENT_FRAMES

LEVEL_DBOV = -28.0  # between 300 and 3400 Hz
LEVEL_TOLERANCE_DB = 1.0
PEAK_DBOV = -10.0  # 18 dB over the level: music is hardly ever touched, and nothing startles
LOWEST_HZ = 200  # lower music reaches few telephones and would take the level for itself
MOST_GAIN_DB = 30.0  # more would make hiss of what is nearly silent
LONGEST_S = 4500.0  # an hour and a quarter
SILENCE_BELOW_DB = 40.0  # softer than the music by so much, its beginning and its end are silence
LEAST_SOUNDING = 0.1  # of a file, between the two

_LEVELLING_TRIES = 8
_SHARE_OF_DECODING = 0.8


def make_bed(
    sources: Sequence[Path],
    write: Callable[[str, bytes], None],
    progress: Callable[[float], None] = lambda share: None,
) -> Playlist:
    """The bed of `sources`, one after the other in a loop, written with `write(key, body)`.

    The version names the content, and the playlist is written last: a reader finds a bed whole or not at all.
    `progress` hears the share that is done, rising to 1. The same files make the same bytes.

    Raises UnreadableAudio if a file is not sound or has nothing that a telephone carries, and TooLarge if the sources
    last longer than LONGEST_S together; then nothing is written.
    """
    loop, raised_db = _recorded(sources, lambda share: progress(share * _SHARE_OF_DECODING))
    body, level_dbov = _levelled(loop, MOST_GAIN_DB - raised_db)
    playlist = _playlist(body, level_dbov)
    for number, segment in enumerate(playlist.segments):
        first = number * SEGMENT_FRAMES * FRAME_BYTES
        write(segment.key, bytes(body[first : first + segment.frames * FRAME_BYTES]))
        progress(_SHARE_OF_DECODING + (1 - _SHARE_OF_DECODING) * number / len(playlist.segments))
    write(f"beds/{playlist.version}/playlist.json", playlist.to_json().encode())
    progress(1.0)
    return playlist


# -- the music ----------------------------------------------------------------------------------------


def _recorded(sources: Sequence[Path], progress: Callable[[float], None]) -> tuple[np.ndarray, float]:
    """All sources in one loop, float32 at 8 kHz, each at LEVEL_DBOV; and the most that one had to be raised, in dB."""
    if not sources:
        raise Malformed("a bed of no files was asked for; at least one is needed")
    sounds = []
    for path in sources:
        with _naming(path, among=len(sources)):
            sounds.append(recognise(path, LONGEST_S))
    total_s = sum(max(sound.seconds or 0.0, SHORTEST_S) for sound in sounds)
    if total_s > LONGEST_S:
        raise TooLarge(f"the {len(sounds)} files last {total_s:.0f} s together; at most {LONGEST_S:.0f} s are taken")
    reel, raised_db = Reel(LONGEST_S), 0.0
    for sound in sounds:
        before_s = reel.seconds
        with _naming(sound.path, among=len(sources)):
            gain_db = _record(sound, reel, lambda s, at=before_s: progress(min((at + s) / total_s, 1.0)))
        raised_db = max(raised_db, gain_db)
    return reel.loop(), raised_db


@contextmanager
def _naming(path: Path, among: int) -> Iterator[None]:
    """Of several files, an error says which it was."""
    try:
        yield
    except DucklineError as error:
        if among == 1:
            raise
        raise type(error)(f"{path.name}: {error}") from error


def _record(sound: SoundFile, reel: Reel, heard: Callable[[float], None]) -> float:
    """Splices `sound` to the reel at LEVEL_DBOV; answers with the gain, in dB, that this took.

    `heard` is told the seconds decoded.
    """
    samples = 0

    def onto_reel(stream: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        nonlocal samples
        for block in stream:
            reel.free[samples : samples + len(block)] = block
            samples += len(block)
            heard(samples / SAMPLE_RATE_HZ)
            yield block

    stream = one_channel(blocks(sound, LONGEST_S - reel.seconds), sound.rate_hz)
    in_band = filtered(_at_8_khz(stream, sound.rate_hz), band_pass(LOWEST_HZ, TELEPHONE_HIGH_HZ))
    level_dbov = dbov(band_mean_square(onto_reel(in_band)))
    if samples < FRAME_SAMPLES:
        raise UnreadableAudio(
            f"this {sound.kind} lasts {1000 * samples / SAMPLE_RATE_HZ:.1f} ms; music of at least 20 ms is needed"
        )
    if level_dbov == SILENT_DBOV:
        raise UnreadableAudio(f"this {sound.kind} is silent from beginning to end; music is needed")
    if level_dbov < LEVEL_DBOV - MOST_GAIN_DB:
        raise UnreadableAudio(
            f"this {sound.kind} has nothing for a telephone: between 300 and 3400 Hz it is at {level_dbov:.0f} dBov, "
            f"and {LEVEL_DBOV - MOST_GAIN_DB:.0f} dBov at least are needed"
        )
    music = reel.free[:samples]
    gain_db = round(LEVEL_DBOV - level_dbov, 2)
    music *= np.float32(_linear(gain_db))
    reel.splice(_without_silent_ends(music, sound.kind))
    return gain_db


def _at_8_khz(stream: Iterable[np.ndarray], rate_hz: int) -> Iterator[np.ndarray]:
    resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
    for block in stream:
        yield resampler.resample_chunk(np.ascontiguousarray(block))
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _without_silent_ends(music: np.ndarray, kind: str) -> np.ndarray:
    """`music`, at its level, from the first frame that sounds to the last: an encoder's padding would be a gap."""
    frames = len(music) // FRAME_SAMPLES
    table = music[: frames * FRAME_SAMPLES].reshape(frames, FRAME_SAMPLES)
    powers = np.einsum("ij,ij->i", table, table) / FRAME_SAMPLES
    sounding = np.flatnonzero(powers > _linear(2 * (LEVEL_DBOV - SILENCE_BELOW_DB)))
    first, last = (int(sounding[0]), int(sounding[-1]) + 1) if len(sounding) else (0, 0)
    if last - first < frames * LEAST_SOUNDING:
        raise UnreadableAudio(f"this {kind} is silent but for {(last - first) * FRAME_MS} ms of {frames * FRAME_MS} ms")
    return music[first * FRAME_SAMPLES : last * FRAME_SAMPLES if last < frames else len(music)]


# -- the bed ------------------------------------------------------------------------------------------


def _levelled(loop: np.ndarray, headroom_db: float) -> tuple[bytearray, float]:
    """`loop` as µ-law, its peaks limited, raised by up to `headroom_db` for what that took; and its level as heard."""
    scratch = mulaw.Scratch(BLOCK_SAMPLES)
    gain_db = 0.0
    for _ in range(_LEVELLING_TRIES):
        body = bytearray()
        for block in limited(loop, _linear(gain_db), _linear(PEAK_DBOV)):
            body += mulaw.encode(block, scratch)
        level_dbov = dbov(band_mean_square(_decoded(body)))
        if abs(level_dbov - LEVEL_DBOV) <= LEVEL_TOLERANCE_DB:
            return body, round(level_dbov, 2)
        gain_db = min(round(gain_db + LEVEL_DBOV - level_dbov, 2), headroom_db)
    raise UnreadableAudio(
        f"this music is too uneven: with its peaks at {PEAK_DBOV:.0f} dBov, and raised by {MOST_GAIN_DB:.0f} dB "
        f"at the most, it comes to {level_dbov:.0f} dBov; {LEVEL_DBOV:.0f} dBov are needed"
    )


def _decoded(body: bytearray) -> Iterator[np.ndarray]:
    for first in range(0, len(body), 16 * BLOCK_SAMPLES):
        yield mulaw.decode(body[first : first + 16 * BLOCK_SAMPLES])


def _playlist(body: bytearray, level_dbov: float) -> Playlist:
    digest = hashlib.sha256(f"mulaw {SAMPLE_RATE_HZ} Hz, {SEGMENT_FRAMES} frames a segment\n".encode())
    digest.update(body)
    version = digest.hexdigest()[:16]
    segments = []
    for first in range(0, len(body), SEGMENT_FRAMES * FRAME_BYTES):
        piece = body[first : first + SEGMENT_FRAMES * FRAME_BYTES]
        key = f"beds/{version}/{len(segments):05d}.ulaw"
        segments.append(Segment(key, len(piece) // FRAME_BYTES, hashlib.sha256(piece).hexdigest()))
    return Playlist(version, len(body) // FRAME_BYTES, level_dbov, SEGMENT_FRAMES, tuple(segments))


def _linear(gain_db: float) -> float:
    return 10 ** (gain_db / 20)
