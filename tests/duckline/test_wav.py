import io
import struct
import subprocess
import wave

import imageio_ffmpeg
import pytest

from duckline.timeline import FRAME_BYTES, SAMPLE_RATE_HZ
from duckline.wav import mulaw_header, pcm16_header

A_SECOND = bytes(range(256)) * 31 + bytes(64)


@pytest.fixture
def ffmpeg():
    def run(*arguments: str, given: bytes = b"") -> bytes:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-bitexact", *arguments]
        return subprocess.run(command, input=given, capture_output=True, check=True).stdout

    return run


def chunks(header: bytes) -> dict[bytes, bytes]:
    """The chunks of a RIFF file by name; the last one without its body."""
    at, found = 12, {}
    while at < len(header):
        name, size = struct.unpack_from("<4sI", header, at)
        found[name] = header[at + 8 : at + 8 + size]
        at += 8 + size
    return found


def test_the_mulaw_header_is_the_one_that_ffmpeg_writes(ffmpeg, tmp_path):
    file = tmp_path / "a.wav"
    raw = ["-f", "mulaw", "-ar", "8000", "-ac", "1", "-i", "pipe:0"]
    ffmpeg(*raw, "-c:a", "copy", "-flags", "+bitexact", "-fflags", "+bitexact", str(file), given=A_SECOND)
    assert file.read_bytes() == mulaw_header(len(A_SECOND)) + A_SECOND


def test_what_follows_the_mulaw_header_is_read_as_that_sound(ffmpeg):
    read = ffmpeg("-i", "pipe:0", "-c:a", "copy", "-f", "mulaw", "pipe:1", given=mulaw_header(8000) + A_SECOND)
    assert read == A_SECOND


def test_the_mulaw_header_tells_its_format_and_its_length():
    header = mulaw_header(42_000 * FRAME_BYTES)
    assert len(header) == 58
    assert struct.unpack_from("<4sI4s", header) == (b"RIFF", 50 + 42_000 * FRAME_BYTES, b"WAVE")
    assert struct.unpack("<HHIIHHH", chunks(header)[b"fmt "]) == (7, 1, 8000, 8000, 1, 8, 0)
    assert struct.unpack("<I", chunks(header)[b"fact"]) == (42_000 * FRAME_BYTES,)
    assert struct.unpack_from("<4sI", header, 50) == (b"data", 42_000 * FRAME_BYTES)


@pytest.mark.parametrize("rate_hz", [SAMPLE_RATE_HZ, 44_100])
def test_the_pcm_header_is_read_by_the_standard_library(rate_hz):
    pcm = struct.pack("<4h", 0, 1, -1, 32_000)
    header = pcm16_header(4, rate_hz)
    assert len(header) == 44
    with wave.open(io.BytesIO(header + pcm)) as file:
        assert file.getparams()[:4] == (1, 2, rate_hz, 4)
        assert file.readframes(4) == pcm


def test_an_odd_length_counts_its_pad_byte_in_riff_alone():
    header = mulaw_header(161)
    assert struct.unpack_from("<I", header, 4) == (50 + 161 + 1,)
    assert struct.unpack_from("<I", header, 54) == (161,)


def test_an_empty_body_has_a_header_too():
    assert struct.unpack_from("<I", mulaw_header(0), 54) == (0,)
    assert struct.unpack_from("<I", pcm16_header(0), 40) == (0,)
