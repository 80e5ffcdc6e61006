"""Music joined to music: cross-fades that keep the level, and an end that runs into the beginning.

All of it is float32 at 8 kHz, one channel.
"""

import math

import numpy as np

from duckline.timeline import SAMPLE_RATE_HZ

FADE_S = 2.0
SHORTEST_S = 5.0  # of a piece of music; what is shorter is repeated
MOST_CANCELLING = -0.5  # correlation below which a fade's loss is no longer made up for


def faded(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """`before` giving way to `after`, both equally long.

    Sine and cosine keep the power of music that has nothing in common. What is alike adds up to more, by up to 3 dB,
    and what is alike in opposite phase to less. So the sum is divided by what the correlation makes of it: two that are
    the same pass into each other unchanged.
    """
    angle = (np.arange(len(before)) + 0.5) * (math.pi / 2 / len(before))
    energies = math.sqrt(_dot(before, before) * _dot(after, after))
    correlation = max(_dot(before, after) / energies, MOST_CANCELLING) if energies else 0.0
    summed = before * np.cos(angle) + after * np.sin(angle)
    return (summed / np.sqrt(1 + correlation * np.sin(2 * angle))).astype(np.float32)


def fade_samples(*lengths: int) -> int:
    """How long pieces of music of these lengths fade into each other: two seconds, or an eighth of the shortest."""
    return min(round(FADE_S * SAMPLE_RATE_HZ), *(length // 8 for length in lengths))


def repeated(piece: np.ndarray) -> np.ndarray:
    """`piece`, if it is shorter than SHORTEST_S so often that it is not, each end faded into the next beginning."""
    wanted = round(SHORTEST_S * SAMPLE_RATE_HZ)
    if len(piece) >= wanted:
        return piece
    fade = len(piece) // 4
    pass_on = np.concatenate((piece[fade : len(piece) - fade], faded(piece[len(piece) - fade :], piece[:fade])))
    times = -(-wanted // len(pass_on))
    return np.concatenate((piece[:fade], np.tile(pass_on, times)))


def looped(music: np.ndarray, fade: int) -> np.ndarray:
    """The most whole seconds of `music` whose end runs into its beginning, over its last `fade` samples.

    The loop begins after the fade, with music as it is. It is a part of `music`, whose end is overwritten.
    """
    samples = (len(music) - fade) // SAMPLE_RATE_HZ * SAMPLE_RATE_HZ
    tail = music[samples : samples + fade]
    tail[:] = faded(tail, music[:fade])
    return music[fade : samples + fade]


def _dot(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.einsum("i,i->", one, other, dtype=np.float64))
