import math
from functools import cache

import numpy as np
import pytest
import soxr

from duckline.errors import Unspeakable
from duckline.sound.loudness import active_level_dbov
from duckline.sound.speech import BREATH_MS, DYING_AWAY_MS, LEVEL_DBOV, PEAK_DBOV, from_bytes, make_ready, to_bytes
from duckline.timeline import FRAME_SAMPLES, SAMPLE_RATE_HZ
from render.engines.espeak import EspeakEngine

SENTENCES = (
    "Your order has been shipped and will arrive on Thursday.",
    "Six of our seven sisters said so.",
    "Please hold the line.",
    "No.",
)


@cache
def spoken(text: str = SENTENCES[0]) -> tuple[np.ndarray, int]:
    return EspeakEngine().synthesise(text)


def at_rate(rate_hz: int, text: str = SENTENCES[0]) -> np.ndarray:
    pcm, own_hz = spoken(text)
    return soxr.resample(pcm, own_hz, rate_hz, quality="VHQ").astype(np.float32)


def tone(pitch_hz: float, samples: int, rate_hz: int, level_dbov: float) -> np.ndarray:
    peak = 10 ** ((level_dbov + 3.01) / 20)
    return (peak * np.sin(2 * np.pi * pitch_hz * np.arange(samples) / rate_hz)).astype(np.float32)


def level_at(pcm: np.ndarray, pitch_hz: float) -> float:
    """The level of the tone of `pitch_hz` in `pcm`."""
    turning = np.exp(-2j * np.pi * pitch_hz * np.arange(len(pcm)) / SAMPLE_RATE_HZ) * np.hanning(len(pcm))
    return 20 * math.log10(abs(turning @ pcm) / np.hanning(len(pcm)).sum() * math.sqrt(2))


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """The best correlation of the two, wherever they lie; 1 is the same sound."""
    size = len(one) + len(other)
    spectrum = np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size))
    return float(np.abs(np.fft.irfft(spectrum, size)).max() / (np.linalg.norm(one) * np.linalg.norm(other)))


# -- level ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", SENTENCES)
@pytest.mark.parametrize("gain_db", [-35, 0, 12])
def test_every_voice_comes_to_one_level(text: str, gain_db: float):
    pcm, rate_hz = spoken(text)
    ready = make_ready(np.clip(pcm * 10 ** (gain_db / 20), -1, 1), rate_hz)
    assert ready.level_dbov == pytest.approx(LEVEL_DBOV, abs=0.5)
    assert active_level_dbov(ready.pcm).level_dbov == ready.level_dbov


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100, 96000])
def test_every_rate_comes_to_eight_kilohertz(rate_hz: int):
    ready = make_ready(at_rate(rate_hz), rate_hz)
    assert ready.pcm.dtype == np.float32 and ready.pcm.ndim == 1
    assert ready.level_dbov == pytest.approx(LEVEL_DBOV, abs=0.5)
    assert likeness(ready.pcm, at_rate(8000)) > 0.97


def test_speech_is_whole_frames():
    ready = make_ready(*spoken())
    assert len(ready.pcm) == ready.frames * FRAME_SAMPLES
    assert 2 < ready.frames / 50 < 4


def test_peaks_leave_room_for_the_music():
    for text in SENTENCES:
        ready = make_ready(*spoken(text))
        assert 20 * math.log10(np.abs(ready.pcm).max()) <= PEAK_DBOV + 0.01


def test_a_voice_of_few_loud_peaks_is_limited_and_not_clipped():
    pcm, rate_hz = spoken()
    peaky = np.sign(pcm) * np.abs(pcm) ** 1.2
    before = np.abs(peaky).max() / 10 ** (active_level_dbov(peaky, rate_hz).level_dbov / 20)
    assert 20 * math.log10(before) > PEAK_DBOV - LEVEL_DBOV + 2  # at its level it would pass the bound by far
    ready = make_ready(peaky, rate_hz)
    highest = np.abs(ready.pcm).max()
    assert 20 * math.log10(highest) <= PEAK_DBOV + 0.01
    assert np.count_nonzero(np.abs(ready.pcm) > 0.999 * highest) < 10  # clipping would leave flat tops
    assert likeness(ready.pcm, soxr.resample(peaky, rate_hz, 8000)) > 0.95


def test_a_knock_before_the_words_does_not_make_them_soft():
    pcm, rate_hz = spoken()
    knock = np.zeros(rate_hz // 5, np.float32)
    knock[1000:1010] = 0.99
    ready = make_ready(np.concatenate((knock, pcm * np.float32(0.1))), rate_hz)
    assert np.abs(ready.pcm).max() <= 10 ** (PEAK_DBOV / 20) + 0.001
    assert active_level_dbov(ready.pcm[-2 * SAMPLE_RATE_HZ :]).level_dbov == pytest.approx(LEVEL_DBOV, abs=1.5)


# -- what is dropped and what is kept -------------------------------------------------------------


def test_dead_air_is_dropped_and_breath_is_kept():
    pcm, rate_hz = spoken()
    hiss = np.random.default_rng(1).normal(0, 10 ** (-75 / 20), (2, 2 * rate_hz)).astype(np.float32)
    plain, dead = make_ready(pcm, rate_hz), make_ready(np.concatenate((hiss[0], pcm, hiss[1])), rate_hz)
    assert abs(dead.frames - plain.frames) <= 8
    assert likeness(dead.pcm, plain.pcm) > 0.999
    audible = np.flatnonzero(np.abs(dead.pcm) > 0.01) / 8
    assert BREATH_MS - 10 <= audible[0] <= BREATH_MS + 60
    assert DYING_AWAY_MS - 10 <= len(dead.pcm) / 8 - audible[-1] <= DYING_AWAY_MS + 80


def test_a_soft_beginning_is_not_taken_for_silence():
    pcm, rate_hz = at_rate(8000), 8000
    fricative = np.random.default_rng(2).normal(0, 1, 1600)
    fricative *= 10 ** ((active_level_dbov(pcm).level_dbov - 28) / 20)
    with_it = make_ready(np.concatenate((np.zeros(4000), fricative, pcm)).astype(np.float32), rate_hz)
    without = make_ready(pcm, rate_hz)
    assert with_it.frames - without.frames >= 9  # 200 ms of it are 10 frames


def test_a_pause_within_belongs_to_what_is_said():
    pcm, rate_hz = spoken()
    pause = np.zeros(2 * rate_hz, np.float32)
    ready = make_ready(np.concatenate((pcm, pause, pcm)), rate_hz)
    assert ready.frames == pytest.approx(2 * make_ready(pcm, rate_hz).frames + 100, abs=20)
    assert ready.level_dbov == pytest.approx(LEVEL_DBOV, abs=0.5)


def test_the_ends_do_not_click():
    loud_to_the_edge = tone(440, 8000, 8000, -12) + np.float32(0.1)
    ready = make_ready(loud_to_the_edge, 8000)
    steepest = np.abs(np.diff(ready.pcm)).max()
    assert abs(ready.pcm[0]) < 0.001
    assert abs(ready.pcm[-1]) < 0.02
    assert np.abs(np.diff(ready.pcm[:40])).max() <= steepest


def test_hum_is_taken_out():
    pcm = at_rate(8000)
    for hum_hz in (50, 60):
        humming = pcm + tone(hum_hz, len(pcm), 8000, -20)
        ready = make_ready(humming, 8000)
        assert level_at(ready.pcm, hum_hz) < -60
        assert likeness(ready.pcm, make_ready(pcm, 8000).pcm) > 0.98


def test_a_constant_in_the_recording_neither_clicks_nor_counts():
    pcm = at_rate(8000)
    assert likeness(make_ready(pcm + np.float32(0.4), 8000).pcm, make_ready(pcm, 8000).pcm) > 0.999


@pytest.mark.parametrize("pitch_hz", [5000, 6000])
def test_what_lies_above_the_telephone_does_not_fold_into_it(pitch_hz: int):
    pcm = at_rate(44100)
    ready = make_ready(pcm + tone(pitch_hz, len(pcm), 44100, -20), 44100)
    plain = make_ready(pcm, 44100)
    frames = min(ready.frames, plain.frames) * FRAME_SAMPLES
    folded = (ready.pcm[:frames] - plain.pcm[:frames]).astype(np.float64)
    assert level_at(folded, 8000 - pitch_hz) < -80


# -- channels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [(1, 1), (1, -1), (1, 0), (0, 1), (1, 1, 1, 1, 0, 0)])
def test_however_many_channels_hold_the_voice_it_is_heard(channels: tuple[int, ...]):
    pcm = at_rate(16000)
    ready = make_ready(np.outer(pcm, channels).astype(np.float32), 16000)
    assert ready.level_dbov == pytest.approx(LEVEL_DBOV, abs=0.5)
    assert likeness(ready.pcm, make_ready(pcm, 16000).pcm) > 0.999


# -- what cannot be spoken ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pcm",
    [
        np.zeros(0, np.float32),
        np.zeros((0, 2), np.float32),
        np.zeros(8000, np.float32),
        np.full(8000, 0.5, np.float32),
        tone(1000, 8000, 8000, -80),
        tone(50, 8000, 8000, -50),
    ],
    ids=["nothing", "nothing in stereo", "silence", "a constant", "too soft", "only hum"],
)
def test_silence_is_refused_with_its_level(pcm: np.ndarray):
    with pytest.raises(Unspeakable, match=r"the speech is silent: \d\.\d\d s at -.*; it must be louder than -62 dBov"):
        make_ready(pcm, 8000)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_samples_that_are_no_numbers_are_refused(wrong: float):
    pcm = at_rate(8000).copy()
    pcm[100] = wrong
    with pytest.raises(Unspeakable, match="samples that are not numbers"):
        make_ready(pcm, 8000)


def test_a_twentieth_of_a_second_can_be_spoken():
    ready = make_ready(tone(1000, 2205, 44100, -30), 44100)
    assert ready.frames == 3
    assert ready.level_dbov == pytest.approx(LEVEL_DBOV, abs=0.5)


# -- the cache ------------------------------------------------------------------------------------


def test_speech_comes_back_from_the_cache_as_it_went_in():
    ready = make_ready(*spoken())
    kept = to_bytes(ready)
    assert len(kept) == 2 * len(ready.pcm)
    again = from_bytes(kept)
    assert np.array_equal(again.pcm, ready.pcm) and again.pcm.dtype == np.float32
    assert again.level_dbov == ready.level_dbov


def test_the_same_sound_is_made_ready_the_same():
    assert to_bytes(make_ready(*spoken())) == to_bytes(make_ready(*spoken()))
