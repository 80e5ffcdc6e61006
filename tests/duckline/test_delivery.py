"""Each way of delivery has its windows, and `auto` finds out which of them suits."""

from dataclasses import replace

import pytest

from duckline.call import BedSpan, Call
from duckline.delivery import CHECKED_AFTER_MS, PROBE, Delivery, Finding, Shape
from duckline.errors import SettingMissing
from duckline.window import open_window, window_end

NOW_MS = 1_800_000_000_000
OPENED_MS = NOW_MS + 300
LONG, SHORT, BURST = Shape(42_000, True), Shape(650, True), Shape(500, False)
AUTO = Delivery("auto")


def a_window(shape, *, done=True, window_from=0):
    """A call whose stream has sent such a window, or has broken off in it."""
    until = window_end(window_from, shape.grid_frames)
    return Call(
        "CA1",
        (BedSpan(0, "v1", "hold"),),
        epoch=1,
        window_from=window_from,
        window_until=until,
        grid_frames=shape.grid_frames,
        paced=shape.paced,
        opening_at_ms=NOW_MS,
        opened_at_ms=OPENED_MS,
        done=1 if done else 0,
        sealed=until if done else window_from + 300,
        sealed_at_ms=NOW_MS,
    )


def after(shape, seconds, *, known=None, **how):
    """What is known once the next window is asked for, `seconds` after the stream began."""
    return AUTO.learnt(known, a_window(shape, **how), OPENED_MS + round(seconds * 1000))


def a_finding(mode, found_at_ms=NOW_MS):
    return Finding(mode, "seen before", found_at_ms)


@pytest.mark.parametrize(("mode", "shape"), [("stream", LONG), ("short", SHORT), ("burst", BURST)])
def test_every_mode_has_its_windows(mode, shape):
    assert Delivery(mode).shape(None, now_ms=NOW_MS) == shape
    assert AUTO.shape(a_finding(mode), now_ms=NOW_MS) == shape


def test_a_window_may_be_made_shorter_but_not_longer_than_its_mode_allows():
    assert Delivery("stream", 60).shape(None, now_ms=NOW_MS) == Shape(3000, True)
    assert Delivery("short", 60).shape(None, now_ms=NOW_MS) == SHORT
    assert Delivery("burst", 5).shape(None, now_ms=NOW_MS) == Shape(250, False)


def test_the_shape_is_what_the_next_window_is_opened_with():
    shape = Delivery("short").shape(None, now_ms=NOW_MS)
    call = a_window(LONG, done=False)
    opened = open_window(call, now_ms=NOW_MS, margin_ms=0, grid_frames=shape.grid_frames, paced=shape.paced)
    assert opened.window_from in range(300, 350)
    assert (opened.window_until, opened.paced) == (650, True)


def test_the_settings_are_read_and_refused_by_name():
    assert Delivery.from_environment({}) == Delivery("auto", 840)
    env = {"DUCKLINE_DELIVERY": "short", "DUCKLINE_WINDOW_SECONDS": "12.5"}
    assert Delivery.from_environment(env) == Delivery("short", 12.5)
    with pytest.raises(SettingMissing, match="DUCKLINE_DELIVERY is 'drip'; one of auto, stream, short, burst"):
        Delivery.from_environment({"DUCKLINE_DELIVERY": "drip"})
    with pytest.raises(SettingMissing, match="DUCKLINE_WINDOW_SECONDS is '900'; a number from 5 to 840"):
        Delivery.from_environment({"DUCKLINE_WINDOW_SECONDS": "900"})


# -- auto ------------------------------------------------------------------------------------------


def test_nothing_known_gives_out_a_probe_of_eight_seconds():
    assert AUTO.shape(None, now_ms=NOW_MS, first=True) == AUTO.shape(None, now_ms=NOW_MS) == PROBE
    assert Shape(400, True) == PROBE


def test_half_of_a_probe_is_sent_at_once_and_of_other_windows_the_lead():
    assert AUTO.head_frames(a_window(PROBE), lead_frames=50) == 200
    assert AUTO.head_frames(a_window(LONG), lead_frames=50) == 50
    assert AUTO.head_frames(a_window(BURST), lead_frames=50) == 500
    assert Delivery("stream", 8).head_frames(a_window(PROBE), lead_frames=50) == 50


@pytest.mark.parametrize("seconds", [7.9, 8.4, 9.7])
def test_a_probe_that_comes_back_after_its_length_was_played_while_it_came(seconds):
    found = after(PROBE, seconds)
    assert (found.mode, found.found_at_ms) == ("stream", OPENED_MS + round(seconds * 1000))


@pytest.mark.parametrize("seconds", [11.9, 12.5, 15])
def test_a_probe_that_comes_back_after_half_its_length_more_was_downloaded_first(seconds):
    assert after(PROBE, seconds).mode == "burst"


def test_the_evidence_says_what_was_sent_and_when_the_next_was_asked_for():
    assert after(PROBE, 12.31).evidence == "a window of 8 s, 4 s of it at once, all sent, was followed after 12.3 s"
    assert after(LONG, 15.2, done=False).evidence == (
        "a window of 840 s, in real time, broken off, was followed after 15.2 s"
    )


def test_a_probe_that_broke_off_or_came_back_at_once_shows_nothing():
    assert after(PROBE, 8.2, done=False) is None
    assert after(PROBE, 1.0) is None


def test_a_probe_too_short_to_tell_shows_nothing():
    assert after(PROBE, 3.0, window_from=310) is None


def test_a_window_that_was_never_opened_shows_nothing():
    assert AUTO.learnt(None, replace(a_window(PROBE), opened_at_ms=0), NOW_MS) is None


@pytest.mark.parametrize("seconds", [15.4, 20.3])  # with a lead of 0.4 s, and of 5
@pytest.mark.parametrize("known", [None, a_finding("stream")])
def test_a_long_window_that_is_cut_after_fifteen_seconds_asks_for_short_ones(known, seconds):
    assert after(LONG, seconds, known=known, done=False).mode == "short"


@pytest.mark.parametrize("seconds", [4, 60, 500])
def test_a_long_window_that_breaks_off_at_another_time_contradicts_nothing(seconds):
    known = a_finding("stream")
    assert after(LONG, seconds, known=known, done=False) is known


def test_a_long_window_that_takes_twice_its_length_was_downloaded_first():
    assert after(LONG, 1679, known=a_finding("stream")).mode == "burst"


def test_a_short_window_that_takes_twice_its_length_was_downloaded_first():
    assert after(SHORT, 25.2, known=a_finding("short")).mode == "burst"


def test_a_short_window_that_takes_its_length_contradicts_nothing():
    known = a_finding("short")
    assert after(SHORT, 13.3, known=known) is known
    assert after(SHORT, 13.3) is None


@pytest.mark.parametrize("seconds", [10.2, 19])
def test_a_window_that_was_sent_at_once_shows_nothing(seconds):
    known = a_finding("burst")
    assert after(BURST, seconds, known=known) is known


def test_what_is_known_already_is_not_found_again_until_a_day_has_passed():
    known = a_finding("stream")
    assert after(LONG, 840.3, known=known) is known
    old = a_finding("stream", NOW_MS - CHECKED_AFTER_MS)
    assert after(LONG, 840.3, known=old).found_at_ms > NOW_MS


@pytest.mark.parametrize(("mode", "shape"), [("stream", LONG), ("short", SHORT), ("burst", BURST)])
def test_a_day_later_a_finding_is_tried_anew_at_the_start_of_a_call(mode, shape):
    later = NOW_MS + CHECKED_AFTER_MS
    assert AUTO.shape(a_finding(mode), now_ms=later, first=True) == PROBE
    assert AUTO.shape(a_finding(mode), now_ms=later) == shape
    assert AUTO.shape(a_finding(mode), now_ms=later - 1, first=True) == shape


def test_short_windows_that_are_tried_anew_are_found_again_by_the_long_window_after_the_probe():
    old = a_finding("short", NOW_MS - CHECKED_AFTER_MS)
    tried = after(PROBE, 8.3, known=old)
    assert (tried.mode, AUTO.shape(tried, now_ms=NOW_MS)) == ("stream", LONG)
    assert after(LONG, 16.2, known=tried, done=False).mode == "short"


def test_a_probe_that_returns_in_time_says_nothing_against_a_cut_that_was_seen_since():
    seen_since = a_finding("short")
    assert after(PROBE, 8.3, known=seen_since) is seen_since
    assert after(PROBE, 12.3, known=seen_since).mode == "burst"


def test_a_wrong_finding_is_put_right_by_the_window_that_contradicts_it():
    wrong = a_finding("burst", NOW_MS - CHECKED_AFTER_MS)
    right = after(PROBE, 8.3, known=wrong)
    assert AUTO.shape(right, now_ms=NOW_MS) == LONG
    cut = after(LONG, 15.1, known=right, done=False)
    assert AUTO.shape(cut, now_ms=NOW_MS) == SHORT


@pytest.mark.parametrize("mode", ["stream", "short", "burst"])
def test_a_mode_that_is_set_is_not_talked_out_of_it(mode):
    call = a_window(PROBE)
    assert Delivery(mode).learnt(None, call, OPENED_MS + 12_000) is None
    assert not Delivery(mode).is_learning


def test_the_ear_may_lie_behind_by_a_probes_head_as_well():
    assert AUTO.margin_ms(a_window(PROBE)) == AUTO.margin_ms(a_window(LONG)) + 4000
