import numpy as np
import pytest

from local.ear import listen
from local.ear.clicks import clicks_alone


def clicked(sound, at_s, size):
    louder = sound.copy()
    louder[round(at_s * 8000)] += size
    return louder


@pytest.mark.parametrize(
    ("kind", "at_s", "size"),
    [("tonal", 5.911, 0.1), ("tonal", 10.377, -0.1), ("percussive", 5.911, -0.1), ("rushing", 5.911, 0.1)],
)
def test_a_click_of_a_tenth_of_full_scale_is_told(make_call, line, kind, at_s, size):
    call = make_call(kind)
    heard = listen(line(clicked(call.sound(), at_s, size)), bed=call.bed, speeches=call.speeches)
    later_s = 0 if heard.duration_s == 14 else 0.7135
    assert [click.at_s for click in heard.clicks] == [pytest.approx(at_s + later_s, abs=0.002)]
    assert heard.gaps == ()


def test_each_click_is_told_by_itself(make_call):
    call = make_call()
    sound = clicked(clicked(clicked(call.sound(), 4.0, 0.2), 4.5, -0.2), 4.505, 0.2)
    heard = listen(sound, bed=call.bed, speeches=call.speeches)
    assert [round(click.at_s, 2) for click in heard.clicks] == [4.0, pytest.approx(4.5, abs=0.01)]


def test_a_click_is_told_though_nothing_is_known_of_the_music(make_call):
    sound = make_call(starts_s={}).sound()
    assert [round(click.at_s, 2) for click in listen(clicked(sound, 6.0, 0.2)).clicks] == [6.0]


def test_a_drums_stroke_is_no_click():
    rng = np.random.default_rng(6)
    sound = np.zeros(16_000)
    for at in range(1000, 15_000, 2000):
        sound[at : at + 1500] += 0.4 * rng.normal(size=1500) * np.exp(-np.arange(1500) / 200)
    assert clicks_alone(sound, np.zeros(16_000)) == []


def test_a_known_voice_may_burst_out(make_call):
    rng = np.random.default_rng(7)
    sound, voice = make_call(starts_s={}).sound(), np.zeros(14 * 8000)
    voice[48_000:48_003] = (0.2, -0.3, 0.1)
    voice += rng.normal(scale=1e-5, size=len(voice))
    assert [round(click.at_s, 2) for click in clicks_alone(sound + voice, np.zeros(len(voice)))] == [6.0]
    assert clicks_alone(sound + voice, voice) == []
