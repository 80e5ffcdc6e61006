import io
import struct
import wave

import numpy as np
import pytest

from local.twilio.wav import MULAW, PCM, WavError, WavReader


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def fmt(tag=MULAW, channels=1, rate_hz=8000, width=1, extra=b"\0\0") -> bytes:
    fields = (tag, channels, rate_hz, rate_hz * width * channels, width * channels, 8 * width)
    return chunk(b"fmt ", struct.pack("<HHIIHH", *fields) + extra)


def fact(samples: int) -> bytes:
    return chunk(b"fact", struct.pack("<I", samples))


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


AUDIO = bytes(range(200))
PLAIN = riff(fmt(), fact(200), chunk(b"data", AUDIO))


def read(body: bytes, piece_bytes: int) -> tuple[bytes, WavReader]:
    reader = WavReader()
    audio = b"".join(reader.feed(body[start : start + piece_bytes]) for start in range(0, len(body), piece_bytes))
    return audio, reader


@pytest.mark.parametrize("piece_bytes", [1, 2, 7, 13, 57, 58, 59, 10_000])
def test_the_audio_comes_out_whole_in_whatever_pieces_the_file_comes(piece_bytes):
    audio, reader = read(PLAIN, piece_bytes)
    assert audio == AUDIO
    assert reader.complete
    assert (reader.format.tag, reader.format.data_bytes, reader.format.fact_samples) == (MULAW, 200, 200)
    assert reader.problems == []


def test_a_file_of_the_standard_library_is_read():
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(np.arange(100, dtype="<i2").tobytes())
    audio, reader = read(file.getvalue(), 11)
    assert audio == np.arange(100, dtype="<i2").tobytes()
    assert (reader.format.tag, reader.format.bytes_per_sample) == (PCM, 2)
    assert reader.problems == []


def test_chunks_that_are_not_known_are_walked_over_padding_and_all():
    odd = chunk(b"LIST", b"abc")
    audio, reader = read(riff(odd, fmt(), chunk(b"bext", b"x" * 600), fact(200), chunk(b"data", AUDIO)), 5)
    assert audio == AUDIO
    assert reader.problems == []


def test_what_follows_the_audio_is_not_heard():
    audio, reader = read(PLAIN + chunk(b"LIST", b"abcd"), 9)
    assert audio == AUDIO
    assert reader.left_over_bytes == 12


@pytest.mark.parametrize("unknown", [0x7FFFF000, 0xFFFFFFFF])
def test_a_length_that_could_not_be_known_is_no_length(unknown):
    header = b"RIFF" + struct.pack("<I", unknown) + b"WAVE" + fmt() + fact(0) + b"data" + struct.pack("<I", unknown)
    audio, reader = read(header + AUDIO, 50)
    assert audio == AUDIO
    assert reader.format.data_bytes is None
    assert not reader.complete
    assert reader.problems == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"ID3\x04" + bytes(60), "begins"),
        (b"<html>not a sound</html>", "b'RIFF'"),
        (PLAIN.replace(b"RIFF", b"RIFX"), "RIFX"),
        (riff(chunk(b"data", AUDIO)), "before any fmt"),
        (riff(chunk(b"fmt ", b"\7\0"), chunk(b"data", AUDIO)), "2 bytes"),
        (riff(fmt(tag=6), chunk(b"data", AUDIO)), "tag is 6"),
        (riff(fmt(tag=0xFFFE), chunk(b"data", AUDIO)), "tag is 65534"),
        (riff(fmt(channels=2), chunk(b"data", AUDIO)), "2 channels"),
        (riff(fmt(rate_hz=16000), chunk(b"data", AUDIO)), "16000 Hz"),
        (riff(fmt(tag=PCM, width=1), chunk(b"data", AUDIO)), "8 bits"),
        (PLAIN.replace(struct.pack("<IIHH", 8000, 8000, 1, 8), struct.pack("<IIHH", 8000, 16000, 1, 8)), "16000 bytes"),
        (riff(fmt(), fact(0), chunk(b"data", b"")), "0 bytes"),
        (riff(chunk(b"junk", bytes(70_000)), fmt(), chunk(b"data", AUDIO)), "no audio in the first"),
    ],
)
def test_a_header_that_no_player_could_go_by_is_refused_with_what_came(body, says):
    with pytest.raises(WavError, match=says):
        read(body, 4096)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (PLAIN[:4] + struct.pack("<I", 36 + 200) + PLAIN[8:], "RIFF declares 236"),
        (riff(fmt(), chunk(b"data", AUDIO)), "no fact"),
        (riff(fmt(), fact(199), chunk(b"data", AUDIO)), "fact declares 199"),
    ],
)
def test_a_header_that_contradicts_itself_is_played_and_told(body, says):
    audio, reader = read(body, 64)
    assert audio == AUDIO
    (problem,) = reader.problems
    assert says in problem
