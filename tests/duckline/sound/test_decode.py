import struct
from dataclasses import replace

import numpy as np
import pytest

from duckline.errors import TooLarge, UnreadableAudio
from duckline.sound.container import recognise
from duckline.sound.decode import blocks, decode

LOSSLESS = ["song.wav", "song.flac", "lossless.m4a"]
ARGUMENTS = {"lossless.m4a": ["-c:a", "alac"], "song.ogg": ["-c:a", "libvorbis", "-q:a", "8"]}


@pytest.fixture(scope="session")
def short(music):
    return music[: 3 * 44_100]


@pytest.fixture
def song(encode, short):
    return lambda name: encode(name, short, *ARGUMENTS.get(name, []))


def streamed(path, longest_s=60.0):
    return np.concatenate(list(blocks(recognise(path, longest_s), longest_s)))


def noise_db(decoded, original):
    return 10 * np.log10(np.mean((decoded - original) ** 2) / np.mean(original**2))


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_music_streams_to_the_16_bits_it_was(song, short, name):
    pcm = streamed(song(name))
    assert pcm.dtype == np.float32
    assert pcm.shape == short.shape
    assert np.abs(pcm - short).max() < 1 / 32768


@pytest.mark.parametrize("name", ["song.mp3", "song.ogg", "song.m4a"])
def test_lossy_music_streams_to_nearly_what_it_was(song, short, name):
    pcm = streamed(song(name))
    assert abs(len(pcm) - len(short)) < 2048
    common = min(len(pcm), len(short))
    assert noise_db(pcm[:common], short[:common]) < -15


@pytest.mark.parametrize("name", [*LOSSLESS, "song.mp3", "song.ogg", "song.m4a"])
def test_pydub_decodes_short_sounds_to_what_the_stream_gives(song, name):
    audio, stream = decode(song(name).read_bytes()), streamed(song(name))
    assert audio.rate_hz == 44_100
    common = min(len(audio.pcm), len(stream))
    assert common > 3 * 44_100 - 2048
    assert np.abs(audio.pcm[:common] - stream[:common]).max() <= 1 / 32768


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_mulaw"])
def test_every_width_of_wav_is_read_for_what_it_is(encode, short, codec):
    path = encode(f"{codec}.wav", short, "-c:a", codec)
    limit = -25 if codec in ("pcm_u8", "pcm_mulaw") else -60
    assert noise_db(decode(path.read_bytes()).pcm[: len(short)], short) < limit
    assert noise_db(streamed(path), short) < limit


def test_floating_point_in_an_extensible_wav_is_not_taken_for_integers(short):
    floats = short.astype("<f4").tobytes()
    subformat = struct.pack("<H", 3) + bytes.fromhex("000000001000800000aa00389b71")
    layout = struct.pack("<IHHIIHHHHI", 40, 0xFFFE, 2, 44_100, 352_800, 8, 32, 22, 32, 3) + subformat
    body = b"WAVEfmt " + layout + b"data" + struct.pack("<I", len(floats)) + floats
    assert noise_db(decode(b"RIFF" + struct.pack("<I", len(body)) + body).pcm[: len(short)], short) < -60


def test_a_wav_whose_sizes_were_never_filled_in_is_read_to_its_end(song, short):
    body = bytearray(song("song.wav").read_bytes())
    at = body.index(b"data") + 4
    body[4:8] = body[at : at + 4] = b"\xff\xff\xff\xff"
    assert len(decode(bytes(body)).pcm) == pytest.approx(len(short), abs=100)


@pytest.mark.parametrize("name", ["song.mp3", "song.ogg", "song.flac", "song.wav", "song.m4a", "lossless.m4a"])
def test_a_file_of_which_half_is_missing_is_refused(song, tmp_path, name):
    path = tmp_path / name
    whole = song(name).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableAudio, match="send it whole"):
        streamed(path)
    with pytest.raises(UnreadableAudio, match="send it whole"):
        decode(path.read_bytes())


def test_a_file_that_promises_nothing_is_heard_as_far_as_it_goes(encode, short, tmp_path):
    path = tmp_path / "bare.mp3"
    whole = encode("bare.mp3", short, "-b:a", "128k", "-write_xing", "0").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert 0.4 * len(short) < len(streamed(path)) < 0.6 * len(short)


def test_a_sound_of_no_length_is_refused(encode):
    path = encode("nothing.wav", np.zeros((0, 1)))
    with pytest.raises(UnreadableAudio):
        decode(path.read_bytes())
    with pytest.raises(UnreadableAudio):
        streamed(path)


def test_what_is_too_long_is_refused_before_it_is_decoded(song):
    with pytest.raises(TooLarge, match="lasts 3 s or more: send at most 1 s"):
        decode(song("song.flac").read_bytes(), longest_s=1)


def test_a_file_that_says_nothing_of_its_length_is_stopped_at_the_limit(song):
    sound = replace(recognise(song("song.flac"), 60), seconds=None)
    heard = 0
    with pytest.raises(TooLarge, match="lasts longer than 2 s"):
        for block in blocks(sound, 2.0):
            heard += len(block)
    assert heard <= 2 * 44_100


def test_a_file_that_holds_far_more_than_it_says_is_refused_as_a_lie(encode, tmp_path):
    """A FLAC that promises one second in its STREAMINFO, and holds twenty."""
    noise = np.random.default_rng(1).normal(0, 0.1, 20 * 8000)
    body = bytearray(encode("liar.flac", noise, rate_hz=8000).read_bytes())
    body[21] = body[21] & 0xF0
    body[22:26] = struct.pack(">I", 8000)
    path = tmp_path / "liar.flac"
    path.write_bytes(bytes(body))
    with pytest.raises(UnreadableAudio, match=r"says that it lasts 1\.0 s and holds more"):
        streamed(path)
    with pytest.raises(UnreadableAudio, match=r"says that it lasts 1\.0 s and holds more"):
        decode(path.read_bytes())


def test_a_sound_too_wide_for_pydub_s_memory_is_refused(run_ffmpeg, tmp_path):
    path = tmp_path / "wide.flac"
    run_ffmpeg("-f", "lavfi", "-i", "anullsrc=r=96000:cl=7.1", "-t", "60", path)
    with pytest.raises(TooLarge, match="send at most 44 s, or fewer channels, or a lower rate"):
        decode(path.read_bytes())
