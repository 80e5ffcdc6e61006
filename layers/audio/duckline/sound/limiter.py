"""A gentle limiter for a loop of music: it sees a peak coming, turns down before it and up after it."""

from collections.abc import Iterator

import numpy as np

from duckline.timeline import SAMPLE_RATE_HZ

REACH_SAMPLES = SAMPLE_RATE_HZ * 25 // 1000  # the gain moves over that much before a peak, and as much after it
BLOCK_SAMPLES = SAMPLE_RATE_HZ


def limited(loop: np.ndarray, gain: float, ceiling: float) -> Iterator[np.ndarray]:
    """`loop` (float32, longer than a tenth of a second) times `gain`, in blocks; no sample exceeds ±`ceiling`.

    The loop's end is followed by its beginning, so its seam is as smooth as any other place. What stays below the
    ceiling for twice REACH_SAMPLES around is only multiplied.
    """
    around = 2 * REACH_SAMPLES
    for first in range(0, len(loop), BLOCK_SAMPLES):
        last = min(first + BLOCK_SAMPLES, len(loop))
        if around <= first and last + around <= len(loop):
            louder = loop[first - around : last + around] * np.float32(gain)
        else:
            louder = np.take(loop, np.arange(first - around, last + around), mode="wrap") * np.float32(gain)
        block = louder[around:-around]
        peaks = np.abs(louder)
        if peaks.max() > ceiling:
            needed = ceiling / np.maximum(peaks, ceiling)
            # Two means, together as wide as the minimum: a smooth curve that lies nowhere above what is needed.
            curve = _sliding_minimum(needed, around + 1)
            for _ in range(2):
                curve = _sliding_mean(curve, REACH_SAMPLES + 1)
            block = block * curve.astype(np.float32)
        yield np.clip(block, -ceiling, ceiling)


def _sliding_minimum(values: np.ndarray, width: int) -> np.ndarray:
    """The minimum of every `width` neighbours, out of minima that run forwards and backwards in rows of `width`."""
    rows = np.ones((-(-len(values) // width), width), values.dtype)  # a gain of 1 beyond the end limits nothing
    rows.ravel()[: len(values)] = values
    forwards = np.minimum.accumulate(rows, axis=1).ravel()
    backwards = np.minimum.accumulate(rows[:, ::-1], axis=1)[:, ::-1].ravel()
    count = len(values) - width + 1
    return np.minimum(backwards[:count], forwards[width - 1 : width - 1 + count])


def _sliding_mean(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of every `width` neighbours."""
    sums = np.zeros(len(values) + 1)
    np.cumsum(values, out=sums[1:])
    return (sums[width:] - sums[:-width]) / width
