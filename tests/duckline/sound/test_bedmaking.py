import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soxr

from duckline.bed import Playlist
from duckline.errors import Malformed, TooLarge, UnreadableAudio
from duckline.sound import bedmaking, mulaw
from duckline.sound.band import band_pass
from duckline.sound.bedmaking import LEVEL_DBOV, PEAK_DBOV, make_bed
from duckline.sound.container import recognise
from duckline.sound.decode import blocks
from duckline.sound.loop import fade_samples
from duckline.sound.loudness import band_rms_dbov
from duckline.timeline import SEGMENT_FRAMES

RATE_HZ = 44_100


@dataclass
class Made:
    """A bed, what was written for it in order, and the progress that was told."""

    playlist: Playlist
    objects: dict[str, bytes]
    shares: list[float]

    @property
    def body(self) -> bytes:
        return b"".join(self.objects[segment.key] for segment in self.playlist.segments)

    @property
    def pcm(self) -> np.ndarray:
        return mulaw.decode(self.body)

    @property
    def joins(self) -> list[int]:
        """The samples after which a segment ends, the loop's end last."""
        return np.cumsum([segment.frames * 160 for segment in self.playlist.segments]).tolist()


def make(*sources: Path) -> Made:
    objects: dict[str, bytes] = {}
    shares: list[float] = []
    playlist = make_bed(sources, objects.__setitem__, shares.append)
    return Made(playlist, objects, shares)


def refusal(*sources: Path) -> str:
    """Why a bed of `sources` is refused, having seen that nothing was written."""
    written: list[str] = []
    with pytest.raises((UnreadableAudio, TooLarge)) as refused:
        make_bed(sources, lambda key, body: written.append(key))
    assert written == []
    return str(refused.value)


def tone(frequency_hz: float, seconds: int, amplitude: float = 0.5) -> np.ndarray:
    """A tone that swells and dies away, so that its ends click at no other frequency."""
    at = np.arange(seconds * RATE_HZ) / RATE_HZ
    edges = np.sin(np.minimum(1, np.minimum(at, seconds - at) / 0.5) * np.pi / 2) ** 2
    return (amplitude * np.sin(2 * np.pi * frequency_hz * at) * edges)[:, None]


def loudest_db(pcm: np.ndarray, frequency_hz: float) -> float:
    """The level of a tone at `frequency_hz`, in dBov of a square wave."""
    window = np.hanning(len(pcm))
    turns = np.exp(-2j * np.pi * frequency_hz * np.arange(len(pcm)) / 8000)
    return 20 * np.log10(abs((pcm * window) @ turns) / window.sum() * 2**0.5)


def quietest_dbov(pcm: np.ndarray) -> float:
    """The level of the half second that is least loud."""
    return min(band_rms_dbov(pcm[first : first + 4000]) for first in range(0, len(pcm), 4000))


@pytest.fixture(scope="session")
def hard(encode, music) -> dict[str, Path]:
    """Music that is hard to make a bed of, and that becomes one all the same."""
    rng = np.random.default_rng(11)
    soft = music * 10 ** (-20 / 20)
    soft[5 * RATE_HZ : 5 * RATE_HZ + 900] = rng.uniform(-1, 1, (900, 1))
    at = np.arange(10 * RATE_HZ) / RATE_HZ
    bass = sum(np.sin(2 * np.pi * 82.4 * partial * at) / partial**2 for partial in range(1, 9))
    left = music[:, :1]
    return {
        "a bass alone": encode("bass.mp3", 0.4 * bass * (1.2 + np.sin(2 * np.pi * at))),
        "one loud transient": encode("transient.wav", soft),
        "a full-scale square": encode("square.wav", np.sign(np.sin(2 * np.pi * 440.3 * at + 0.1))),
        "opposite phase": encode("opposite.mp3", np.concatenate((left, -left), axis=1)),
        "eight bits": encode("eight.wav", music, "-c:a", "pcm_u8", "-ar", "11025"),
        "96 kHz": encode("high.flac", music, "-ar", "96000", "-sample_fmt", "s32"),
        "50 ms": encode("short.wav", music[RATE_HZ : RATE_HZ + 2205]),
        "50 ms of MP3": encode("short.mp3", music[RATE_HZ : RATE_HZ + 2205]),
        "a steady tone": encode("steady.ogg", 0.5 * np.sin(2 * np.pi * 443.21 * at)),
        "silence around it": encode(
            "gaps.wav", np.concatenate((np.zeros((3 * RATE_HZ, 2)), music, np.zeros((RATE_HZ, 2))))
        ),
        "far too soft": encode("soft.flac", music * 10 ** (-20 / 20)),
    }


HARD = [
    "a bass alone",
    "one loud transient",
    "a full-scale square",
    "opposite phase",
    "eight bits",
    "96 kHz",
    "50 ms",
    "50 ms of MP3",
    "a steady tone",
    "silence around it",
    "far too soft",
]


@pytest.fixture(scope="session")
def songs(encode, music) -> dict[str, Path]:
    return {
        "MP3": encode("song.mp3", music, "-b:a", "160k"),
        "OGG": encode("song.ogg", music, "-c:a", "libvorbis", "-q:a", "5"),
        "M4A": encode("song.m4a", music, "-c:a", "aac", "-b:a", "160k"),
    }


@pytest.fixture(scope="session")
def bed_of(songs, hard):
    """The bed of a song or a hard case by its name, made once."""
    made: dict[str, Made] = {}

    def bed_of(name: str) -> Made:
        if name not in made:
            made[name] = make((songs | hard)[name])
        return made[name]

    return bed_of


SONGS = ["MP3", "OGG", "M4A"]


@pytest.mark.parametrize("name", [*SONGS, *HARD])
def test_every_bed_has_its_level_and_no_sample_clips(bed_of, name):
    bed = bed_of(name)
    assert band_rms_dbov(bed.pcm) == pytest.approx(LEVEL_DBOV, abs=1.5)
    assert bed.playlist.level_dbov == pytest.approx(band_rms_dbov(bed.pcm), abs=0.1)
    assert 20 * np.log10(np.abs(bed.pcm).max()) < PEAK_DBOV + 0.3  # half a step of µ-law


@pytest.mark.parametrize("name", [*SONGS, *HARD])
def test_no_join_and_no_seam_jumps_more_than_the_music_itself(bed_of, name):
    bed = bed_of(name)
    jumps = np.abs(np.diff(bed.pcm, append=bed.pcm[:1]))
    assert jumps[np.array(bed.joins) - 1].max() <= np.percentile(jumps, 99.9)


@pytest.mark.parametrize("name", [*SONGS, *HARD])
def test_every_bed_lasts_whole_seconds_in_whole_segments(bed_of, name):
    playlist = bed_of(name).playlist
    assert playlist.frames % 50 == 0
    assert playlist.seconds >= 4
    assert sum(segment.frames for segment in playlist.segments) == playlist.frames
    assert {segment.frames for segment in playlist.segments[:-1]} <= {SEGMENT_FRAMES}


@pytest.mark.parametrize("name", SONGS)
def test_a_playlist_names_what_was_written_and_is_written_last(bed_of, name):
    bed = bed_of(name)
    prefix = f"beds/{bed.playlist.version}/"
    names = [f"{prefix}{number:05d}.ulaw" for number in range(len(bed.playlist.segments))]
    assert list(bed.objects) == [*names, f"{prefix}playlist.json"]
    assert Playlist.from_json(bed.objects[f"{prefix}playlist.json"]) == bed.playlist
    for segment in bed.playlist.segments:
        assert len(bed.objects[segment.key]) == segment.frames * 160
        assert hashlib.sha256(bed.objects[segment.key]).hexdigest() == segment.sha256


@pytest.mark.parametrize("name", SONGS)
def test_the_level_stays_where_the_loop_closes(bed_of, name):
    """Over the seam the level of each second stays within what the music does elsewhere, give or take 1.5 dB."""
    pcm = bed_of(name).pcm
    around = np.concatenate((pcm[-24_000:], pcm[:24_000]))
    at_seam = [band_rms_dbov(around[first : first + 16_000]) for first in range(0, 32_001, 8000)]
    elsewhere = [band_rms_dbov(pcm[first : first + 16_000]) for first in range(0, len(pcm) - 40_000, 4000)]
    assert min(elsewhere) - 1.5 < min(at_seam)
    assert max(at_seam) < max(elsewhere) + 1.5


def test_noise_keeps_its_level_within_a_decibel_where_the_loop_closes(encode):
    noise = np.random.default_rng(1).normal(0, 0.1, (12 * RATE_HZ, 2))
    pcm = make(encode("noise.wav", noise)).pcm
    around = np.concatenate((pcm[-20_000:], pcm[:4_000]))
    levels = [band_rms_dbov(around[first : first + 4000]) for first in range(0, 20_001, 2000)]
    assert np.abs(np.array(levels) - LEVEL_DBOV).max() < 1


@pytest.mark.parametrize("frequency_hz", [5000, 6000])
def test_a_tone_above_the_band_does_not_fold_into_it(encode, music, frequency_hz):
    """The tone stands 25 dB over the music; what is left of it must be 60 dB under where it was."""
    soft = music.mean(axis=1, keepdims=True)[: 10 * RATE_HZ] * 0.1
    loud = tone(frequency_hz, 10)
    without = make(encode(f"without{frequency_hz}.wav", soft)).pcm
    bed = make(encode(f"with{frequency_hz}.wav", soft + loud)).pcm
    assert len(bed) == len(without)
    raised_db = LEVEL_DBOV - band_rms_dbov(soft[:, 0], rate_hz=RATE_HZ)
    folded_hz = 8000 - frequency_hz
    before_db = 20 * np.log10(0.5 / 2**0.5) + raised_db
    assert loudest_db(bed[16_000:48_000], folded_hz) < before_db - 60
    # And the music is as it would be without: the residue is µ-law's own noise.
    assert np.sqrt(np.mean((bed - without)[16_000:48_000] ** 2)) < 10 ** (LEVEL_DBOV / 20) * 10 ** (-30 / 20)


def test_bass_below_the_band_is_gone(encode, music):
    bass = tone(60, 10, amplitude=0.8)
    pcm = make(encode("rumble.wav", bass + music.mean(axis=1, keepdims=True)[: 10 * RATE_HZ])).pcm
    assert loudest_db(pcm[16_000:48_000], 60) < LEVEL_DBOV - 40


def test_the_same_files_make_the_same_bytes(songs, bed_of):
    again = make(songs["MP3"])
    assert again.objects == bed_of("MP3").objects


def test_other_music_is_another_version(bed_of):
    assert len({bed_of(name).playlist.version for name in [*SONGS, *HARD]}) == len(SONGS) + len(HARD)


@pytest.mark.parametrize("name", ["MP3", "OGG"])
def test_the_segments_joined_are_one_continuous_rendering(songs, bed_of, name):
    """Decoded, resampled and filtered in one piece, the song is the same to within the noise of µ-law."""
    decoded = np.concatenate(list(blocks(recognise(songs[name], 60), 60)))
    at_8_khz = soxr.resample(decoded.mean(axis=1), RATE_HZ, 8000, quality="HQ")
    whole = np.convolve(at_8_khz, band_pass(200, 3400), mode="same")
    heard = bed_of(name).pcm[: -fade_samples(len(whole))].astype(np.float64)
    likeness = np.fft.irfft(np.fft.rfft(whole) * np.conj(np.fft.rfft(heard, len(whole))), len(whole))
    first = int(likeness.argmax())
    song = whole[first : first + len(heard)]
    # In every quarter second, so that no piece is missing or there twice; those apart which the limiter turned down.
    windows = [slice(begin, begin + 2000) for begin in range(0, len(heard) - 2000, 2000)]
    gains = np.array([(heard[window] @ song[window]) / (song[window] @ song[window]) for window in windows])
    untouched = gains > 0.99 * gains.max()
    assert untouched.mean() > 0.6
    for window in np.array(windows)[untouched]:
        noise = heard[window] - song[window] * np.median(gains)
        assert noise @ noise < 10 ** (-35 / 10) * (heard[window] @ heard[window])


def test_several_files_become_one_bed_and_fade_into_each_other(encode, music):
    low = encode("low.wav", 0.5 * np.sin(2 * np.pi * 500 * np.arange(10 * RATE_HZ) / RATE_HZ))
    high = encode("high.wav", 0.01 * np.sin(2 * np.pi * 2000 * np.arange(12 * RATE_HZ) / RATE_HZ))
    bed = make(low, high)
    assert bed.playlist.seconds == pytest.approx(10 + 12 - 2 * 1.25 - 0.5, abs=1)
    pcm = bed.pcm
    assert band_rms_dbov(pcm[:48_000]) == pytest.approx(band_rms_dbov(pcm[-64_000:-20_000]), abs=1)
    assert loudest_db(pcm[:48_000], 500) > LEVEL_DBOV - 2
    assert loudest_db(pcm[-64_000:-20_000], 2000) > LEVEL_DBOV - 2
    assert loudest_db(pcm[:48_000], 2000) < LEVEL_DBOV - 25
    quiet = [band_rms_dbov(np.roll(pcm, 8000)[first : first + 4000]) for first in range(0, len(pcm) - 4000, 4000)]
    assert min(quiet) > LEVEL_DBOV - 2.5


def test_silence_at_the_ends_of_a_file_leaves_no_gap_in_the_loop(bed_of):
    bed, padded = bed_of("MP3"), bed_of("silence around it")
    assert padded.playlist.frames == bed.playlist.frames
    assert quietest_dbov(padded.pcm) > quietest_dbov(bed.pcm) - 1


def test_progress_rises_to_one(bed_of):
    shares = bed_of("MP3").shares
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.2
    assert shares[-1] == 1
    assert len(shares) > 10


# -- refusals ----------------------------------------------------------------------------------------


def test_silence_is_refused(encode):
    silence = np.zeros((5 * RATE_HZ, 2))
    for name in ("silence.wav", "silence.mp3", "silence.ogg"):
        assert "silent from beginning to end" in refusal(encode(name, silence))


def test_a_bass_without_overtones_is_refused_and_not_raised_to_hiss(encode):
    reason = refusal(encode("sub.wav", tone(70, 8, amplitude=0.9)))
    assert "nothing for a telephone: between 300 and 3400 Hz" in reason
    assert "-58 dBov at least are needed" in reason


def test_a_single_knock_in_silence_is_refused(encode):
    knock = np.zeros((8 * RATE_HZ, 1))
    knock[3 * RATE_HZ : 3 * RATE_HZ + 400] = np.random.default_rng(1).uniform(-1, 1, (400, 1))
    assert "silent but for" in refusal(encode("knock.wav", knock))


def test_knocks_that_leave_no_music_between_them_are_refused(encode):
    knocks = np.zeros((20 * RATE_HZ, 1))
    for second in (1, 10, 19):
        knocks[second * RATE_HZ : second * RATE_HZ + 100] = np.random.default_rng(1).uniform(-1, 1, (100, 1))
    assert "too uneven" in refusal(encode("knocks.wav", knocks))


def test_less_than_a_frame_is_refused(encode, music):
    assert "music of at least 20 ms is needed" in refusal(encode("blip.wav", music[RATE_HZ : RATE_HZ + 400]))


def test_a_file_that_is_no_music_is_refused_by_its_name_among_several(encode, songs, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("Buy milk")
    assert "begins with b'Buy milk'" in refusal(text)
    assert refusal(songs["MP3"], text).startswith("notes.txt: the file begins with")


def test_files_too_long_together_are_refused(encode, songs, monkeypatch):
    monkeypatch.setattr(bedmaking, "LONGEST_S", 20.0)
    assert "the 2 files last 24 s together; at most 20 s are taken" in refusal(songs["MP3"], songs["OGG"])


def test_a_bed_of_nothing_is_malformed():
    with pytest.raises(Malformed, match="at least one is needed"):
        make_bed([], lambda key, body: None)


def test_a_bed_that_cannot_be_written_whole_has_no_playlist(songs):
    written: list[str] = []

    def write(key: str, body: bytes) -> None:
        if len(written) == 2:
            raise OSError("the store is gone")
        written.append(key)

    with pytest.raises(OSError, match="the store is gone"):
        make_bed([songs["MP3"]], write)
    assert not any(key.endswith("playlist.json") for key in written)
