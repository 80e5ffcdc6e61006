import struct
from functools import cache

import numpy as np
import pytest

from duckline.errors import UnreadableAudio
from duckline.sound.container import recognise
from duckline.sound.promise import missing_bytes

FILES = {
    "song.wav": ("wav", []),
    "long.wav": ("wav", ["-rf64", "always"]),
    "constant.mp3": ("mp3", ["-b:a", "128k"]),
    "variable.mp3": ("mp3", ["-q:a", "3"]),
    "tagged.mp3": ("mp3", ["-metadata", "title=" + "A long title, " * 40]),
    "mono.mp3": ("mp3", ["-ac", "1", "-ar", "22050"]),
    "vorbis.ogg": ("ogg", ["-c:a", "libvorbis"]),
    "opus.ogg": ("ogg", ["-c:a", "libopus"]),
    "song.m4a": ("mov", ["-c:a", "aac"]),
    "to-be-streamed.m4a": ("mov", ["-c:a", "aac", "-movflags", "faststart"]),
    "in-fragments.m4a": ("mov", ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "500000"]),
}


@pytest.fixture(scope="module")
def file(encode, music):
    return cache(lambda name: encode(name, music[: 5 * 44_100], *FILES[name][1]))


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_lacks_nothing(file, name):
    assert missing_bytes(file(name), FILES[name][0]) == 0


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.3, 0.71, 0.95])
def test_wherever_a_file_was_cut_off_it_is_noticed(file, tmp_path, name, share):
    whole = file(name).read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: int(len(whole) * share)])
    assert 0 < missing_bytes(path, FILES[name][0]) < len(whole)
    with pytest.raises(UnreadableAudio, match="send it whole"):
        recognise(path, 60)


@pytest.mark.parametrize("share", [0.3, 0.8])
@pytest.mark.parametrize("seconds", [0.5, 5])
def test_a_flac_is_held_to_the_samples_it_promises(encode, music, tmp_path, share, seconds):
    for rate_hz in (8000, 44_100):
        whole = encode("song.flac", music[: round(seconds * rate_hz)], rate_hz=rate_hz)
        assert recognise(whole, 60).seconds == pytest.approx(seconds, abs=0.01)
        path = tmp_path / "song.flac"
        path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
        with pytest.raises(UnreadableAudio, match="send it whole"):
            recognise(path, 60)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFDB, 0x80000000, 0xFFFFFFFF])
def test_a_wav_that_was_streamed_promises_nothing(file, tmp_path, size):
    body = bytearray(file("song.wav").read_bytes())
    at = body.index(b"data") + 4
    body[4:8] = body[at : at + 4] = struct.pack("<I", size)
    path = tmp_path / "streamed.wav"
    path.write_bytes(body)
    assert missing_bytes(path, "wav") == 0
    assert recognise(path, 60).rate_hz == 44_100


@pytest.mark.parametrize("off_by", [-44, -8, 8, 44])
def test_a_header_that_counts_itself_is_forgiven(tmp_path, off_by):
    samples = np.zeros(400, "<i2").tobytes()
    layout = struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16_000, 2, 16)
    body = b"WAVEfmt " + layout + b"data" + struct.pack("<I", len(samples) + off_by) + samples
    path = tmp_path / "sloppy.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert missing_bytes(path, "wav") == 0


def test_what_follows_the_sound_does_no_harm(file, tmp_path):
    path = tmp_path / "tagged"
    for name in ("constant.mp3", "vorbis.ogg", "song.wav"):
        path.write_bytes(file(name).read_bytes() + b"TAG" + bytes(125))
        assert missing_bytes(path, FILES[name][0]) == 0


def test_fraunhofers_header_is_read_too(file, tmp_path):
    frame = bytearray(file("constant.mp3").read_bytes()[:400])
    frame[:4] = b"\xff\xfb\x90\x64"
    frame[4:] = bytes(len(frame) - 4)
    frame[36:54] = b"VBRI" + struct.pack(">HHHII", 1, 0, 75, 4000, 10)
    path = tmp_path / "vbri.mp3"
    path.write_bytes(frame + bytes(1600))
    assert missing_bytes(path, "mp3") == 2000
    path.write_bytes(frame + bytes(3600))
    assert missing_bytes(path, "mp3") == 0


@pytest.mark.parametrize("demuxer", ["wav", "mp3", "ogg", "mov", "flac"])
def test_junk_promises_nothing_that_can_be_counted_on(tmp_path, demuxer):
    """It is for ffmpeg to refuse it; here nothing may fail, whatever comes."""
    rng = np.random.default_rng(3)
    heads = (b"RIFF\0\0\0\0WAVE", b"ID3\4\0\0\x7f\x7f\x7f\x7f", b"\xff\xfb\x90\x64", b"OggS", b"\0\0\0\x18ftyp", b"")
    for number, head in enumerate(heads):
        path = tmp_path / f"junk{number}"
        for length in (0, 1, 7, 26, 27, 28, 40, 300):
            path.write_bytes(head + rng.bytes(length))
            assert missing_bytes(path, demuxer) >= 0
