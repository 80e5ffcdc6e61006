"""Clicks: jumps of the waveform that neither the music nor a voice has."""

from dataclasses import dataclass

import numpy as np

LEAST = 0.05  # of full scale at the level of the bed: a click of a tenth, band-limited by the line, keeps 0.07
OUTSTANDING = 7.0  # times the RMS of what is left unexplained around it
COARSE = 0.08  # of the sound it sits on: µ-law twice over is off by up to 0.06 of a peak
NOISY = 5.0  # times the error of the whole recording: MP3 at 32 kbit/s is off by a tenth of every drum stroke
CLIPPING = 0.75  # of full scale: what was due there may not have fitted through the line
ALONE_LEAST = 0.05
ALONE_OUTSTANDING = 3.0  # times the highest peak around it: voices and drums have none without neighbours
ALONE_NARROW = 0.67  # of the energy within 5 ms lies in five samples: of the burst of a p or a b at most 0.63
ALONE_SAID = 0.5  # of it is in the voice itself
ATTACK = 2.0  # times the energy
APART_SAMPLES = 80
AROUND_SAMPLES = 200
OWN_SAMPLES = 20  # the width of a click that a band filter has smeared
FRAME_SAMPLES = 256
ORDER = 20


@dataclass(frozen=True, slots=True)
class Click:
    """At `at_s` the waveform leaps by about `size` (1.0 is full scale)."""

    at_s: float
    size: float


def clicks_against(residual: np.ndarray, known: np.ndarray, explained: np.ndarray, gain: float) -> list[Click]:
    """Clicks in `residual`, what is left of the recording without the `known` music and voice.

    Only where these explain the recording (`explained`, a flag per sample). `gain` is what the line does to the bed's
    level, and so to a click's.
    """
    peaks = np.abs(residual)
    level = np.sqrt(_surrounding_mean(residual**2))
    fidelity = np.sqrt(np.sum(residual[explained] ** 2) / max(np.sum(known[explained] ** 2), 1e-12))
    coarse = max(COARSE, NOISY * float(fidelity))
    wild = np.flatnonzero(explained & (peaks > LEAST * min(gain, 1.0)) & (peaks > OUTSTANDING * level))
    kept = []
    for at in wild.tolist():
        due = np.abs(known[max(at - OWN_SAMPLES, 0) : at + OWN_SAMPLES]).max()
        if due < CLIPPING and peaks[at] > coarse * due:
            kept.append(at)
    return _clicks(np.array(kept, int), peaks)


def clicks_alone(sound: np.ndarray, voice: np.ndarray) -> list[Click]:
    """Clicks in a sound of which at most the `voice` is known: what linear prediction cannot foresee, all by itself.

    A stroke after which there is more sound than before is an instrument's; what the voice does just as suddenly is
    the voice's.
    """
    surprise, expected = np.abs(_surprise(sound)), np.abs(_surprise(voice))
    energy, burst = (np.concatenate(([0.0], np.cumsum(values**2))) for values in (sound, surprise))
    kept = []
    for at in np.flatnonzero(surprise > ALONE_LEAST).tolist():
        low, high = max(at - AROUND_SAMPLES, 0), min(at + AROUND_SAMPLES, len(sound))
        before, after = slice(low, max(at - OWN_SAMPLES, low)), slice(min(at + OWN_SAMPLES, high), high)
        around = max(surprise[before].max(initial=0.0), surprise[after].max(initial=0.0))
        rises = energy[after.stop] - energy[after.start] > ATTACK * (energy[before.stop] - energy[before.start])
        said = expected[max(at - OWN_SAMPLES, 0) : at + OWN_SAMPLES].max() > ALONE_SAID * surprise[at]
        close, wide = ((max(at - reach, 0), min(at + reach + 1, len(sound))) for reach in (2, 2 * OWN_SAMPLES))
        narrow = burst[close[1]] - burst[close[0]] > ALONE_NARROW * (burst[wide[1]] - burst[wide[0]])
        if surprise[at] > ALONE_OUTSTANDING * around and narrow and not said and not rises:
            kept.append(at)
    return _clicks(np.array(kept, int), surprise)


def _clicks(places: np.ndarray, peaks: np.ndarray) -> list[Click]:
    """One click for places less than 10 ms apart."""
    if len(places) == 0:
        return []
    groups = np.split(places, np.flatnonzero(np.diff(places) > APART_SAMPLES) + 1)
    tops = [int(group[np.argmax(peaks[group])]) for group in groups]
    return [Click(top / 8000, float(peaks[top])) for top in tops]


def _surrounding_mean(values: np.ndarray) -> np.ndarray:
    """The mean over AROUND_SAMPLES to either side, without OWN_SAMPLES to either side."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    at, count = np.arange(len(values)), len(values)

    def within(reach: int) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.clip(at - reach, 0, count), np.clip(at + reach + 1, 0, count)
        return total[high] - total[low], high - low

    wide, wide_count = within(AROUND_SAMPLES)
    own, own_count = within(OWN_SAMPLES)
    return np.maximum(wide - own, 0) / np.maximum(wide_count - own_count, 1)


def _surprise(sound: np.ndarray) -> np.ndarray:
    """What a linear predictor made from the 32 ms around leaves of each sample (autocorrelation method)."""
    hop = FRAME_SAMPLES // 2
    frames = max(-(-len(sound) // hop), 1)
    padded = np.pad(sound, (hop // 2 + ORDER, frames * hop + FRAME_SAMPLES - len(sound)))
    view = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES + ORDER)[::hop][:frames]
    windowed = view[:, ORDER:] * np.hanning(FRAME_SAMPLES)
    power = np.abs(np.fft.rfft(windowed, 2 * FRAME_SAMPLES, axis=1)) ** 2
    correlation = np.fft.irfft(power, axis=1)[:, : ORDER + 1]
    correlation[:, 0] = correlation[:, 0] * 1.0001 + 1e-9
    rows = np.arange(ORDER)
    matrices = correlation[:, np.abs(rows[:, None] - rows[None, :])]
    predictors = np.linalg.solve(matrices, correlation[:, 1:, None])[:, :, 0]
    middle = view[:, ORDER + hop // 2 :][:, :hop]
    result = middle.copy()
    for lag in range(1, ORDER + 1):
        result -= predictors[:, lag - 1 : lag] * view[:, ORDER + hop // 2 - lag :][:, :hop]
    return result.ravel()[: len(sound)]
