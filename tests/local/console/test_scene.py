"""What the page is told of a schedule."""

from types import SimpleNamespace

import pytest

from duckline.call import BedSpan, Call, Part, Speech, music_gain
from duckline.envelope import Duck
from local.console.scene import Line, gain_points, line_of, schedule

FIRST = Part("clip-1", Duck(100, 6, 156, 30, 0.2), 106)


def a_call(*speeches, **fields):
    return Call("CA" + "1" * 32, (BedSpan(0, "v", "calm"),), speeches=speeches, **fields)


def interpolated(points, frame):
    """As the page joins the points."""
    before = [point for point in points if point[0] <= frame]
    after = [point for point in points if point[0] > frame]
    if not before or not after:
        return 1.0
    (left, low), (right, high) = before[-1], after[0]
    return low + (high - low) * (frame - left) / (right - left)


def test_points_joined_by_lines_are_the_gain_at_every_frame():
    duck = Duck(140, 6, 226, 30, 0.25, gain_in=0.2)
    call = a_call(Speech("sp_1", 1, (FIRST,), more=False), Speech("sp_2", 2, (Part("clip-2", duck, 146),), more=False))
    points = gain_points(call)
    for frame in range(80, 300):
        assert interpolated(points, frame) == pytest.approx(music_gain(call, frame), abs=1e-3), frame
    assert len(points) < 130  # and not one for every frame


def test_a_speech_that_is_cut_has_a_point_on_both_sides_of_the_cut():
    cut = Part("clip-1", FIRST.duck, FIRST.voice_at, cut_at=130)
    points = dict(gain_points(a_call(Speech("sp_1", 1, (cut,), more=False, outcome="cancelled"))))
    assert points[129] == pytest.approx(0.2)
    assert points[130] == 1


def test_a_call_with_nothing_to_say_has_no_points():
    assert gain_points(a_call()) == []


def test_the_schedule_tells_each_speech_with_its_state_and_its_parts():
    call = a_call(Speech("sp_1", 1, (FIRST,), more=False), Speech("sp_2", 2), opened_at_ms=1000, sealed=120, holder="h")
    told = schedule(call, now_ms=1000 + 110 * 20)
    assert told["sealed"] == 120
    assert [speech["state"] for speech in told["speeches"]] == ["playing", "scheduled"]
    assert told["speeches"][0]["parts"] == [{"start": 100, "voice_at": 106, "voice_end": 156, "end": 186}]
    assert told["speeches"][1]["parts"] == []


def a_window(start_tick, received_bytes, underruns=0, bytes_per_sample=1):
    play_out = SimpleNamespace(start_tick=start_tick, underrun_ticks=[0] * underruns)
    return SimpleNamespace(
        play_out=play_out,
        received_bytes=received_bytes,
        format=SimpleNamespace(bytes_per_sample=bytes_per_sample),
    )


def test_a_window_lies_on_the_line_where_it_began_to_be_heard():
    line = line_of(a_window(start_tick=13, received_bytes=58 + 50 * 160), window_from=400)
    assert line == Line(offset_ticks=13 - 400, arrived_tick=13 + 50)
    assert line.lead_ms(now_tick=20) == 43 * 20


def test_a_gap_delays_all_that_follows_it():
    line = line_of(a_window(start_tick=13, received_bytes=58 + 50 * 160, underruns=4), window_from=0)
    assert (line.offset_ticks, line.arrived_tick) == (17, 67)


def test_pcm_comes_at_two_bytes_a_sample():
    assert line_of(a_window(0, 58 + 50 * 320, bytes_per_sample=2), 0).arrived_tick == 50


def test_a_window_that_is_not_heard_yet_has_no_line():
    assert line_of(a_window(start_tick=None, received_bytes=0), 0) is None
