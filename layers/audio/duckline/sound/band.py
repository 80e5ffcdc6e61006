"""Linear-phase filters for bands of frequencies, made and run with numpy alone.

A filter is an odd number of symmetric taps (a sinc beneath a Kaiser window), so every frequency is delayed alike and
nothing rings to one side. Filtering takes that delay out: sample n of the result belongs to sample n of the input.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain

import numpy as np

from duckline.timeline import SAMPLE_RATE_HZ

TELEPHONE_LOW_HZ, TELEPHONE_HIGH_HZ = 300, 3400  # what a telephone promises to carry (ITU-T G.712)
_FFT_SAMPLES = 4096


@lru_cache(maxsize=16)
def band_pass(
    low_hz: float, high_hz: float, rate_hz: int = SAMPLE_RATE_HZ, transition_hz: float = 100, stop_db: float = 70
) -> np.ndarray:
    """Taps (float64, read-only) that pass `low_hz` to `high_hz`, and are down by `stop_db` a transition outside.

    A `low_hz` of 0 makes a low-pass, a `high_hz` of `rate_hz / 2` a high-pass.
    """
    half = int(np.ceil((stop_db - 7.95) / 14.36 * rate_hz / transition_hz / 2))  # Kaiser's formula for the length
    beta = 0.1102 * (stop_db - 8.7)  # and for the window's shape, above 50 dB
    n = np.arange(-half, half + 1)

    def low_pass(edge_hz: float) -> np.ndarray:
        return 2 * edge_hz / rate_hz * np.sinc(2 * edge_hz / rate_hz * n)

    upper = low_pass(high_hz + transition_hz / 2) if high_hz < rate_hz / 2 else (n == 0).astype(np.float64)
    lower = low_pass(low_hz - transition_hz / 2) if low_hz > 0 else 0.0
    taps = (upper - lower) * np.kaiser(len(n), beta)
    taps.setflags(write=False)
    return taps


def filtered(blocks: Iterable[np.ndarray], taps: np.ndarray) -> Iterator[np.ndarray]:
    """The stream `blocks` (one channel) through `taps` (at most 2048), as float64 of the same total length."""
    delay = len(taps) // 2
    step = _FFT_SAMPLES - len(taps) + 1
    spectrum = np.fft.rfft(taps, _FFT_SAMPLES)
    skip = delay
    waiting, carried = np.zeros(0), np.zeros(len(taps) - 1)
    for block in chain(blocks, [None]):
        if block is not None:
            waiting = np.concatenate((waiting, block))
        count = len(waiting) if block is None else len(waiting) // step * step
        whole = _convolved(waiting[:count], spectrum, step)
        whole[: len(carried)] += carried
        ready, carried, waiting = whole[skip:count], whole[count:], waiting[count:]
        skip = max(skip - count, 0)
        if len(ready):
            yield ready
    yield carried[skip:delay]


def _convolved(samples: np.ndarray, spectrum: np.ndarray, step: int) -> np.ndarray:
    """`samples` convolved with the filter of `spectrum`, as many longer as it reaches, by overlap and add."""
    rows, overlap = -(-len(samples) // step), _FFT_SAMPLES - step
    padded = np.zeros((rows, _FFT_SAMPLES))
    whole_rows = len(samples) // step
    padded[:whole_rows, :step] = samples[: whole_rows * step].reshape(whole_rows, step)
    padded[whole_rows:, : len(samples) - whole_rows * step] = samples[whole_rows * step :]
    pieces = np.fft.irfft(np.fft.rfft(padded) * spectrum)
    result = np.zeros((rows + 1, step))
    result[:rows] = pieces[:, :step]
    result[1:, :overlap] += pieces[:, step:]
    return result.ravel()[: len(samples) + overlap]
