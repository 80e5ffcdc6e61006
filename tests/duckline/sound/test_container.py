import struct

import numpy as np
import pytest

from duckline.errors import TooLarge, UnreadableAudio
from duckline.sound.container import recognise

LONGEST_S = 3600
NOISE = np.random.default_rng(9).bytes(50_000)


def saying(flac: bytes, samples: int) -> bytes:
    """`flac` with another length in its STREAMINFO: 36 bits, beginning with the lower half of byte 21."""
    body = bytearray(flac)
    body[21] = body[21] & 0xF0 | samples >> 32
    body[22:26] = struct.pack(">I", samples & 0xFFFFFFFF)
    return bytes(body)


@pytest.fixture(scope="session")
def short(music):
    return music[:44_100]


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "codec", "rate_hz", "channels"),
    [
        ("song.mp3", ["-b:a", "128k"], "MP3", "mp3", 44_100, 2),
        ("song.ogg", ["-c:a", "libvorbis"], "OGG", "vorbis", 44_100, 2),
        ("opus.ogg", ["-c:a", "libopus"], "OGG", "opus", 48_000, 2),
        ("song.flac", [], "FLAC", "flac", 44_100, 2),
        ("song.m4a", ["-c:a", "aac"], "M4A", "aac", 44_100, 2),
        ("lossless.m4a", ["-c:a", "alac"], "M4A", "alac", 44_100, 2),
        ("song.wav", [], "WAV", "pcm_s16le", 44_100, 2),
        ("eight-bit.wav", ["-c:a", "pcm_u8", "-ar", "11025", "-ac", "1"], "WAV", "pcm_u8", 11_025, 1),
        ("float.wav", ["-c:a", "pcm_f32le"], "WAV", "pcm_f32le", 44_100, 2),
        ("telephone.wav", ["-c:a", "pcm_mulaw", "-ar", "8000"], "WAV", "pcm_mulaw", 8_000, 2),
        ("high.flac", ["-ar", "96000", "-sample_fmt", "s32"], "FLAC", "flac", 96_000, 2),
        ("surround.flac", ["-ac", "6"], "FLAC", "flac", 44_100, 6),
    ],
)
def test_what_people_have_is_recognised(encode, short, name, arguments, kind, codec, rate_hz, channels):
    sound = recognise(encode(name, short, *arguments), LONGEST_S)
    assert (sound.kind, sound.codec, sound.rate_hz, sound.channels) == (kind, codec, rate_hz, channels)
    assert sound.seconds == pytest.approx(1, abs=0.15)


def test_a_name_means_nothing(encode, short, tmp_path):
    path = tmp_path / "holiday.docx"
    path.write_bytes(encode("song.mp3", short).read_bytes())
    assert recognise(path, LONGEST_S).kind == "MP3"


def test_a_cover_picture_does_not_make_a_video(encode, short, run_ffmpeg, tmp_path):
    song, covered = encode("song.mp3", short), tmp_path / "covered.mp3"
    picture = ["-f", "lavfi", "-i", "testsrc=s=64x64:d=1", "-frames:v", "1", "-disposition:v", "attached_pic"]
    run_ffmpeg("-i", song, *picture, "-map", "0:a", "-map", "1:v", "-c:a", "copy", "-c:v", "mjpeg", covered)
    assert recognise(covered, LONGEST_S).codec == "mp3"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is empty"),
        (b"%PDF-1.7 " + NOISE, "begins with b'%PDF-1.7"),
        (NOISE, "none of MP3, OGG, FLAC, M4A or WAV"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "#EXTM3U"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "ffconcat"),
        (b"OggS" + NOISE, "OGG of 50004 bytes is damaged"),
        (b"fLaC" + NOISE, "FLAC of 50004 bytes is damaged"),
        (b"\0\0\0\x18ftypM4A " + NOISE, "M4A of 50012 bytes is damaged"),
        (b"RIFF\xff\xff\xff\xffWAVE" + NOISE, "WAV of 50012 bytes is damaged"),
        (b"\xff\xfb\x90\x64" + NOISE, "this MP3"),
        (b"ID3\x04\0\0\0\0\0\0" + NOISE, "MP3"),
        (b"ID3\x04\0\0\x7f\x7f\x7f\x7f", "MP3"),
    ],
)
def test_what_is_no_sound_is_refused_with_what_came(tmp_path, body, reason):
    path = tmp_path / "upload"
    path.write_bytes(body)
    with pytest.raises(UnreadableAudio, match=reason):
        recognise(path, LONGEST_S)


@pytest.mark.parametrize("name", ["song.mp3", "song.ogg", "song.flac", "song.m4a", "song.wav"])
def test_a_file_cut_off_in_its_header_is_refused(encode, short, tmp_path, name):
    path = tmp_path / "upload"
    path.write_bytes(encode(name, short).read_bytes()[:40])
    with pytest.raises(UnreadableAudio, match="damaged or cut short"):
        recognise(path, LONGEST_S)


@pytest.mark.parametrize(("name", "codec"), [("film.mp4", "mpeg4"), ("film.ogg", "libtheora")])
def test_video_is_refused_with_and_without_sound(encode, short, run_ffmpeg, tmp_path, name, codec):
    film, silent_film = tmp_path / name, tmp_path / f"silent-{name}"
    picture = ["-f", "lavfi", "-i", "testsrc=s=64x64:d=1"]
    run_ffmpeg(*picture, "-i", encode("song.wav", short), "-c:v", codec, "-shortest", film)
    run_ffmpeg(*picture, "-c:v", codec, silent_film)
    for path in (film, silent_film):
        with pytest.raises(UnreadableAudio, match="holds video"):
            recognise(path, LONGEST_S)


def test_protected_music_is_refused(encode, short, run_ffmpeg, tmp_path):
    path = tmp_path / "protected.m4a"
    key = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "0f" * 16, "-encryption_kid", "0e" * 16]
    run_ffmpeg("-i", encode("song.wav", short), "-c:a", "aac", *key, "-f", "mp4", path)
    with pytest.raises(UnreadableAudio, match=r"protected \(DRM\)"):
        recognise(path, LONGEST_S)


def test_ten_hours_are_refused_for_what_the_file_says(tmp_path):
    path = tmp_path / "long.wav"
    with path.open("wb") as file:  # a sparse file: 576 MB that take no room
        data_bytes = 10 * 3600 * 16_000
        file.write(b"RIFF" + struct.pack("<I", 36 + data_bytes) + b"WAVEfmt ")
        file.write(struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16_000, 2, 16) + b"data" + struct.pack("<I", data_bytes))
        file.truncate(44 + data_bytes)
    with pytest.raises(TooLarge, match="lasts 36000 s or more: send at most 3600 s"):
        recognise(path, LONGEST_S)


@pytest.fixture(scope="session")
def minutes_of_nothing(run_ffmpeg, tmp_path_factory):
    """A FLAC of twenty minutes of silence in 30 kB."""
    path = tmp_path_factory.mktemp("bombs") / "nothing.flac"
    run_ffmpeg("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "1200", path)
    return path


@pytest.mark.parametrize("said_s", [None, 200])
def test_many_minutes_in_a_few_bytes_are_counted_and_not_believed(minutes_of_nothing, tmp_path, said_s):
    path = tmp_path / "bomb.flac"
    path.write_bytes(saying(minutes_of_nothing.read_bytes(), (said_s or 0) * 8000))
    with pytest.raises(TooLarge, match=r"lasts 60[12] s or more: send at most 600 s"):
        recognise(path, 600)


def test_a_stream_that_says_nothing_of_its_length_is_counted(encode, short, tmp_path):
    path = tmp_path / "stream.flac"
    path.write_bytes(saying(encode("song.flac", short).read_bytes(), 0))
    assert recognise(path, LONGEST_S).seconds == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("channels", "rate_hz"), [(2, 900), (1, 400_000), (12, 44_100)])
def test_a_rate_or_a_number_of_channels_that_makes_no_sense_is_refused(tmp_path, channels, rate_hz):
    path = tmp_path / "odd.wav"
    layout = struct.pack("<IHHIIHH", 16, 1, channels, rate_hz, rate_hz * 2 * channels, 2 * channels, 16)
    path.write_bytes(b"RIFF" + struct.pack("<I", 48_036) + b"WAVEfmt " + layout + b"data\x80\xbb\0\0" + bytes(48_000))
    with pytest.raises(UnreadableAudio, match=f"{channels} channels at {rate_hz} Hz"):
        recognise(path, LONGEST_S)
