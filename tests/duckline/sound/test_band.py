import numpy as np
import pytest

from duckline.sound.band import band_pass, filtered


def response_db(taps: np.ndarray, frequencies_hz: np.ndarray, rate_hz: int = 8000) -> np.ndarray:
    at = np.arange(len(taps)) - len(taps) // 2
    turns = np.exp(-2j * np.pi * frequencies_hz[:, None] * at / rate_hz)
    return 20 * np.log10(np.abs(turns @ taps) + 1e-12)


def test_the_band_passes_untouched_and_what_lies_outside_is_gone():
    taps = band_pass(200, 3400)
    assert np.abs(response_db(taps, np.arange(200, 3401, 10.0))).max() < 0.01
    assert response_db(taps, np.array([0.0, 50, 100, 3500, 3700, 4000])).max() < -68


@pytest.mark.parametrize(("low_hz", "high_hz", "passed", "stopped"), [(0, 1000, 0, 3000), (1000, 4000, 4000, 100)])
def test_a_band_that_reaches_an_end_is_a_low_or_a_high_pass(low_hz, high_hz, passed, stopped):
    levels_db = response_db(band_pass(low_hz, high_hz), np.array([float(passed), float(stopped)]))
    assert levels_db[0] == pytest.approx(0, abs=0.01)
    assert levels_db[1] < -68


def test_a_steeper_filter_is_a_longer_one():
    assert (
        len(band_pass(200, 3400, transition_hz=50)) > len(band_pass(200, 3400)) > len(band_pass(200, 3400, stop_db=60))
    )


@pytest.mark.parametrize("samples", [0, 1, 100, 173, 174, 3750, 3751, 20_000])
def test_filtering_in_blocks_is_convolving_the_whole_without_its_delay(samples):
    taps = band_pass(200, 3400)
    rng = np.random.default_rng(samples)
    sound = rng.normal(size=samples)
    delay = len(taps) // 2
    whole = np.convolve(sound, taps)[delay : delay + samples] if samples else sound
    for cuts in (0, 1, 9):
        blocks = np.split(sound, np.sort(rng.integers(0, samples + 1, cuts)))
        assert np.allclose(np.concatenate(list(filtered(blocks, taps))), whole, atol=1e-12)


def test_a_filter_is_shared_and_cannot_be_changed():
    assert band_pass(200, 3400) is band_pass(200, 3400)
    with pytest.raises(ValueError, match="read-only"):
        band_pass(200, 3400)[0] = 1
