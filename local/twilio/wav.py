"""A WAV body as a player must read it: in pieces of any size, its chunks walked, its claims checked.

RIFF's chunks are four letters, a little-endian length and as many bytes, padded to an even number.
"""

import struct
from dataclasses import dataclass

from duckline.timeline import SAMPLE_RATE_HZ

PCM, MULAW, EXTENSIBLE = 1, 7, 0xFFFE
BITS = {PCM: 16, MULAW: 8}
UNKNOWN_LENGTHS = (0x7FFFF000, 0xFFFFFFFF)  # what writers declare that cannot know (FFmpeg; a stream never finished)
MOST_HEADER_BYTES = 65_536


class WavError(ValueError):
    """A header that no player could go by."""


@dataclass(frozen=True, slots=True)
class WavFormat:
    tag: int
    data_bytes: int | None
    "Audio bytes that are declared; None where the writer could not know."
    fact_samples: int | None

    @property
    def bytes_per_sample(self) -> int:
        return BITS[self.tag] // 8


class WavReader:
    """Bytes of a WAV file in, bytes of its audio out.

    `problems` lists what is wrong but can be lived with, `left_over_bytes` counts what came after the audio.
    """

    def __init__(self) -> None:
        self.format: WavFormat | None = None
        self.problems: list[str] = []
        self.audio_bytes = 0
        self.left_over_bytes = 0
        self._header = bytearray()
        self._fmt: tuple[int, int, int, int, int, int] | None = None
        self._fact: int | None = None
        self._at = 0

    @property
    def complete(self) -> bool:
        """Whether all the audio that the header declares has come."""
        return self.format is not None and self.audio_bytes == self.format.data_bytes

    def feed(self, data: bytes) -> bytes:
        """The audio in the next piece of the file. WavError once the header proves unplayable."""
        if self.format is None:
            self._header += data
            if not self._walk():
                return b""
            data = bytes(self._header[self._at :])
            self._header.clear()
        assert self.format is not None  # noqa: S101 (for the type checker: _walk() has set it)
        if self.format.data_bytes is not None:
            room = self.format.data_bytes - self.audio_bytes
            self.left_over_bytes += max(0, len(data) - room)
            data = data[:room]
        self.audio_bytes += len(data)
        return data

    def _walk(self) -> bool:
        """Go on through the header; whether the audio has been reached."""
        header = self._header
        if not self._at:
            if len(header) < 12:
                return False
            if header[:4] != b"RIFF" or header[8:12] != b"WAVE":
                raise WavError(f"the body begins {bytes(header[:12])!r}; b'RIFF', a length and b'WAVE' is right")
            self._at = 12
        while len(header) >= self._at + 8:
            name, length = struct.unpack_from("<4sI", header, self._at)
            if name == b"data":
                self._at += 8
                self.format = self._checked(length)
                return True
            end = self._at + 8 + length + length % 2
            if end > MOST_HEADER_BYTES:
                raise WavError(f"no audio in the first {MOST_HEADER_BYTES} bytes: chunk {name!r} has {length}")
            if len(header) < end:
                return False
            self._read_chunk(name, bytes(header[self._at + 8 : self._at + 8 + length]))
            self._at = end
        return False

    def _read_chunk(self, name: bytes, content: bytes) -> None:
        if name == b"fmt ":
            if len(content) < 16:
                raise WavError(f"the fmt chunk has {len(content)} bytes; 16 or more is right")
            self._fmt = struct.unpack_from("<HHIIHH", content)
        elif name == b"fact" and len(content) >= 4:
            (self._fact,) = struct.unpack_from("<I", content)

    def _checked(self, data_bytes: int) -> WavFormat:
        if self._fmt is None:
            raise WavError("the data chunk comes before any fmt chunk")
        tag, channels, rate_hz, bytes_per_s, align, bits = self._fmt
        if tag not in BITS:
            raise WavError(f"the format tag is {tag}; {MULAW} (µ-law) or {PCM} (PCM) is right")
        if (channels, rate_hz, bits) != (1, SAMPLE_RATE_HZ, BITS[tag]):
            raise WavError(
                f"the sound has {channels} channels, {rate_hz} Hz, {bits} bits; "
                f"1, {SAMPLE_RATE_HZ}, {BITS[tag]} is right"
            )
        width = bits // 8
        if (align, bytes_per_s) != (width, width * rate_hz):
            raise WavError(
                f"block align is {align} and {bytes_per_s} bytes a second; {width} and {width * rate_hz} is right"
            )
        if data_bytes == 0:
            raise WavError("the data chunk declares 0 bytes; players then play nothing")
        self._doubt(data_bytes, width)
        known = None if data_bytes in UNKNOWN_LENGTHS else data_bytes
        return WavFormat(tag, known, self._fact)

    def _doubt(self, data_bytes: int, width: int) -> None:
        (riff_bytes,) = struct.unpack_from("<I", self._header, 4)
        if data_bytes in UNKNOWN_LENGTHS:
            return
        needed = self._at + data_bytes + data_bytes % 2 - 8
        if riff_bytes not in (needed, needed - data_bytes % 2):
            self.problems.append(f"RIFF declares {riff_bytes} bytes, its chunks come to {needed}")
        if self._fmt and self._fmt[0] == MULAW and self._fact is None:
            self.problems.append("no fact chunk; a format that is not PCM must have one")
        if self._fact is not None and self._fact != data_bytes // width:
            self.problems.append(f"fact declares {self._fact} samples, data {data_bytes // width}")


class RawMulaw:
    """`audio/ulaw`: nothing but µ-law."""

    format = WavFormat(MULAW, None, None)
    complete = False
    left_over_bytes = 0

    def __init__(self) -> None:
        self.problems: list[str] = []

    def feed(self, data: bytes) -> bytes:
        return data
