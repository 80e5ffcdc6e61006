import numpy as np
import pytest

from local.ear import listen
from local.ear.gaps import Gap, jumps
from local.ear.path import Stretch

BETWEEN_S, BENEATH_S = 5.911, 10.377  # places in music alone, and under a speech


def silenced(sound, at_s, ms, noise_dbov=None):
    at, holed = round(at_s * 8000), sound.copy()
    hush = np.zeros(ms * 8)
    if noise_dbov is not None:
        hush = np.random.default_rng(5).normal(scale=10 ** (noise_dbov / 20), size=ms * 8)
    holed[at : at + ms * 8] = hush
    return holed


def stalled(sound, at_s, ms):
    at = round(at_s * 8000)
    return np.concatenate((sound[:at], np.zeros(ms * 8), sound[at:]))


@pytest.mark.parametrize(("kind", "at_s"), [("tonal", BETWEEN_S), ("tonal", BENEATH_S), ("rushing", BETWEEN_S)])
def test_a_hole_of_20_ms_is_told(make_call, line, kind, at_s):
    call = make_call(kind)
    heard = listen(line(silenced(call.sound(), at_s, 20)), bed=call.bed, speeches=call.speeches)
    assert [gap.duration_s for gap in heard.gaps] == [pytest.approx(0.02, abs=0.006)]
    later_s = 0 if heard.duration_s == 14 else 0.7135
    assert heard.gaps[0].at_s == pytest.approx(at_s + later_s, abs=0.003)
    assert heard.seconds_without_sound == pytest.approx(0.02, abs=0.006)
    assert (heard.clicks, heard.repeats, heard.skips) == ((), (), ())
    assert all(speech.whole for speech in heard.speeches)


def test_comfort_noise_in_place_of_music_is_a_gap(make_call):
    call = make_call()
    heard = listen(silenced(call.sound(), BETWEEN_S, 20, -60.0), bed=call.bed, speeches=call.speeches)
    assert [gap.duration_s for gap in heard.gaps] == [pytest.approx(0.02, abs=0.004)]


def test_a_second_of_silence_is_one_gap(make_call, phone_line):
    call = make_call()
    heard = listen(phone_line(silenced(call.sound(), 4.9, 1000, -62.0)), bed=call.bed, speeches=call.speeches)
    assert heard.seconds_without_sound == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("at_s", [BETWEEN_S, BENEATH_S])
def test_music_that_waited_out_a_silence_was_not_heard_twice(make_call, phone_line, at_s):
    call = make_call()
    heard = listen(phone_line(stalled(call.sound(), at_s, 250)), bed=call.bed, speeches=call.speeches)
    assert [gap.duration_s for gap in heard.gaps] == [pytest.approx(0.25, abs=0.03)]
    assert (heard.repeats, heard.skips) == ((), ())
    assert all(speech.whole for speech in heard.speeches)


def test_a_rest_in_the_music_is_no_gap(make_call):
    call = make_call("percussive", 4, starts_s={})
    quiet = np.abs(call.sound()) < 1e-9
    assert np.diff(np.flatnonzero(~quiet)).max() > 160  # the music itself is silent for more than 20 ms
    assert listen(call.sound(), bed=call.bed).gaps == ()


def test_a_hole_is_told_though_nothing_is_known_of_the_music(make_call, line):
    sound = make_call(starts_s={}).sound()
    assert [gap.duration_s for gap in listen(line(silenced(sound, 7, 20))).gaps] == [pytest.approx(0.02, abs=0.004)]


def test_silence_that_took_the_musics_place_makes_no_skip():
    sound = np.full(16_000, 0.1)
    same = [Stretch(0, 8000, 100), Stretch(8000, 16_000, 100)]
    assert jumps(sound, same, [Gap(0.99, 0.02)], 0.01) == ([], [])


def test_a_silence_shorter_than_the_jump_explains_only_its_own_part():
    sound = np.full(16_000, 0.1)
    back = [Stretch(0, 8000, 500), Stretch(8000, 16_000, 20)]  # 60 ms back
    repeats, skips = jumps(sound, back, [Gap(0.99, 0.02)], 0.01)
    assert [(jump.at_s, jump.duration_s) for jump in repeats] == [(1.0, pytest.approx(0.04))]
    assert skips == []
