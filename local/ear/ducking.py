"""The music's gain through a recording, how far speech pushed it down, by which ramps, and where it jumped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from local.ear.path import runs_of

BLOCK_SAMPLES = 40
BLOCK_S = BLOCK_SAMPLES / 8000
SMOOTHING_BLOCKS = 9  # 45 ms under a Hann window
LEAST_VARIANCE = 1e-3  # of a gain: no block is surer than to 3 % of the bed's level, silence least of all
SOFTEST = 0.001  # RMS (−60 dBov) of music whose level can be told: µ-law swallows what is softer than −72 dBov
DUCKED_DB = 2.0  # less than this is no duck whose ramps could be measured
SURE_BY = 9.0  # in squared standard errors: three of them
VAGUE = 2.2
LEVEL_JUMP_DB = 2.0
RAMP_LENGTHS = np.unique(np.geomspace(1, 300, 36).round().astype(int))  # blocks, up to 1.5 s


@dataclass(frozen=True, slots=True)
class GainCurve:
    """The gain (linear, against the bed as it is stored) of each block of 5 ms, and how sure it is (1 / variance)."""

    gain: np.ndarray
    raw: np.ndarray
    weight: np.ndarray

    def by_sample(self, samples: int) -> np.ndarray:
        middles = (np.arange(len(self.gain)) + 0.5) * BLOCK_SAMPLES
        return np.interp(np.arange(samples), middles, self.gain)


@dataclass(frozen=True, slots=True)
class Ramp:
    """A way from one gain to another. `start_s` and `end_s` are seconds from the recording's start."""

    start_s: float
    end_s: float
    from_gain: float
    to_gain: float

    @property
    def length_ms(self) -> float:
        return (self.end_s - self.start_s) * 1000


class _Fit(NamedTuple):
    """A ramp that was tried; the first field orders them."""

    cost: float
    start: int  # blocks, as `length`
    length: int
    from_gain: float
    to_gain: float


def measure_gain(sound: np.ndarray, music: np.ndarray) -> GainCurve:
    """The gain at which `music` (the bed laid along its path) lies in `sound`, by least squares.

    Where the music is too soft to tell, the gain is drawn straight from one side to the other.
    """
    own, both, other = (_per_block(values) for values in (sound * sound, sound * music, music * music))
    window = np.hanning(SMOOTHING_BLOCKS + 2)[1:-1]
    smooth_both, smooth_other = (np.convolve(x, window, "same") for x in (both, other))
    telling = smooth_other > 1e-4 * np.percentile(smooth_other, 90) if len(other) else other > 0
    telling &= smooth_other > 1e-9
    blocks = np.arange(len(other))
    fitted = np.maximum(smooth_both, 0) / np.maximum(smooth_other, 1e-12)
    gain = np.interp(blocks, blocks[telling], fitted[telling]) if telling.any() else np.zeros(len(other))
    unexplained = np.maximum(own - 2 * gain * both + gain**2 * other, 0)
    noise = np.convolve(unexplained, window / window.sum(), "same") / BLOCK_SAMPLES
    weight = other / (noise + LEAST_VARIANCE * other + 1e-10)
    weight[gain * np.sqrt(other / BLOCK_SAMPLES) < SOFTEST] *= 1e-6
    return GainCurve(gain, np.where(other > 1e-12, both / np.maximum(other, 1e-12), gain), weight)


def usual_gain(curve: GainCurve, free: np.ndarray) -> float | None:
    """The gain between speeches: the weighted median of the blocks flagged in `free`, or of the upper half of all."""
    gain, weight = (curve.gain[free], curve.weight[free]) if free.any() else (curve.gain, curve.weight)
    if not np.any(weight > 0):
        return None
    if not free.any():
        upper = gain >= np.median(gain)
        gain, weight = gain[upper], weight[upper]
    order = np.argsort(gain)
    passed = np.cumsum(weight[order])
    return float(gain[order][np.searchsorted(passed, passed[-1] / 2)]) or None


def ramp(curve: GainCurve, from_s: float, to_s: float) -> Ramp | None:
    """The one ramp between two steady gains that fits the curve from `from_s` to `to_s` best.

    None if the curve stays level, or if the music rests just then and ramps of very different lengths would fit.
    Raised cosines and straight lines of 5 ms to 1.5 s are tried from every block on, first of few lengths, then of all
    near the best.
    """
    first, last = max(int(from_s / BLOCK_S), 0), min(int(to_s / BLOCK_S), len(curve.raw))
    gain, weight = curve.raw[first:last], curve.weight[first:last]
    if last - first < 8 or weight.sum() <= 0:
        return None
    lengths = RAMP_LENGTHS[: int(np.searchsorted(RAMP_LENGTHS, last - first))]
    tried = [_fit(gain, weight, length, eased=True) for length in lengths.tolist()]
    best = min(tried)
    as_good = [fit.length for fit in tried if fit.cost < best.cost + SURE_BY]
    if max(as_good) > VAGUE * min(as_good):
        return None
    nearby = range(
        max(int(0.8 * best.length), 1), min(int(1.25 * best.length) + 2, last - first), 1 + best.length // 60
    )
    best = min(best, *(_fit(gain, weight, length, eased) for length in nearby for eased in (True, False)))
    if min(best.from_gain, best.to_gain) < 0 or abs(decibels(best.from_gain / max(best.to_gain, 1e-6))) < DUCKED_DB:
        return None
    start_s = (first + best.start) * BLOCK_S
    return Ramp(start_s, start_s + best.length * BLOCK_S, best.from_gain, best.to_gain)


def level_jumps(curve: GainCurve, excused: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where the gain changes at one stroke, as (seconds, dB), outside the spans `excused`."""
    (near, near_error), (far, far_error) = _change_db(curve, 2, 4), _change_db(curve, 6, 16)
    stepped = (np.abs(near) >= LEVEL_JUMP_DB) & (np.abs(near) > 5 * near_error) & (np.abs(far) > 5 * far_error)
    stepped &= (near / far > 0.75) & (near / far < 1.33)
    found = []
    for first, last in _joined(runs_of(stepped), 20):
        top = first + int(np.argmax(np.abs(near[first:last])))
        at = top * BLOCK_S
        if not any(start <= at <= end for start, end in excused):
            found.append((at, float(far[top])))
    return found


def decibels(gain: float) -> float:
    return 20 * float(np.log10(max(gain, 1e-6)))


def _fit(gain: np.ndarray, weight: np.ndarray, length: int, eased: bool) -> _Fit:
    """The best ramp of `length` blocks, raised cosine if `eased`: where it starts, and the two levels it joins.

    For every start at once the weighted least squares for the levels; the sums over the ramp are correlations.
    """
    progress = (np.arange(length) + 0.5) / length
    shape = 0.5 - 0.5 * np.cos(np.pi * progress) if eased else progress

    def along(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        after = np.concatenate((np.cumsum(values[::-1])[::-1], [0.0]))[length:]  # where the ramp is at 1
        return np.correlate(values, kernel, "valid") + after

    total, sum_gain, sum_squares = weight.sum(), weight @ gain, weight @ gain**2
    sum_shape, sum_shape2, sum_both = along(weight, shape), along(weight, shape**2), along(weight * gain, shape)
    slope = (total * sum_both - sum_shape * sum_gain) / np.maximum(total * sum_shape2 - sum_shape**2, 1e-12)
    level = (sum_gain - slope * sum_shape) / total
    cost = sum_squares - level * sum_gain - slope * sum_both
    top = int(np.argmin(cost))
    return _Fit(float(cost[top]), top, length, float(level[top]), float(level[top] + slope[top]))


def _change_db(curve: GainCurve, skip: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """At each block's start, how far the gain lies over that before, each the mean of `length` blocks from `skip` on.

    With the standard error, both in dB.
    """
    count = len(curve.raw)
    weighted = np.concatenate(([0.0], np.cumsum(curve.weight * curve.raw)))
    weights = np.concatenate(([0.0], np.cumsum(curve.weight)))
    at = np.arange(count)
    means, variances = [], []
    for first, last in ((at - skip - length, at - skip), (at + skip, at + skip + length)):
        low, high = np.clip(first, 0, count), np.clip(last, 0, count)
        total = np.maximum(weights[high] - weights[low], 1e-9)
        means.append(np.maximum((weighted[high] - weighted[low]) / total, 1e-4))
        variances.append(1 / total)
    (before, after), softer = means, np.minimum(*means)
    change = 20 * np.log10(after / before)
    return np.where(change == 0, 1e-9, change), 8.7 * np.sqrt(sum(variances)) / softer


def _joined(runs: Sequence[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in runs:
        if joined and first - joined[-1][1] < gap:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def _per_block(values: np.ndarray) -> np.ndarray:
    blocks = -(-len(values) // BLOCK_SAMPLES)
    return np.pad(values, (0, blocks * BLOCK_SAMPLES - len(values))).reshape(blocks, BLOCK_SAMPLES).sum(axis=1)
