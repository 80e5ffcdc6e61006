"""Which of several possible places in a reference each moment of a recording came from.

Every candidate is laid under the recording, and the path that leaves the least unexplained, with a price on every jump,
is found by dynamic programming (Viterbi). Moments that no candidate explains (another sound over it, a hole) cost all
alike and so never make a jump.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from local.ear.alignment import Candidate
from local.ear.reference import Reference, correlate, summit

FRAME_SAMPLES = 80
JUMP_PRICE = 60.0  # nats: a jump must explain that much more, as 40 ms of music at another place does many times over
SILENT_JUMP_PRICE = 30.0  # in silence, where a line that stood still goes on
SILENT = 0.001  # RMS (−60 dBov)
EXPLAINED = 10**-2.5  # of the energy; what is explained better than to −25 dB (µ-law noise, resampling) is explained
STRANGE = 0.3  # the part unexplained of a moment that is searched for by itself
LIKELY = 0.7  # what such a moment, its edges included, must have of the place it came from


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples [start, end) of the recording are the reference from `offset` + speed · start on."""

    start: int
    end: int
    offset: float


def follow(
    sound: np.ndarray, reference: Reference, candidates: Sequence[Candidate], speed: float, gain: float | None = None
) -> list[Stretch]:
    """The stretches, one after another, that cover all of `sound`; none without candidates.

    `gain` is the reference's gain in `sound`; None lets it be what fits best at every moment.
    """
    if not candidates:
        return []
    if len(candidates) == 1:
        return [Stretch(0, len(sound), candidates[0].offset)]
    frames = -(-len(sound) // FRAME_SAMPLES)
    errors = np.stack([_error(sound, reference, candidate, speed, gain, frames) for candidate in candidates], axis=1)
    silent = _per_frame(sound * sound, frames) < FRAME_SAMPLES * SILENT**2
    path = _nearest(_cheapest(errors, silent), errors, [candidate.offset for candidate in candidates], reference)
    return _sharpened(sound, reference, path, candidates, speed, gain)


def short_candidates(
    sound: np.ndarray, voice: np.ndarray, reference: Reference, stretches: Sequence[Stretch], speed: float
) -> list[Candidate]:
    """Places for moments of 20 to 600 ms that the path leaves unexplained though they resemble the reference nearby.

    Moments in which `voice`, already taken out of `sound`, was as loud as what is left are not looked at: what is left
    of a voice resembles anything.
    """
    frames = -(-len(sound) // FRAME_SAMPLES)
    laid = lay(reference, stretches, speed, len(sound))
    own = _per_frame(sound * sound, frames)
    worth = (own > FRAME_SAMPLES * 1e-6) & (own > _per_frame(voice * voice, frames))
    unexplained = worth & (_frame_errors(sound, laid, None, frames) > STRANGE)
    found = []
    for first, last in runs_of(unexplained):
        start, end = first * FRAME_SAMPLES, min(last * FRAME_SAMPLES, len(sound))
        if not 0.02 * 8000 <= end - start <= 0.6 * 8000:
            continue
        at = next(stretch for stretch in stretches if stretch.end > start)
        reach = 2000
        window = reference.read(at.offset + speed * start - reach, end - start + 2 * reach, speed)
        likeness = correlate(window, sound[start:end])
        top = int(np.argmax(likeness))
        if likeness[top] > LIKELY:
            shift = summit(likeness, top)[0] - reach
            found.append(Candidate(at.offset + shift * speed, max(start - 400, 0), min(end + 400, len(sound))))
    return found


def lay(reference: Reference, stretches: Sequence[Stretch], speed: float, samples: int) -> np.ndarray:
    """The reference as the recording would have it if the path were all there is to it, at gain 1."""
    laid = np.zeros(samples)
    for stretch in stretches:
        start = stretch.offset + speed * stretch.start
        laid[stretch.start : stretch.end] = reference.read(start, stretch.end - stretch.start, speed)
    return laid


def runs_of(flags: np.ndarray) -> list[tuple[int, int]]:
    """The runs of True in `flags` as (first, one past the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _error(
    sound: np.ndarray, reference: Reference, candidate: Candidate, speed: float, gain: float | None, frames: int
) -> np.ndarray:
    """For each frame the price of believing `candidate`: half the samples times the log of the part unexplained."""
    first, last = candidate.start // FRAME_SAMPLES, -(-candidate.end // FRAME_SAMPLES)
    start, end = first * FRAME_SAMPLES, min(last * FRAME_SAMPLES, len(sound))
    laid = reference.read(candidate.offset + speed * start, end - start, speed)
    price = np.zeros(frames)
    share = _frame_errors(sound[start:end], laid, gain, last - first)
    price[first:last] = FRAME_SAMPLES / 2 * np.log(np.clip(share, 0, 1) + EXPLAINED)
    return price


def _frame_errors(sound: np.ndarray, laid: np.ndarray, gain: float | None, frames: int) -> np.ndarray:
    """The part of each frame's energy that `laid` leaves unexplained at the gain that fits the 50 ms around it."""
    own, both, other = (_per_frame(x, frames) for x in (sound * sound, sound * laid, laid * laid))
    if gain is None:
        fitted = np.clip(_smooth(both) / np.maximum(_smooth(other), 1e-9), 0, None)
    else:
        fitted = np.full(frames, gain)
    floor = FRAME_SAMPLES * 1e-8  # a silent frame is explained by nothing
    return (np.maximum(own - 2 * fitted * both + fitted**2 * other, 0) + floor) / (own + floor)


def _per_frame(values: np.ndarray, frames: int) -> np.ndarray:
    return np.pad(values, (0, frames * FRAME_SAMPLES - len(values))).reshape(frames, FRAME_SAMPLES).sum(axis=1)


def _smooth(values: np.ndarray) -> np.ndarray:
    return np.convolve(values, (0.25, 0.75, 1.0, 0.75, 0.25), "same") if len(values) >= 5 else values


def _cheapest(prices: np.ndarray, silent: np.ndarray) -> np.ndarray:
    """The candidate of each frame on the cheapest path, which may begin with any of them."""
    jump_prices = np.where(silent, SILENT_JUMP_PRICE, JUMP_PRICE)
    frames, count = prices.shape
    came_from = np.empty((frames, count), np.int32)
    total = np.zeros(count)
    own = np.arange(count)
    for frame in range(frames):
        best = int(np.argmin(total))
        jumped = total[best] + jump_prices[frame]
        came_from[frame] = np.where(jumped < total, best, own)
        total = np.minimum(jumped, total) + prices[frame]
    path = np.empty(frames, np.int32)
    state = int(np.argmin(total))
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state = int(came_from[frame, state])
    return path


def _nearest(path: np.ndarray, prices: np.ndarray, offsets: Sequence[float], reference: Reference) -> np.ndarray:
    """The path with its jumps as short as they can be, all together.

    A stretch may lie in any place that explains it nearly as well, by less than the price of a jump: where bars are
    alike, 40 ms back and a whole bar on is 40 ms back.
    """
    far = np.abs(np.subtract.outer(offsets, offsets))
    if reference.looping:
        far = np.minimum(far % len(reference), -far % len(reference))
    spans = list(pairwise(_bounds(path)))
    ways, total = [], np.zeros(len(offsets))
    for first, last in spans:
        whole = prices[first:last].sum(axis=0)
        reached = total[:, None] + far
        ways.append(np.argmin(reached, axis=0) if first > 0 else np.arange(len(offsets)))
        total = np.where(whole < whole[path[first]] + JUMP_PRICE, reached.min(axis=0), np.inf)
    nearest, place = path.copy(), int(np.argmin(total))
    for (first, last), way in zip(reversed(spans), reversed(ways), strict=True):
        nearest[first:last] = place
        place = int(way[place])
    return nearest


def _bounds(path: np.ndarray) -> list[int]:
    """Where each stretch of the path begins, and its end."""
    return [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]


def _sharpened(
    sound: np.ndarray,
    reference: Reference,
    path: np.ndarray,
    candidates: Sequence[Candidate],
    speed: float,
    gain: float | None,
) -> list[Stretch]:
    """The path as stretches whose borders lie at the sample from which the later candidate fits better."""
    bounds = _bounds(path)
    offsets = [candidates[path[first]].offset for first in bounds[:-1]]
    borders = [0]
    for bound, before, after in zip(bounds[1:-1], offsets, offsets[1:], strict=False):
        low = max(borders[-1], (bound - 4) * FRAME_SAMPLES)
        high = min((bound + 4) * FRAME_SAMPLES, len(sound))
        here = sound[low:high]
        left, right = (reference.read(offset + speed * low, high - low, speed) for offset in (before, after))
        half = (high - low) // 2
        for laid, side in ((left, slice(0, half)), (right, slice(half, None))):
            laid *= _fitted(here[side], laid[side]) if gain is None else gain
        borders.append(low + int(np.argmin(np.cumsum((here - left) ** 2 - (here - right) ** 2))) + 1)
    borders.append(len(sound))
    stretches: list[Stretch] = []
    for end, offset in zip(borders[1:], offsets, strict=True):
        start = stretches[-1].end if stretches else 0
        if end - start >= FRAME_SAMPLES or end == len(sound):  # what is shorter was never more than a bad border
            stretches.append(Stretch(start, end, offset))
    return stretches


def _fitted(sound: np.ndarray, laid: np.ndarray) -> float:
    return float(np.dot(sound, laid) / max(np.dot(laid, laid), 1e-12))
