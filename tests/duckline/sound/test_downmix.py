import numpy as np
import pytest

from duckline.sound.downmix import one_channel

RATE_HZ = 44_100


def mixed(pcm: np.ndarray, block: int = RATE_HZ) -> np.ndarray:
    blocks = (pcm[first : first + block].astype(np.float32) for first in range(0, len(pcm), block))
    return np.concatenate(list(one_channel(blocks, RATE_HZ)))


def power_db(pcm: np.ndarray) -> float:
    return 10 * np.log10(np.mean(np.square(pcm, dtype=np.float64)))


def test_one_channel_is_left_as_it_is(music):
    assert np.array_equal(mixed(music[:, :1]), music[:, 0].astype(np.float32))


def test_ordinary_stereo_becomes_the_mean_of_its_channels(music):
    assert np.abs(mixed(music) - music.mean(axis=1)).max() < 1e-6


def test_channels_in_opposite_phase_do_not_cancel(music):
    left = music[:, 0]
    assert np.abs(mixed(np.stack((left, -left), axis=1)) - left).max() < 1e-6


def test_opposite_phase_above_a_common_bass_does_not_cancel(music):
    bass = 0.4 * np.sin(2 * np.pi * 60 * np.arange(len(music)) / RATE_HZ)
    left = music[:, 0] - music[:, 0].mean()
    mono = mixed(np.stack((left + bass, bass - left), axis=1))
    assert power_db(mono) == pytest.approx(power_db(left), abs=0.1)


def test_phase_that_turns_over_in_the_middle_costs_neither_level_nor_a_click(music):
    left = music[:, 0]
    right = np.where(np.arange(len(left)) < len(left) // 2, left, -left)
    mono = mixed(np.stack((left, right), axis=1))
    for first in range(0, len(left) - RATE_HZ, RATE_HZ // 2):
        window = slice(first, first + RATE_HZ // 2)
        assert power_db(mono[window]) > power_db(left[window]) - 3
    assert np.abs(np.diff(mono)).max() < 1.2 * np.abs(np.diff(left)).max()


def test_a_silent_second_channel_halves_the_first_and_changes_nothing_else(music):
    left = music[:, 0]
    assert np.abs(mixed(np.stack((left, np.zeros(len(left))), axis=1)) - left / 2).max() < 1e-6


def test_six_channels_are_mixed_with_the_sign_that_keeps_each():
    tones = [np.sin(2 * np.pi * hz * np.arange(2 * RATE_HZ) / RATE_HZ) for hz in (700, 1100, 1600)]
    channels = [tones[0], tones[1], tones[2], -tones[0], tones[1], -tones[2]]
    assert np.abs(mixed(np.stack(channels, axis=1)) - sum(tones) / 3).max() < 1e-5


def test_a_last_block_of_a_few_samples_is_mixed_too(music):
    assert np.abs(mixed(music[: RATE_HZ + 3]) - music[: RATE_HZ + 3].mean(axis=1)).max() < 1e-6


def test_digital_silence_stays_silent():
    assert not mixed(np.zeros((RATE_HZ, 2))).any()
