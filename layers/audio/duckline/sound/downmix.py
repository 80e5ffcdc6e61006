"""Several channels to one, without losing what they hold in opposite phase.

Adding left and right cancels what is the same in both with the sign reversed: whole instruments of some recordings, or
everything where a cable was wired the wrong way round. Such a channel is subtracted.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from duckline.sound.band import TELEPHONE_HIGH_HZ, TELEPHONE_LOW_HZ

MOST_OPPOSED = 0.6  # of a channel's power may cancel before its sign changes, so that ordinary stereo is never touched
GLIDE_S = 0.1
_EXCERPT_SAMPLES = 2048  # a length that has a fast Fourier transform


def one_channel(blocks: Iterable[np.ndarray], rate_hz: int) -> Iterator[np.ndarray]:
    """The mean of the channels of `blocks` (float32, shape (samples, channels)), with signs that do not cancel.

    The sign is chosen anew for each block. One that changes passes through zero within 100 ms, so there is no click.
    """
    signs = None
    for block in blocks:
        channels = block.shape[1]
        if channels == 1:
            yield block[:, 0]
            continue
        before, signs = signs, _signs(_gram(block, rate_hz), signs)
        if (signs > 0).all():
            mixed = sum(block.T[1:], start=block[:, 0])
        else:
            mixed = sum(block[:, channel] * signs[channel] for channel in range(channels))
        if before is not None and (before != signs).any():
            glide = round(GLIDE_S * rate_hz)
            weights = np.linspace(before, signs, glide, dtype=np.float32)[: len(block)]
            mixed[:glide] = (block[:glide] * weights).sum(axis=1)
        mixed /= np.float32(channels)
        yield mixed


def _gram(block: np.ndarray, rate_hz: int) -> np.ndarray:
    """What the channels have in common, each with each, in the frequencies that a telephone carries.

    A quarter of a second tells, and of that every n-th sample: what folds into the band brings its phase along.
    """
    apart = max(rate_hz // (2 * TELEPHONE_HIGH_HZ), 1)
    excerpt = block[: _EXCERPT_SAMPLES * apart : apart]
    hz = rate_hz / apart / len(excerpt)
    spectra = np.fft.rfft(excerpt.T)
    band = np.ascontiguousarray(spectra[:, int(TELEPHONE_LOW_HZ / hz) : int(TELEPHONE_HIGH_HZ / hz) + 1])
    parts = band.view(band.real.dtype)
    return np.einsum("in,jn->ij", parts, parts, dtype=np.float64)


def _signs(gram: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """+1 or −1 for each channel: as `before`, unless it would cancel too much of what those in front of it hold."""
    signs = np.ones(len(gram), np.float32) if before is None else before.copy()
    for channel in range(1, len(gram)):
        in_common = signs[channel] * (gram[channel, :channel] @ signs[:channel])
        if in_common < -MOST_OPPOSED * gram[channel, channel]:
            signs[channel] = -signs[channel]
    return signs
