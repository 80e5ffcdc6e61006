"""Silence where there was something to hear, and places where music was lost or heard twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from local.ear.path import Stretch, runs_of

RATE_HZ = 8000
BLOCK_SAMPLES = 20
BLOCK_S = BLOCK_SAMPLES / RATE_HZ
SHORTEST_SAMPLES = 120  # a hole of 20 ms keeps 15 ms of silence on a line that smears its edges
LOWER = 0.25  # a block 12 dB softer than music and speech should be there is silent
SOFTEST = 0.0013  # RMS (−58 dBov) that must be due for its absence to tell: µ-law's lowest step is at −72 dBov
CLOSING_BLOCKS = 81  # the gain is believed to have stayed up through 200 ms in which it seems gone
DEEPEST = 10 ** (-22 / 20)  # of the usual gain, as far as short holes are told from ducks
GONE = 10 ** (
    -38 / 20
)  # of the usual gain: ducking never takes music that far down, and 45 ms tell it from comfort noise
GROWTH_BLOCKS = 12  # by which the 45 ms shorten a silence at either end
BRIDGED_BLOCKS = 20  # a rest in the music of up to 50 ms doesn't part one silence in two
SILENT = 0.001  # RMS (−60 dBov) of silence or comfort noise, for when nothing says what is due
EDGE_BLOCKS = (
    2  # without a bed only a fall of 26 dB within 5 ms, or a second of silence, is surely no part of the music
)
EDGE = 0.05
LONG_BLOCKS = 400
NEAR_S = 0.03  # between a silence and the jump that it excuses


@dataclass(frozen=True, slots=True)
class Gap:
    """Silence for `duration_s` from `at_s` on."""

    at_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Jump:
    """At `at_s` the bed went on from elsewhere: `duration_s` of it were heard twice, or never."""

    at_s: float
    duration_s: float


def gaps_against(
    sound: np.ndarray, music: np.ndarray, gain: np.ndarray, voice: np.ndarray, usual: float, ducked: float
) -> list[Gap]:
    """Silence where `music` at `gain` (one value per sample) and `voice` were due.

    `usual` and `ducked` are the gains between the speeches and beneath them.
    """
    heard, due_music, due_voice = (_rms(x) for x in (sound, music, voice))
    gain_of_blocks = gain[np.minimum(np.arange(len(heard)) * BLOCK_SAMPLES + BLOCK_SAMPLES // 2, len(gain) - 1)]
    held = np.minimum(_closed(gain_of_blocks, CLOSING_BLOCKS), 2 * usual)
    due = np.hypot(held * due_music, due_voice)
    absent = heard < 0.5 * np.hypot(max(ducked, DEEPEST * usual) * due_music, due_voice)  # and not only ducked
    silent = (due > SOFTEST) & (heard < LOWER * due) & absent
    undimmed = usual * due_music
    soft = (undimmed > SOFTEST) & (heard < LOWER * undimmed) & absent
    gone = soft & (gain_of_blocks < usual * GONE)
    silent |= _bridged(_grown(gone, soft, GROWTH_BLOCKS), BRIDGED_BLOCKS)
    return _gaps(sound, silent, LOWER * np.maximum(due, np.where(silent, undimmed, 0)))


def gaps_alone(sound: np.ndarray) -> list[Gap]:
    """Silence that sets in at one stroke between sounds, or lasts a second, for when what was due isn't known."""
    heard = _rms(sound)
    sure = np.zeros(len(heard), bool)
    for first, last in runs_of(heard < SILENT):
        before = heard[max(first - EDGE_BLOCKS - 1, 0) : max(first - 1, 0)].max(initial=0.0)
        after = heard[last + 1 : last + 1 + EDGE_BLOCKS].max(initial=0.0)
        inside = max(float(np.median(heard[first:last])), SILENT / 10)
        if last - first >= LONG_BLOCKS or min(before, after) * EDGE > max(inside, SILENT / 3):
            sure[first:last] = True
    return _gaps(sound, sure, np.full(len(heard), SILENT))


def jumps(
    sound: np.ndarray, stretches: Sequence[Stretch], gaps: Sequence[Gap], least_s: float
) -> tuple[list[Jump], list[Jump]]:
    """(repeats, skips) of `least_s` or more between the stretches of a path, less the silence that stands in for music.

    Where music waits for a silence to end nothing is heard twice; where silence takes its place nothing more is lost.
    """
    quiet = [(first * BLOCK_S, last * BLOCK_S) for first, last in runs_of(_rms(sound) < SILENT)]
    silences = quiet + [(gap.at_s, gap.at_s + gap.duration_s) for gap in gaps]
    repeats, skips = [], []
    for before, after in pairwise(stretches):
        at_s = after.start / RATE_HZ
        moved_s = (after.offset - before.offset) / RATE_HZ
        silent_s = max((end - start for start, end in silences if start - NEAR_S <= at_s <= end + NEAR_S), default=0.0)
        if moved_s >= least_s:
            skips.append(Jump(at_s, moved_s))
        elif -moved_s - silent_s >= least_s:
            repeats.append(Jump(at_s, -moved_s - silent_s))
    return repeats, skips


def _gaps(sound: np.ndarray, silent: np.ndarray, limit: np.ndarray) -> list[Gap]:
    """The runs of silent blocks, each extended to the sample while it stays below the limit."""
    found = []
    for first, last in runs_of(silent):
        start, end = first * BLOCK_SAMPLES, min(last * BLOCK_SAMPLES, len(sound))
        bound = float(limit[first:last].max())
        while start > 0 and first * BLOCK_SAMPLES - start < BLOCK_SAMPLES and abs(sound[start - 1]) < bound:
            start -= 1
        while end < len(sound) and end - last * BLOCK_SAMPLES < BLOCK_SAMPLES and abs(sound[end]) < bound:
            end += 1
        if end - start >= SHORTEST_SAMPLES:
            found.append(Gap(start / RATE_HZ, (end - start) / RATE_HZ))
    return found


def _rms(values: np.ndarray) -> np.ndarray:
    blocks = -(-len(values) // BLOCK_SAMPLES)
    padded = np.pad(values, (0, blocks * BLOCK_SAMPLES - len(values)))
    return np.sqrt((padded.reshape(blocks, BLOCK_SAMPLES) ** 2).mean(axis=1))


def _closed(values: np.ndarray, size: int) -> np.ndarray:
    """Valleys narrower than `size` filled, slopes left as they are (the closing of mathematical morphology)."""
    if len(values) < size:
        return values
    return -_highest(-_highest(values, size), size)


def _highest(values: np.ndarray, size: int) -> np.ndarray:
    padded = np.pad(values, size // 2, "edge")
    return np.lib.stride_tricks.sliding_window_view(padded, size).max(axis=1)[: len(values)]


def _grown(seeds: np.ndarray, allowed: np.ndarray, size: int) -> np.ndarray:
    """`seeds` and up to `size` of the allowed blocks on either side of each run of them."""
    grown = seeds.copy()
    for first, last in runs_of(seeds):
        before, after = allowed[max(first - size, 0) : first][::-1], allowed[last : last + size]
        start = first - (int(np.argmin(before)) if not before.all() else len(before))
        end = last + (int(np.argmin(after)) if not after.all() else len(after))
        grown[start:end] = True
    return grown


def _bridged(flags: np.ndarray, size: int) -> np.ndarray:
    """`flags` with interruptions of fewer than `size` blocks closed."""
    filled = flags.copy()
    for first, last in runs_of(~flags):
        if last - first < size and first > 0 and last < len(flags):
            filled[first:last] = True
    return filled
