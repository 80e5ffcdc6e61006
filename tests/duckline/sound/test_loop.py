import numpy as np
import pytest

from duckline.sound.loop import SHORTEST_S, fade_samples, faded, looped, repeated


def noise(samples: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def tone(samples: int, frequency_hz: float = 440.0) -> np.ndarray:
    return (0.1 * np.sin(2 * np.pi * frequency_hz * np.arange(samples) / 8000)).astype(np.float32)


def levels_db(pcm: np.ndarray, window: int = 800) -> np.ndarray:
    rows = pcm[: len(pcm) // window * window].reshape(-1, window).astype(np.float64)
    return 10 * np.log10(np.mean(rows**2, axis=1))


def test_music_that_has_nothing_in_common_keeps_its_power_while_it_fades():
    levels = levels_db(faded(noise(64_000, seed=1), noise(64_000, seed=2)), window=4000)
    assert levels == pytest.approx(-20, abs=0.5)


def test_music_fading_into_itself_stays_as_it_is():
    assert np.allclose(faded(tone(8000), tone(8000)), tone(8000), atol=1e-6)


def test_a_fade_begins_with_the_one_and_ends_with_the_other():
    before, after = noise(8000, seed=1), noise(8000, seed=2)
    result = faded(before, after)
    assert result[:8] == pytest.approx(before[:8], abs=1e-3)
    assert result[-8:] == pytest.approx(after[-8:], abs=1e-3)


def test_opposite_phase_is_not_blown_up():
    assert np.abs(faded(tone(8000), -tone(8000))).max() < 0.15


def test_fading_from_silence_raises_no_error():
    assert faded(np.zeros(80, np.float32), tone(80))[-1] == pytest.approx(tone(80)[-1], abs=1e-3)


def test_a_fade_is_two_seconds_or_an_eighth_of_the_shortest_piece():
    assert fade_samples(800_000, 900_000) == 16_000
    assert fade_samples(800_000, 64_000) == 8_000


@pytest.mark.parametrize("samples", [160, 400, 8_001, 39_999])
def test_a_short_piece_is_repeated_at_one_level(samples):
    piece = noise(samples)
    result = repeated(piece)
    assert len(result) >= SHORTEST_S * 8000
    assert np.array_equal(result[: samples - samples // 4], piece[: samples - samples // 4])
    assert levels_db(result, 4000) == pytest.approx(-20, abs=1.5)


def test_a_piece_that_is_long_enough_is_not_touched():
    piece = noise(40_000)
    assert repeated(piece) is piece


@pytest.mark.parametrize("samples", [40_000, 47_999, 48_000, 100_001])
def test_a_loop_lasts_whole_seconds_and_its_end_meets_its_beginning(samples):
    music = noise(samples)
    original, fade = music.copy(), fade_samples(samples)
    loop = looped(music, fade)
    assert len(loop) % 8000 == 0
    assert samples - fade - 8000 < len(loop) <= samples - fade
    assert np.array_equal(loop[:-fade], original[fade : len(loop)])  # it begins after the fade, with music as it was
    assert loop[-1] == pytest.approx(original[fade - 1], abs=1e-3)  # and ends right before that
