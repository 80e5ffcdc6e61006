"""The reel on which music is gathered, piece after piece, until it is a loop."""

import numpy as np

from duckline.sound.loop import fade_samples, faded, looped, repeated
from duckline.timeline import SAMPLE_RATE_HZ

_MOVED_SAMPLES = 1 << 16


class Reel:
    """Up to `longest_s` of float32 at 8 kHz in one array, which takes memory only as it fills: 32 kB a second."""

    def __init__(self, longest_s: float) -> None:
        self._samples = np.empty(round((longest_s + 60) * SAMPLE_RATE_HZ), np.float32)
        self._used = 0
        self._first = self._last = 0  # the lengths of the first and the latest piece

    @property
    def free(self) -> np.ndarray:
        """Where the next piece can be written before it is spliced."""
        return self._samples[self._used :]

    @property
    def seconds(self) -> float:
        return self._used / SAMPLE_RATE_HZ

    def splice(self, piece: np.ndarray) -> None:
        """Adds `piece`, which may lie in `free`; what was there before fades into it."""
        piece = repeated(piece)
        fade = fade_samples(self._last, len(piece)) if self._used else 0
        if fade:
            before = self._samples[self._used - fade : self._used]
            before[:] = faded(before, piece[:fade])
        # In steps, since numpy copies the whole of what overlaps its own destination.
        for first in range(fade, len(piece), _MOVED_SAMPLES):
            step = piece[first : first + _MOVED_SAMPLES]
            self._samples[self._used : self._used + len(step)] = step
            self._used += len(step)
        self._last = len(piece)
        self._first = self._first or len(piece)

    def loop(self) -> np.ndarray:
        """All that was spliced as one loop of whole seconds; the reel is not to be used after it."""
        return looped(self._samples[: self._used], fade_samples(self._first, self._last))
