import math

import numpy as np
import pytest

from duckline.sound.loudness import active_level_dbov, band_mean_square, band_rms_dbov, dbov, rms_dbov


def sine(frequency_hz: float, seconds: int = 4, amplitude: float = 1.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(8000 * seconds) / 8000)).astype(np.float32)


def straightforward_p56(pcm: np.ndarray) -> float:
    """ITU-T P.56, method B, step by step as the recommendation describes it."""
    smoothing = math.exp(-1 / (8000 * 0.03))
    thresholds = [2.0**power for power in range(-15, 0)]
    counts, since = [0] * 15, [1600] * 15
    first = second = 0.0
    for sample in pcm.tolist():
        first = smoothing * first + (1 - smoothing) * abs(sample)
        second = smoothing * second + (1 - smoothing) * first
        for number, threshold in enumerate(thresholds):
            if second >= threshold:
                counts[number] += 1
                since[number] = 0
            elif since[number] < 1600:
                counts[number] += 1
                since[number] += 1
    energy = float(np.sum(pcm.astype(np.float64) ** 2))
    levels = [10 * math.log10(energy / count) for count in counts if count]
    margins = [level - 20 * math.log10(threshold) for level, threshold in zip(levels, thresholds, strict=False)]
    upper = next(number for number, margin in enumerate(margins) if margin <= 15.9)
    return float(np.interp(15.9, [margins[upper], margins[upper - 1]], [levels[upper], levels[upper - 1]]))


def babble(seconds: float = 4.0, seed: int = 3) -> np.ndarray:
    """Noise in syllables and phrases."""
    at = np.arange(int(seconds * 8000)) / 8000
    phrases = np.sin(2 * np.pi * 0.4 * at) > -0.3
    syllables = np.abs(np.sin(2 * np.pi * 3.1 * at)) ** 2
    return (np.random.default_rng(seed).normal(0, 0.1, len(at)) * phrases * syllables).astype(np.float32)


def test_a_full_scale_square_is_0_dbov_and_a_sine_3_less():
    assert rms_dbov(np.sign(sine(440.5))) == pytest.approx(0, abs=0.01)
    assert rms_dbov(sine(440)) == pytest.approx(-3.01, abs=0.01)


def test_silence_has_no_level():
    for silence in (np.zeros(8000, np.float32), np.zeros(0, np.float32)):
        assert rms_dbov(silence) == band_rms_dbov(silence) == -math.inf
        assert active_level_dbov(silence).level_dbov == -math.inf
        assert active_level_dbov(silence).activity == 0


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_the_active_level_is_that_of_p56_done_step_by_step(seed):
    pcm = babble(seed=seed)
    assert active_level_dbov(pcm).level_dbov == pytest.approx(straightforward_p56(pcm), abs=1e-6)


def test_pauses_lower_the_activity_and_not_the_active_level():
    speech = babble()
    with_pauses = np.concatenate((np.zeros(16_000, np.float32), speech, np.zeros(24_000, np.float32)))
    alone, paused = active_level_dbov(speech), active_level_dbov(with_pauses)
    assert paused.level_dbov == pytest.approx(alone.level_dbov, abs=0.3)
    assert rms_dbov(with_pauses) < rms_dbov(speech) - 3
    assert paused.activity < 0.55 * alone.activity


def test_a_steady_tone_is_active_throughout():
    tone = active_level_dbov(sine(1000, amplitude=0.1))
    assert tone.level_dbov == pytest.approx(-23.01, abs=0.05)
    assert tone.activity == pytest.approx(1, abs=0.02)


def test_ten_times_the_amplitude_is_twenty_decibels_more():
    pcm = babble()
    assert active_level_dbov(pcm * 0.1).level_dbov == pytest.approx(active_level_dbov(pcm).level_dbov - 20, abs=0.2)
    assert band_rms_dbov(pcm * 0.1) == pytest.approx(band_rms_dbov(pcm) - 20, abs=0.001)


def test_a_sound_of_a_few_milliseconds_still_has_a_level():
    assert active_level_dbov(np.full(40, 0.5, np.float32)).level_dbov == pytest.approx(-6.02, abs=0.01)


def test_the_band_holds_what_lies_between_300_and_3400_hz():
    inside, below, above = sine(1000), sine(100, amplitude=0.9), sine(3700, amplitude=0.9)
    assert band_rms_dbov(inside) == pytest.approx(-3.01, abs=0.02)
    assert band_rms_dbov(inside + below + above) == pytest.approx(-3.01, abs=0.05)
    assert band_rms_dbov(below) < -40
    assert band_rms_dbov(sine(100), low_hz=50, high_hz=200) == pytest.approx(-3.01, abs=0.02)


@pytest.mark.parametrize("samples", [400, 7_999, 8_000, 50_000])
def test_white_noise_in_the_band_has_its_share_of_the_power(samples):
    levels = [rms_dbov(noise) - band_rms_dbov(noise) for noise in np.random.default_rng(1).normal(size=(40, samples))]
    assert np.mean(levels) == pytest.approx(-10 * math.log10(3100 / 4000), abs=0.15)


def test_a_stream_measures_as_the_whole_does():
    pcm = babble(7.3)
    assert dbov(band_mean_square(np.array_split(pcm, 23))) == pytest.approx(band_rms_dbov(pcm), abs=1e-9)


def test_other_sample_rates_measure_alike():
    tone = np.sin(2 * np.pi * 1000 * np.arange(3 * 44_100) / 44_100)
    assert band_rms_dbov(tone, rate_hz=44_100) == pytest.approx(-3.01, abs=0.02)
    assert active_level_dbov(tone, 44_100).level_dbov == pytest.approx(-3.01, abs=0.05)
