"""WAV headers for a body whose length is known before its first sample is.

The form of 58 bytes for µ-law (WAVE_FORMAT_MULAW, with `fact`) is what ffmpeg, sox and libsndfile write; 16-bit PCM has
the classic 44. Sources: Microsoft's "Multiple channel audio data and WAVE files", RFC 2361 for the format tags.
"""

import struct

from duckline.timeline import SAMPLE_RATE_HZ

MULAW_TAG = 7
PCM_TAG = 1


def mulaw_header(samples: int) -> bytes:
    """The header before `samples` bytes of 8 kHz mono µ-law."""
    fmt = struct.pack("<4sIHHIIHHH", b"fmt ", 18, MULAW_TAG, 1, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ, 1, 8, 0)
    fact = struct.pack("<4sII", b"fact", 4, samples)
    return _riff(fmt + fact, samples)


def pcm16_header(samples: int, rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """The header before `samples` × 2 bytes of mono 16-bit PCM."""
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, PCM_TAG, 1, rate_hz, rate_hz * 2, 2, 16)
    return _riff(fmt, samples * 2)


def _riff(chunks: bytes, data_bytes: int) -> bytes:
    body = b"WAVE" + chunks + struct.pack("<4sI", b"data", data_bytes)
    padding = data_bytes % 2  # chunks are even; the pad byte counts towards RIFF but not towards data
    return struct.pack("<4sI", b"RIFF", len(body) + data_bytes + padding) + body
