"""How loud a sound is, in dBov: 0 dBov is the RMS of full scale, that is of ±1.0 held or of a full-scale square wave.

A full-scale sine is therefore at −3.01 dBov, and 0 dBm0 of the telephone network is −6.2 dBov (ITU-T G.711). Everything
here measures in float64 and takes float32 in [−1, 1).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from duckline.sound.band import TELEPHONE_HIGH_HZ, TELEPHONE_LOW_HZ
from duckline.timeline import SAMPLE_RATE_HZ

SILENT_DBOV = -math.inf

# ITU-T P.56, method B
ENVELOPE_S = 0.030
HANGOVER_S = 0.200
MARGIN_DB = 15.9
THRESHOLDS = 2.0 ** np.arange(-15, 0)  # of the envelope, 6.02 dB apart

_SECONDS_AT_A_TIME = 8  # half a megabyte at 8 kHz, and half the time that one by one would take


@dataclass(frozen=True, slots=True)
class ActiveLevel:
    """The level of a voice while it speaks, and the part of the time that it does. Silence is −inf dBov, activity 0."""

    level_dbov: float
    activity: float


def dbov(mean_square: float) -> float:
    return 10 * math.log10(mean_square) if mean_square > 0 else SILENT_DBOV


def rms_dbov(pcm: np.ndarray) -> float:
    """The level of all of `pcm`, pauses and all frequencies included."""
    return dbov(_energy(pcm) / max(len(pcm), 1))


def band_rms_dbov(
    pcm: np.ndarray,
    low_hz: float = TELEPHONE_LOW_HZ,
    high_hz: float = TELEPHONE_HIGH_HZ,
    rate_hz: int = SAMPLE_RATE_HZ,
) -> float:
    """The level of what `pcm` holds between `low_hz` and `high_hz`."""
    return dbov(band_mean_square([pcm], low_hz, high_hz, rate_hz))


def band_mean_square(
    blocks: Iterable[np.ndarray],
    low_hz: float = TELEPHONE_LOW_HZ,
    high_hz: float = TELEPHONE_HIGH_HZ,
    rate_hz: int = SAMPLE_RATE_HZ,
) -> float:
    """The mean square of what `blocks` hold between `low_hz` and `high_hz`, for a sound too long to be held.

    The spectrum of a second at a time, of which bin k is k Hz. The seconds overlap by 50 ms, over which one fades into
    the other, equal in power, so that every sample counts once and no strong bass leaks upwards from a hard cut.
    """
    overlap = rate_hz // 20
    hop = rate_hz - overlap
    rising = np.sin((np.arange(overlap) + 0.5) * (math.pi / 2 / overlap))
    window = np.concatenate((rising, np.ones(rate_hz - 2 * overlap), rising[::-1]))
    power, samples = 0.0, 0
    waiting, waiting_samples = [np.zeros(overlap)], overlap
    for block in chain(blocks, [None]):
        samples += 0 if block is None else len(block)
        waiting.append(np.zeros(rate_hz) if block is None else block)
        waiting_samples += len(waiting[-1])
        seconds = (waiting_samples - overlap) // hop
        if seconds < _SECONDS_AT_A_TIME and block is not None:
            continue
        sound = np.concatenate(waiting)
        windows = sliding_window_view(sound, rate_hz)[::hop][:seconds]
        for first in range(0, seconds, _SECONDS_AT_A_TIME):
            some = windows[first : first + _SECONDS_AT_A_TIME] * window
            spectrum = np.fft.rfft(some)[:, round(low_hz) : round(high_hz) + 1]
            power += 2 * _energy(spectrum.ravel().view(np.float64)) / rate_hz
        waiting = [sound[seconds * hop :]]
        waiting_samples = len(waiting[0])
    return power / max(samples, 1)


def active_level_dbov(pcm: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ) -> ActiveLevel:
    """The active speech level by ITU-T P.56, method B.

    The envelope is the rectified signal smoothed twice over 30 ms. For each threshold the time is counted in which the
    envelope reaches it or did so in the 200 ms before. The higher the threshold, the shorter that time and the less its
    level stands over the threshold; the true level is where it stands 15.9 dB over, found between two in decibels.
    """
    energy = _energy(pcm)
    if energy == 0:
        return ActiveLevel(SILENT_DBOV, 0.0)
    pole = math.exp(-1 / (rate_hz * ENVELOPE_S))
    envelope = _smoothed(_smoothed(np.abs(pcm.astype(np.float64)), pole), pole)
    hangover = round(rate_hz * HANGOVER_S)

    whole_dbov = dbov(energy / len(pcm))
    level_dbov = whole_dbov  # if no threshold comes near: a sound of some milliseconds, or below −90 dBov
    lower: tuple[float, float] | None = None
    for threshold in THRESHOLDS:
        active = _active_samples(envelope, threshold, hangover)
        if active == 0:
            break
        at_dbov = dbov(energy / active)
        margin_db = at_dbov - 20 * math.log10(threshold)
        if margin_db <= MARGIN_DB:
            level_dbov = at_dbov if lower is None else _between(MARGIN_DB, (margin_db, at_dbov), lower)
            break
        lower = margin_db, at_dbov
    return ActiveLevel(level_dbov, min(10 ** ((whole_dbov - level_dbov) / 10), 1.0))


def _between(x: float, one: tuple[float, float], other: tuple[float, float]) -> float:
    """The straight line through the points `one` and `other`, at `x`."""
    return one[1] + (x - one[0]) * (other[1] - one[1]) / (other[0] - one[0])


def _energy(pcm: np.ndarray) -> float:
    # einsum, not dot: the BLAS's threads cost more than they bring, and add in an order that depends on their number.
    wide = np.asarray(pcm, np.float64)
    return float(np.einsum("i,i->", wide, wide))


def _active_samples(envelope: np.ndarray, threshold: float, hangover: int) -> int:
    """How many samples reach `threshold`, each stretch of them prolonged by `hangover`."""
    above = np.flatnonzero(envelope >= threshold)
    if len(above) == 0:
        return 0
    steps = np.diff(above, append=len(envelope))
    return int(np.minimum(steps, hangover + 1).sum())


def _smoothed(samples: np.ndarray, pole: float, block: int = 64) -> np.ndarray:
    """y[n] = pole · y[n−1] + (1 − pole) · x[n] from rest.

    In rows of `block` samples: each row by itself as one matrix product, then what its end carries into the next rows,
    which is the same recursion, `block` times as coarse.
    """
    if len(samples) <= block:
        carried, result = 0.0, np.empty(len(samples))
        for n, sample in enumerate(samples):
            carried = result[n] = pole * carried + (1 - pole) * sample
        return result
    rows = -(-len(samples) // block)
    padded = np.zeros(rows * block)
    padded[: len(samples)] = samples
    ages = np.arange(block) - np.arange(block)[:, None]  # how long ago input i was, at output j
    response = (1 - pole) * np.where(ages >= 0, pole ** np.maximum(ages, 0), 0.0)
    local = padded.reshape(rows, block) @ response
    coarse_pole = pole**block
    ends = _smoothed(local[:, -1] / (1 - coarse_pole), coarse_pole, block)
    local[1:] += ends[:-1, None] * pole ** np.arange(1, block + 1)
    return local.ravel()[: len(samples)]
