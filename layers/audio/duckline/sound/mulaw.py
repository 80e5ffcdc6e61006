"""µ-law (ITU-T G.711), the one byte per sample that a telephone carries, to and from float32.

Floats are in [−1, 1): ±1.0 is 16-bit full scale. µ-law reaches ±32124 of 32768, so the loudest code is 0.9804.
Encoding takes the nearest of the 255 distinct values, so that no bias adds up, and writes zero as 0xFF (+0), never as
0x7F (−0). Therefore decode-then-encode gives back every byte but 0x7F.
"""

import numpy as np

SILENCE = b"\xff"
FULL_SCALE = 32768.0  # of int16

_DECODED_AT_ONCE = 8000  # samples: numpy makes wide numbers of their codes, which so stay in the processor's cache


def _levels() -> np.ndarray:
    """The 16-bit value of each of the 256 codes: inverted bits of sign, 3-bit exponent, 4-bit mantissa, bias 0x84."""
    bits = ~np.arange(256) & 0xFF
    magnitude = ((((bits & 0x0F) << 3) + 0x84) << ((bits >> 4) & 7)) - 0x84
    return np.where(bits & 0x80, -magnitude, magnitude).astype(np.int16)


def _nearest_codes(levels: np.ndarray) -> np.ndarray:
    """The code nearest to each int16 value, at index `value + 32768`; of two equally near, the softer."""
    magnitudes = levels[0xFF:0x7F:-1].astype(np.int32)  # 0xFF down to 0x80: 0 up to 32124
    halfway = (magnitudes[1:] + magnitudes[:-1]) / 2
    values = np.arange(-32768, 32768)
    step = np.searchsorted(halfway, np.abs(values), side="left")
    negative = (values < 0) & (step > 0)
    return np.where(negative, 0x7F - step, 0xFF - step).astype(np.uint8)


_LEVELS = _levels()
_TO_FLOAT = (_LEVELS / FULL_SCALE).astype(np.float32)
_FROM_INT16 = _nearest_codes(_LEVELS)
_FROM_LOW_BITS = np.roll(_FROM_INT16, -(1 << 15))  # at index `value`, or `value + 65536` if it is negative
# Beside so large a number a float32 has no room for a fraction. So a sum with it is rounded to the nearest integer, of
# two equally near to the even one as IEEE 754 has it, and its lowest 16 bits are that integer's.
_ROUNDING = np.float32(1.5 * 2**23)


class Scratch:
    """Buffers for encoding up to `samples` at a time, for a caller that encodes often and wants no allocations."""

    __slots__ = ("codes", "indices", "scaled")

    def __init__(self, samples: int) -> None:
        self.scaled = np.empty(samples, np.float32)
        self.indices = np.empty(samples, np.intp)
        self.codes = np.empty(samples, np.uint8)


def encode(pcm: np.ndarray, scratch: Scratch | None = None, *, bounded: bool = False) -> bytes:
    """`pcm` (float32, one channel, finite) as µ-law, rounded to 16 bits first; what lies outside [−1, 1) is clipped.

    `scratch` must hold at least `len(pcm)` samples. Who knows `pcm` to be `bounded` within [−1, 1) spares looking.
    """
    scratch = scratch or Scratch(len(pcm))
    scaled, indices, codes = scratch.scaled[: len(pcm)], scratch.indices[: len(pcm)], scratch.codes[: len(pcm)]
    np.multiply(pcm, FULL_SCALE, out=scaled, dtype=np.float32, casting="same_kind")
    if not bounded:
        np.maximum(scaled, -FULL_SCALE, out=scaled)  # the two take a third of the time of np.clip
        np.minimum(scaled, FULL_SCALE - 1, out=scaled)
    np.add(scaled, _ROUNDING, out=scaled)
    np.copyto(indices, scaled.view(np.uint16)[::2])  # the lower half: Lambda's processors are little-endian
    np.take(_FROM_LOW_BITS, indices, out=codes, mode="clip")
    return codes.tobytes()


def decode(mulaw: bytes, out: np.ndarray | None = None) -> np.ndarray:
    """`mulaw` as float32, into `out` (float32, as long as `mulaw`) if given."""
    codes = np.frombuffer(mulaw, np.uint8)
    pcm = np.empty(len(codes), np.float32) if out is None else out
    for first in range(0, len(codes), _DECODED_AT_ONCE):
        some = slice(first, first + _DECODED_AT_ONCE)
        np.take(_TO_FLOAT, codes[some], out=pcm[some], mode="clip")
    return pcm
