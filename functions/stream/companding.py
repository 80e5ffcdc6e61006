"""What the stream can do to µ-law without arithmetic on arrays: gain by table, a blend, a change of format.

A gain is a table of 256 bytes for `bytes.translate`, which takes microseconds for a second of audio; numpy would cost
the stream 50 MB and a fifth of a second of cold start. Values follow ITU-T G.711: bias 132, segments of 16 steps.
"""

import math
import struct
from bisect import bisect_left
from functools import cache

from duckline.timeline import FRAME_SAMPLES

SILENCE = 0xFF  # µ-law for zero; a zero byte would be full scale
RAMP_SAMPLES = 20  # gain moves every 2.5 ms: 80 steps in a fade of 200 ms


def _linear(code: int) -> int:
    inverted = ~code & 0xFF
    magnitude = (((inverted & 0x0F) << 3) + 132 << (inverted >> 4 & 0x07)) - 132
    return -magnitude if inverted & 0x80 else magnitude


LINEAR = tuple(_linear(code) for code in range(256))
_BY_VALUE = sorted((LINEAR[code], code) for code in range(256) if code != 0x7F)  # 0x7F is the other zero
_VALUES = [value for value, _ in _BY_VALUE]
_CODES = [code for _, code in _BY_VALUE]
_PCM16 = [struct.pack("<h", value) for value in LINEAR]


def nearest(value: float) -> int:
    """The µ-law code whose value lies nearest to `value` (on the scale of 16 bits)."""
    above = bisect_left(_VALUES, value)
    if above == len(_VALUES):
        return _CODES[-1]
    if above and value - _VALUES[above - 1] < _VALUES[above] - value:
        return _CODES[above - 1]
    return _CODES[above]


@cache
def _gain_table(percent: int) -> bytes:
    return bytes(nearest(value * percent / 100) for value in LINEAR)


def faded(mulaw: bytes, from_frame: int, over_frames: int, *, rising: bool) -> bytes:
    """`mulaw` under the part of a raised cosine over `over_frames` that begins at its frame `from_frame`."""
    ramped = bytearray()
    for at in range(0, len(mulaw), RAMP_SAMPLES):
        passed = min(max((from_frame * FRAME_SAMPLES + at) / (over_frames * FRAME_SAMPLES), 0.0), 1.0)
        gain = 0.5 - 0.5 * math.cos(math.pi * passed)
        ramped += mulaw[at : at + RAMP_SAMPLES].translate(_gain_table(round(100 * (gain if rising else 1 - gain))))
    return bytes(ramped)


def blended(old: bytes, new: bytes) -> bytes:
    """A cross-fade from `old` to `new`, of equal length: for a splice that nobody planned."""
    length = max(len(new), 1)
    return bytes(
        nearest(LINEAR[a] + (LINEAR[b] - LINEAR[a]) * (0.5 - 0.5 * math.cos(math.pi * at / length)))
        for at, (a, b) in enumerate(zip(old, new, strict=True))
    )


def echoed(mulaw: bytes) -> bytes:
    """`mulaw` backwards: what may follow it without a step where its own continuation cannot be had."""
    return mulaw[::-1]


def pcm16(mulaw: bytes) -> bytes:
    """The same samples as 16-bit little-endian PCM."""
    return b"".join(map(_PCM16.__getitem__, mulaw))
