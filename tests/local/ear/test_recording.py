import struct

import numpy as np
import pytest

from local.ear.recording import UnreadableRecording, at_8_khz, read_wav, sounding


def wav(tag, bits, body, channels=1, rate_hz=8000, data_bytes=None):
    align = channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * align, align, bits)
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    size = len(body) if data_bytes is None else data_bytes
    return b"RIFF\xff\xff\xff\xff" + b"WAVE" + chunks + b"data" + struct.pack("<I", size) + body


@pytest.mark.parametrize(
    ("tag", "bits", "body"),
    [
        (1, 8, bytes([128, 192, 64])),
        (1, 16, np.array([0, 16384, -16384], "<i2").tobytes()),
        (1, 24, bytes([0, 0, 0, 0, 0, 0x40, 0, 0, 0xC0])),
        (1, 32, np.array([0, 2**30, -(2**30)], "<i4").tobytes()),
        (3, 32, np.array([0, 0.5, -0.5], "<f4").tobytes()),
        (7, 8, bytes([0xFF, 0x8F, 0x0F])),
    ],
)
def test_every_kind_of_wav_is_read_alike(tmp_path, tag, bits, body):
    path = tmp_path / "call.wav"
    path.write_bytes(wav(tag, bits, body))
    samples, rate_hz = read_wav(path)
    assert rate_hz == 8000
    assert samples[:, 0] == pytest.approx([0, 0.5, -0.5], abs=0.02)


def test_channels_are_kept_apart(tmp_path):
    path = tmp_path / "call.wav"
    path.write_bytes(wav(1, 16, np.array([[1, 2], [3, 4]], "<i2").tobytes(), channels=2, rate_hz=44_100))
    samples, rate_hz = read_wav(path)
    assert (samples * 32768).tolist() == [[1, 2], [3, 4]]
    assert rate_hz == 44_100


def test_a_stream_of_unknown_length_is_read_to_its_end(tmp_path):
    path = tmp_path / "call.wav"
    path.write_bytes(wav(7, 8, b"\xff" * 100, data_bytes=0x7FFFF000))
    assert read_wav(path)[0].shape == (100, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"ID3\x04 and more bytes", "RIFF"),
        (wav(2, 4, b"1234"), "format 2 with 4 bits"),
        (wav(7, 8, b"")[:30], "no data chunk"),
    ],
)
def test_what_is_no_wav_is_refused_in_words(tmp_path, content, words):
    path = tmp_path / "call.wav"
    path.write_bytes(content)
    with pytest.raises(UnreadableRecording, match=words):
        read_wav(path)


def test_int16_and_two_channels_become_one_of_floats():
    assert at_8_khz(np.array([[16384, 0], [0, 0]], np.int16)).tolist() == [0.25, 0.0]


def test_a_recording_of_three_dimensions_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 2, 2\)"):
        at_8_khz(np.zeros((2, 2, 2)))


def test_the_click_of_a_connection_is_not_a_beginning():
    sound = np.zeros(16_000)
    sound[1000] = 0.9
    sound[8000:12_000] = 0.1 * np.sin(np.arange(4000))
    start, end = sounding(sound)
    assert start == pytest.approx(8000, abs=5)
    assert end == pytest.approx(12_000, abs=80)
