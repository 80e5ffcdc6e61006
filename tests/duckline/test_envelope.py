import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckline.envelope import (
    DOWN_FRAMES,
    FADE_OUT_FRAMES,
    FLOOR_DB,
    MINIMUM_RAMP_FRAMES,
    UP_FRAMES,
    Duck,
    Ducking,
    depth_for,
    gain_after,
    gain_at,
)
from duckline.timeline import FRAME_MS


def db(gain: float) -> float:
    return 20 * math.log10(gain)


DUCK = Duck(start=100, down=6, up_at=206, up=30, depth=0.2)


def test_the_music_is_down_at_the_first_sound_and_back_after_the_last():
    assert gain_at(DUCK, 99) == 1
    assert gain_at(DUCK, 100) == 1
    assert gain_at(DUCK, 103) == pytest.approx(0.6)
    assert gain_at(DUCK, 106) == pytest.approx(0.2)
    assert gain_at(DUCK, 206) == pytest.approx(0.2)
    assert gain_at(DUCK, 221) == pytest.approx(0.6)
    assert gain_at(DUCK, DUCK.end) == 1
    assert gain_at(DUCK, 10_000) == 1


def test_the_usual_ramps_take_the_times_that_are_promised():
    assert DOWN_FRAMES * FRAME_MS == 120
    assert UP_FRAMES * FRAME_MS == 600
    assert FADE_OUT_FRAMES * FRAME_MS <= 150
    assert MINIMUM_RAMP_FRAMES * FRAME_MS >= 50


def test_the_ramps_are_flat_at_both_ends():
    for edge in (DUCK.start, DUCK.start + DUCK.down, DUCK.up_at, DUCK.end):
        slope = (gain_at(DUCK, edge + 0.05) - gain_at(DUCK, edge - 0.05)) / 0.1
        assert abs(slope) < 0.005


def test_a_speech_that_ends_within_the_ramp_down_lets_the_music_return_from_there():
    early = Duck(start=100, down=6, up_at=103, up=30, depth=0.2)
    assert gain_at(early, 103) == pytest.approx(0.6)
    assert min(gain_at(early, 100 + step / 10) for step in range(400)) == pytest.approx(0.6)
    assert gain_at(early, early.end) == 1


def test_a_clip_without_a_ramp_down_keeps_the_gain_it_found():
    fade_out = Duck(start=150, down=0, up_at=157, up=30, depth=0.2, gain_in=0.2)
    assert gain_at(fade_out, 150) == gain_at(fade_out, 157) == pytest.approx(0.2)
    assert gain_at(fade_out, 187) == 1


def test_the_latest_to_start_decides_and_an_earlier_duck_never_resumes():
    short = Duck(start=150, down=0, up_at=150, up=5, depth=0.2, gain_in=0.2)
    ducks = [DUCK, short]
    assert gain_after(ducks, 149) == gain_at(DUCK, 149)
    assert gain_after(ducks, 150) == pytest.approx(0.2)
    assert gain_after(ducks, 160) == 1
    assert gain_at(DUCK, 160) == pytest.approx(0.2)


def test_music_without_ducks_is_left_alone():
    assert gain_after([], 5) == 1
    assert gain_after([DUCK], 5) == 1


@st.composite
def schedules(draw: st.DrawFn) -> list[Duck]:
    """Ducks that cut into each other anywhere: in a ramp, in the hold, after the end; speeches and fade-outs."""
    ducks: list[Duck] = []
    start = draw(st.integers(0, 50))
    for _ in range(draw(st.integers(1, 5))):
        gain_in = gain_after(ducks, start)
        up = draw(st.integers(MINIMUM_RAMP_FRAMES, 40))
        if ducks and draw(st.booleans()):
            ducks.append(Duck(start, 0, start + draw(st.integers(0, 8)), up, gain_in, gain_in))
        else:
            down = draw(st.integers(MINIMUM_RAMP_FRAMES, 10))
            depth = draw(st.floats(0.03, 1.0))
            ducks.append(Duck(start, down, start + draw(st.integers(0, 40)), up, depth, gain_in))
        start += draw(st.integers(1, 60))
    return ducks


@given(schedules())
def test_the_gain_is_continuous_however_speeches_and_cuts_follow_each_other(ducks: list[Duck]):
    per_frame = 8
    frames = range(ducks[0].start - 2, max(duck.end for duck in ducks) + 3)
    curve = [gain_after(ducks, frame + part / per_frame) for frame in frames for part in range(per_frame)]
    steepest = math.pi / 2 / MINIMUM_RAMP_FRAMES / per_frame  # of a raised cosine from 0 to 1
    assert max(abs(after - before) for before, after in itertools.pairwise(curve)) <= steepest
    assert min(curve) > 0 and max(curve) <= 1
    assert curve[-1] == 1


def test_close_speeches_do_not_pump():
    first = Duck(start=100, down=6, up_at=206, up=30, depth=0.2)
    second = Duck(start=206, down=6, up_at=300, up=30, depth=0.2, gain_in=gain_at(first, 206))
    assert all(gain_after([first, second], frame) == pytest.approx(0.2) for frame in range(106, 301))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"down": 0}, "without a ramp down"),
        ({"down": 2}, "a ramp takes 3 frames or more"),
        ({"up": 2}, "a ramp takes 3 frames or more"),
        ({"up_at": 99}, "up_at must not lie before start"),
        ({"depth": 0.0}, "linear gains"),
        ({"depth": 1.1}, "linear gains"),
        ({"gain_in": math.nan}, "linear gains"),
    ],
)
def test_a_duck_that_would_click_is_refused(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        Duck(**({"start": 100, "down": 6, "up_at": 200, "up": 30, "depth": 0.2} | fields))


def test_usual_speech_over_the_usual_bed_puts_it_fourteen_decibels_down():
    assert db(depth_for(-22, -28)) == pytest.approx(-14)


@given(st.floats(-30, -10), st.floats(-70, -10))
def test_speech_stands_twenty_decibels_over_any_bed_that_need_not_vanish_for_it(speech_dbov: float, bed_dbov: float):
    depth_db = db(depth_for(speech_dbov, bed_dbov))
    assert FLOOR_DB - 1e-9 <= depth_db <= 0
    if depth_db > FLOOR_DB + 1e-9:
        assert speech_dbov - (bed_dbov + depth_db) >= 20 - 1e-9


def test_soft_music_keeps_its_level_and_loud_music_does_not_vanish():
    assert depth_for(-22, -45) == 1
    assert depth_for(-22, -math.inf) == 1
    assert db(depth_for(-40, -10)) == pytest.approx(-30)
    assert db(depth_for(-40, -10, floor_db=-12)) == pytest.approx(-12)


def test_the_settings_are_the_documented_ones_and_make_a_depth():
    settings = Ducking()
    assert (settings.down_frames, settings.up_frames, settings.hold_frames) == (6, 30, 50)
    assert settings.depth(-22, -28) == depth_for(-22, -28)
    assert Ducking(down_ms=50).down_frames == MINIMUM_RAMP_FRAMES
    assert db(Ducking(ratio_db=25).depth(-22, -28)) == pytest.approx(-19)


@pytest.mark.parametrize("name", Ducking.BOUNDS)
def test_a_setting_out_of_bounds_is_named_with_what_came_and_what_is_allowed(name: str):
    low, high = Ducking.BOUNDS[name]
    for wrong in (low - 1, high + 1, math.nan):
        with pytest.raises(ValueError, match=rf"{name} is {wrong}; it must lie between {low} and {high}"):
            Ducking(**{name: wrong})
