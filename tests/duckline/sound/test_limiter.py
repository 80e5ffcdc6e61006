import numpy as np
import pytest

from duckline.sound.limiter import REACH_SAMPLES, limited

CEILING = 0.3


def limit(loop: np.ndarray, gain: float = 1.0) -> np.ndarray:
    return np.concatenate(list(limited(loop.astype(np.float32), gain, CEILING)))


@pytest.fixture
def drums() -> np.ndarray:
    """Soft noise, and a hit every 0.7 s that is far too loud."""
    rng = np.random.default_rng(1)
    loop = rng.normal(0, 0.02, 8000 * 7)
    for first in range(2000, len(loop) - 800, 5600):
        loop[first : first + 800] += rng.normal(0, 0.4, 800) * np.exp(-np.arange(800) / 200)
    return loop


def test_no_sample_exceeds_the_ceiling(drums):
    assert np.abs(drums).max() > 3 * CEILING
    assert np.abs(limit(drums)).max() <= np.float32(CEILING)


def test_music_below_the_ceiling_is_only_multiplied(drums):
    soft = np.clip(drums, -0.1, 0.1).astype(np.float32)
    assert np.array_equal(limit(soft, 2.0), soft * np.float32(2.0))


def test_what_is_far_from_a_peak_is_only_multiplied(drums):
    loop = np.full(24_000, 0.1, np.float32)
    loop[12_000] = 0.9
    outside = np.abs(np.arange(24_000) - 12_000) > 2 * REACH_SAMPLES
    assert np.allclose(limit(loop)[outside], loop[outside], rtol=1e-6)


def test_the_gain_moves_smoothly():
    loop = np.full(24_000, 0.1, np.float32)
    loop[12_000:12_200] = 0.9
    gain = limit(loop) / loop
    assert gain.min() == pytest.approx(CEILING / 0.9, rel=1e-5)
    # A raised curve over 2 × 25 ms: its steepest step is that of a triangle.
    assert np.abs(np.diff(gain)).max() <= 1.01 * (1 - gain.min()) / REACH_SAMPLES


def test_the_seam_of_the_loop_is_a_place_like_any_other(drums):
    for turn in (0, 2100, 30_001):
        assert np.allclose(limit(np.roll(drums, turn)), np.roll(limit(drums), turn), atol=1e-6)


def test_the_source_is_left_as_it_was(drums):
    loop = drums.astype(np.float32)
    before = loop.copy()
    list(limited(loop, 2.0, CEILING))
    assert np.array_equal(loop, before)
