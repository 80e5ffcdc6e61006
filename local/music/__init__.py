"""The project's own hold music: three moods, composed in code, the same samples every time, free to use.

The pieces are text in `moods.py`; `players.py` reads it, `instruments.py` sounds it, `room.py` mixes it into a loop.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from local.music.encoding import codec, encode
from local.music.instruments import SAMPLE_RATE_HZ, Instrument
from local.music.moods import SCORES
from local.music.players import lead
from local.music.room import Track, mix, place
from local.music.score import Note, Score

__all__ = ["MOODS", "SAMPLE_RATE_HZ", "compose", "with_encore", "write_encoded"]

MOODS: tuple[str, ...] = tuple(SCORES)

# A bed is made by fading a file's end into its beginning, for two seconds. A file that goes on into its own repetition
# for that long meets itself there: the bed keeps every bar, and the loop stays the composed one. The half second more
# is for rounding down to whole seconds.
ENCORE_S = 2.5


def compose(mood: str) -> np.ndarray:
    """One loop of the piece as float32 (samples, 2) at 44.1 kHz, a whole number of bars and of seconds.

    Its end runs into its beginning: what reverberates or rings past the last sample is already in the first. The
    same on every run; on another processor the last bits of a float may differ.

    Raises:
        ValueError: there is no such mood.
    """
    score = SCORES.get(mood)
    if score is None:
        raise ValueError(f"no mood {mood!r}; there are {', '.join(MOODS)}")
    return mix(_perform(score), np.random.default_rng(score.seed))


def write_encoded(mood: str, path: Path) -> None:
    """Compose `mood` and encode it by the suffix of `path`: .mp3 (192 kbit/s) or .ogg (Vorbis, quality 6).

    The file holds one loop and ENCORE_S of the next.

    Raises:
        ValueError: there is no such mood, or no encoder for such a name.
        RuntimeError: ffmpeg could not write the file.
    """
    codec(path)  # refuses a wrong name before the work is done
    encode(with_encore(compose(mood)), path)


def with_encore(loop: np.ndarray) -> np.ndarray:
    """`loop` and ENCORE_S of its repetition."""
    return np.concatenate([loop, loop[: round(ENCORE_S * SAMPLE_RATE_HZ)]])


def _perform(score: Score) -> Iterator[Track]:
    """The tracks of a piece. Every player has a seed of their own, so that a change in one part moves no other."""
    for number, part in enumerate(score.parts, start=1):
        rng = np.random.default_rng([score.seed, number])
        notes = part.play(score, part, rng)
        yield _track(score, part.instrument, notes, rng, part.level_db, part.pan, part.reverb_db)
    rng = np.random.default_rng([score.seed, 0])
    for instrument, notes in lead(score, rng).items():
        yield _track(score, instrument, notes, rng)


def _track(
    score: Score,
    instrument: Instrument,
    notes: list[Note],
    rng: np.random.Generator,
    level_db: float = 0.0,
    pan: float = 0.0,
    reverb_db: float = -9.0,
) -> Track:
    samples_per_beat = 60.0 * SAMPLE_RATE_HZ / score.beats_per_minute
    sound = np.zeros(score.seconds * SAMPLE_RATE_HZ, dtype=np.float32)
    for note in notes:
        start = round(note.start * samples_per_beat + note.late_ms * SAMPLE_RATE_HZ / 1000.0)
        seconds = note.beats * 60.0 / score.beats_per_minute
        place(sound, instrument.sound(note.pitch, note.velocity, seconds, rng), start)
    return Track(sound, level_db, pan, reverb_db, instrument.tremolo_hz, instrument.tremolo_depth, instrument.sway)
