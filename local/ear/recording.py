"""A recording made ready to be listened to: one channel of floats at 8 kHz, and where in it there is any sound."""

from pathlib import Path

import numpy as np
import soxr

from duckline.sound import mulaw
from duckline.timeline import SAMPLE_RATE_HZ

SILENT = 0.001  # RMS (−60 dBov): comfort noise is softer
BLOCK_SAMPLES = 80

_PCM, _FLOAT, _MULAW, _EXTENSIBLE = 1, 3, 7, 0xFFFE


class UnreadableRecording(ValueError):
    """A file that is not a WAV this module can read."""


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """A WAV file (PCM of 8 to 32 bits, float or µ-law) as floats of shape (samples, channels), and its rate in Hz.

    A length in the header that is longer than the file, as that of a stream, is taken to mean the rest of the file.
    """
    content = path.read_bytes()
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise UnreadableRecording(f"{path} begins with {content[:12]!r}; a WAV file begins with RIFF....WAVE")
    fields, at = None, 12
    while at + 8 <= len(content):
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        body = content[at + 8 : at + 8 + size]
        if name == b"fmt ":
            fields = np.frombuffer(body[:16], "<u2")
            tag = int(fields[0]) if fields[0] != _EXTENSIBLE else int.from_bytes(body[24:26], "little")
        elif name == b"data":
            if fields is None:
                raise UnreadableRecording(f"{path} has its data before its fmt chunk; fmt must come first")
            channels, rate_hz, bits = int(fields[1]), int(fields[2]) | int(fields[3]) << 16, int(fields[7])
            samples = _floats(path, body, tag, bits)
            return samples[: len(samples) // channels * channels].reshape(-1, channels), rate_hz
        at += 8 + size + size % 2
    raise UnreadableRecording(f"{path} has no data chunk")


def at_8_khz(samples: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """`samples` (int16 or float; (samples,), or (samples, channels), which are averaged) as float64 at 8 kHz."""
    sound = np.asarray(samples)
    sound = sound / 32768.0 if sound.dtype == np.int16 else sound.astype(np.float64)
    if sound.ndim == 2:
        sound = sound.mean(axis=1)
    if sound.ndim != 1:
        raise ValueError(f"a recording of shape {sound.shape}; it must be (samples,) or (samples, channels)")
    return sound if rate_hz == SAMPLE_RATE_HZ else soxr.resample(sound, rate_hz, SAMPLE_RATE_HZ, quality="VHQ")


def sounding(sound: np.ndarray) -> tuple[int, int] | None:
    """The first sample and the one past the last of all that is louder than comfort noise; None if nothing is.

    A sound must last 30 of 50 ms: the click of a connection is not a beginning.
    """
    blocks = len(sound) // BLOCK_SAMPLES
    levels = np.sqrt((sound[: blocks * BLOCK_SAMPLES].reshape(blocks, BLOCK_SAMPLES) ** 2).mean(axis=1))
    loud = levels > SILENT
    if blocks < 5:
        return None
    lasting = np.flatnonzero(loud & (np.convolve(loud, np.ones(5), "same") >= 3))
    if len(lasting) == 0:
        return None
    first, last = int(lasting[0]) * BLOCK_SAMPLES, (int(lasting[-1]) + 1) * BLOCK_SAMPLES
    return first + int(np.argmax(np.abs(sound[first:last]) > SILENT)), last


def silent_samples(sound: np.ndarray) -> np.ndarray:
    """A flag for each sample that lies within 2.5 ms, or more, of silence or comfort noise."""
    size = SAMPLE_RATE_HZ // 400
    blocks = -(-len(sound) // size)
    levels = np.sqrt((np.pad(sound, (0, blocks * size - len(sound))).reshape(blocks, size) ** 2).mean(axis=1))
    return np.repeat(levels < SILENT, size)[: len(sound)]


def _floats(path: Path, body: bytes, tag: int, bits: int) -> np.ndarray:
    if tag == _MULAW and bits == 8:
        return mulaw.decode(body).astype(np.float64)
    if tag == _FLOAT and bits in (32, 64):
        return np.frombuffer(body[: len(body) // (bits // 8) * (bits // 8)], f"<f{bits // 8}").astype(np.float64)
    if tag == _PCM and bits == 8:
        return (np.frombuffer(body, np.uint8) - 128.0) / 128
    if tag == _PCM and bits in (16, 24, 32):
        width = bits // 8
        whole = np.frombuffer(body[: len(body) // width * width], np.uint8).reshape(-1, width)
        wide = np.zeros((len(whole), 4), np.uint8)
        wide[:, 4 - width :] = whole
        return wide.view("<i4")[:, 0] / 2.0**31
    raise UnreadableRecording(f"{path} is WAV of format {tag} with {bits} bits; PCM, float and µ-law (7) can be read")
