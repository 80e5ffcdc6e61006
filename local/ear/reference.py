"""A sound that is known beforehand, to be read from any place at any speed and searched for in a recording."""

from functools import lru_cache

import numpy as np

_TAPS = 32
_PHASES = 2048  # places between two samples that a reading is rounded to: an error of −64 dB at 3.3 kHz
_CHUNK = 32768
_FFT_SAMPLES = 16384


class Reference:
    """One channel of floats at 8 kHz: a bed, which loops, or a speech, with silence before and after it."""

    def __init__(self, samples: np.ndarray, *, looping: bool = False) -> None:
        self.samples = np.asarray(samples, np.float64)
        self.looping = looping

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, start: float, count: int, speed: float = 1.0) -> np.ndarray:
        """`count` samples from position `start` on, each `speed` positions after the one before (float64).

        Whole positions are returned as they are; between them a sinc of 32 taps beneath a Kaiser window interpolates.
        """
        if speed == 1.0 and start == round(start):
            return self._take(round(start), count)
        kernels = _kernels()
        if speed == 1.0:
            whole, phase = divmod(round(start * _PHASES), _PHASES)
            first = whole - _TAPS // 2 + 1
            return np.convolve(self._take(first, count + _TAPS - 1), kernels[phase][::-1], "valid")
        result = np.empty(count)
        for first in range(0, count, _CHUNK):
            last = min(first + _CHUNK, count)
            phases = np.rint((start + speed * np.arange(first, last)) * _PHASES).astype(np.int64)
            whole, phase = np.divmod(phases, _PHASES)
            low = int(whole[0]) - _TAPS // 2 + 1
            around = self._take(low, int(whole[-1]) + _TAPS // 2 + 1 - low)
            windows = np.lib.stride_tricks.sliding_window_view(around, _TAPS)
            result[first:last] = np.einsum("ij,ij->i", windows[whole - whole[0]], kernels[phase])
        return result

    def _take(self, first: int, count: int) -> np.ndarray:
        if self.looping:
            at = first % len(self.samples)
            around = self.samples[at : at + count]
            if len(around) == count:
                return around.copy()
            return self.samples[np.arange(at, at + count) % len(self.samples)]
        low, high = max(first, 0), min(first + count, len(self.samples))
        taken = np.zeros(count)
        if low < high:
            taken[low - first : high - first] = self.samples[low:high]
        return taken


@lru_cache(maxsize=1)
def _kernels() -> np.ndarray:
    """For each phase the taps that interpolate there, of unit sum."""
    taps = np.arange(_TAPS) - _TAPS // 2 + 1
    distance = taps[None, :] - np.arange(_PHASES)[:, None] / _PHASES
    shape = np.i0(7.0 * np.sqrt(np.clip(1 - (distance / (_TAPS / 2)) ** 2, 0, None))) / np.i0(7.0)
    kernels = np.sinc(distance) * shape
    return kernels / kernels.sum(axis=1, keepdims=True)


class Haystack:
    """A long sound made ready for finding short ones in it: normalised cross-correlation at every lag."""

    def __init__(self, samples: np.ndarray, needle_samples: int, *, looping: bool = False) -> None:
        """`needle_samples` is the length of the longest needle that will be looked for, at most 8192."""
        wrapped = np.resize(samples, len(samples) + needle_samples) if looping else np.pad(samples, (0, needle_samples))
        self.lags = len(samples)
        self._step = _FFT_SAMPLES - needle_samples
        rows = -(-self.lags // self._step)
        padded = np.zeros(rows * self._step + _FFT_SAMPLES, np.float32)
        padded[: len(wrapped)] = wrapped
        windows = np.lib.stride_tricks.sliding_window_view(padded, _FFT_SAMPLES)[:: self._step][:rows]
        self._spectra = np.fft.rfft(windows, axis=1)
        self._energy = np.concatenate(([0.0], np.cumsum(padded.astype(np.float64) ** 2)))

    def find(self, needle: np.ndarray) -> np.ndarray:
        """The correlation coefficient (−1 to 1, float32) of `needle` with the sound from each lag on."""
        spectrum = np.conj(np.fft.rfft(needle.astype(np.float32), _FFT_SAMPLES))
        products = np.fft.irfft(self._spectra * spectrum, _FFT_SAMPLES, axis=1)[:, : self._step].ravel()[: self.lags]
        energy = self._energy[len(needle) : len(needle) + self.lags] - self._energy[: self.lags]
        return _normalised(products, energy, needle)


def correlate(window: np.ndarray, needle: np.ndarray) -> np.ndarray:
    """The correlation coefficient of `needle` with each stretch of its length in `window`, which is no shorter."""
    size = 1 << (len(window) - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(window, size) * np.conj(np.fft.rfft(needle, size)), size)
    energy = np.concatenate(([0.0], np.cumsum(window**2)))
    lags = len(window) - len(needle) + 1
    return _normalised(products[:lags], energy[len(needle) :] - energy[:lags], needle)


def _normalised(products: np.ndarray, energy: np.ndarray, needle: np.ndarray) -> np.ndarray:
    own = float(np.dot(needle, needle))
    floor = 1e-4 * own  # a place 40 dB softer than the needle is not a likeness of it, however well it fits
    return products / np.sqrt(np.maximum(energy, floor) * max(own, 1e-12))


def summit(curve: np.ndarray, top: int) -> tuple[float, float]:
    """Where, between its samples, a correlation has the maximum whose highest sample is `top`, and how high it is.

    A wide-band sound that fell between two samples correlates by only 0.75 at either.
    """
    half = _TAPS // 2
    if not half <= top < len(curve) - half:
        return float(top), float(curve[top])
    around = curve[top - half : top + half + 1].astype(np.float64)
    steps = np.arange(-6, 7)  # eighths of a sample
    kernels = _kernels()
    heights = []
    for step in steps.tolist():
        whole, eighths = divmod(step, 8)
        first = half + whole - half + 1
        heights.append(float(np.dot(around[first : first + _TAPS], kernels[eighths * _PHASES // 8])))
    best = int(np.argmax(heights))
    if 0 < best < len(heights) - 1:
        return top + (steps[best] + vertex(*heights[best - 1 : best + 2])) / 8, max(heights)
    return top + steps[best] / 8, max(heights)


def vertex(left: float, middle: float, right: float) -> float:
    """How far from the middle of three values, in steps, the parabola through them has its maximum."""
    bend = left - 2 * middle + right
    return 0.5 * (left - right) / bend if bend < 0 else 0.0
