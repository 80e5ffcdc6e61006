import numpy as np
import pytest

from local.ear.reference import Haystack, Reference, correlate, summit


def wave(positions):
    return np.sin(0.3 * positions) + 0.5 * np.sin(2.4 * positions + 1)  # 382 Hz and 3.06 kHz


@pytest.mark.parametrize(("start", "speed"), [(100.25, 1.0), (100.0, 1.001), (333.3, 0.997)])
def test_a_sound_is_read_between_its_samples_at_any_speed(start, speed):
    read = Reference(wave(np.arange(4000))).read(start, 3000, speed)
    assert np.abs(read - wave(start + speed * np.arange(3000))).max() < 0.003


def test_whole_positions_are_read_as_they_are():
    sound = np.random.default_rng(1).normal(size=100)
    assert np.array_equal(Reference(sound).read(20, 50), sound[20:70])


def test_a_bed_goes_round_and_a_speech_ends():
    sound = np.arange(10.0)
    assert Reference(sound, looping=True).read(-2, 4).tolist() == [8, 9, 0, 1]
    assert Reference(sound).read(8, 4).tolist() == [8, 9, 0, 0]


def test_a_needle_is_found_across_the_loops_seam():
    sound = np.random.default_rng(2).normal(size=50_000)
    haystack = Haystack(sound, 4000, looping=True)
    likeness = haystack.find(np.roll(sound, 1500)[:4000])
    assert int(np.argmax(likeness)) == 48_500
    assert likeness.max() == pytest.approx(1, abs=1e-3)


def test_a_softer_needle_is_as_alike_and_an_inverted_one_the_contrary():
    sound = np.random.default_rng(3).normal(size=2000)
    likeness = correlate(sound, -0.1 * sound[700:1200])
    assert int(np.argmin(likeness)) == 700
    assert likeness.min() == pytest.approx(-1, abs=1e-6)


def test_a_summit_between_two_samples_has_its_true_height():
    rng = np.random.default_rng(4)
    sound = Reference(np.convolve(rng.normal(size=6000), np.sinc(np.arange(-40, 41) * 0.8), "same"))
    likeness = correlate(sound.samples, sound.read(1000.5, 3000))
    assert likeness.max() < 0.9
    assert summit(likeness, int(np.argmax(likeness))) == (pytest.approx(1000.5, abs=0.02), pytest.approx(1, abs=0.01))
