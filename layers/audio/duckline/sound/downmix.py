"""Several channels to one, without losing what they hold in opposite phase.

Adding left and right cancels what is the same in both with the sign reversed: whole instruments of some recordings, or
everything where a cable was wired the wrong way round. So each channel is added with the sign under which more is left.
"""

from collections.abc import Iterable, Iterator

import numpy as np

FLIP_DB = 6.0  # that much more must be left before a sign changes, so that ordinary stereo is never touched
_MEMORY = 0.7  # of what was measured before, from block to block
_DIFFERENCE_HZ = 10_000  # differences between samples so far apart weigh 5 kHz most and bass least


def one_channel(blocks: Iterable[np.ndarray], rate_hz: int) -> Iterator[np.ndarray]:
    """The mean of the channels of `blocks` (float32, shape (samples, channels)), each with the sign that keeps most.

    A sign that changes passes through zero over the length of one block, so there is no click.
    """
    signs = gram = None
    for block in blocks:
        channels = block.shape[1]
        if channels == 1:
            yield block[:, 0]
            continue
        now = _gram(block, rate_hz)
        gram = now if gram is None else _MEMORY * gram + (1 - _MEMORY) * now
        before, signs = signs, _signs(gram, signs)
        if before is None or (before == signs).all():
            shares = signs / np.float32(channels)
        else:
            shares = (np.linspace(before, signs, len(block)) / channels).astype(np.float32).T
        yield sum(block[:, channel] * shares[channel] for channel in range(channels))


def _gram(block: np.ndarray, rate_hz: int) -> np.ndarray:
    """How much the channels have in common, each with each, in the frequencies that a telephone carries."""
    apart = max(round(rate_hz / _DIFFERENCE_HZ), 1)
    few = block[::apart]
    differences = (few[1:] - few[:-1]).T
    return np.einsum("in,jn->ij", differences, differences).astype(np.float64)


def _signs(gram: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """+1 or −1 for each channel, so that it adds to those before it; as `before` unless that loses FLIP_DB more."""
    signs = np.ones(len(gram), np.float32) if before is None else before.copy()
    for channel in range(1, len(gram)):
        mixed = gram[:channel, :channel] @ signs[:channel] @ signs[:channel]
        common = 2 * gram[channel, :channel] @ signs[:channel] * signs[channel]
        alone = gram[channel, channel]
        kept, flipped = mixed + alone + common, mixed + alone - common
        if kept * 10 ** (FLIP_DB / 10) < flipped:
            signs[channel] = -signs[channel]
    return signs
