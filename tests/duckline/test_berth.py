from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckline.berth import (
    EDGE_FRAMES,
    Manner,
    bed_change_at,
    berth,
    clear_of_windows,
    fade_berth,
    interruption,
    is_next,
    longest_voice_frames,
)
from duckline.call import BedSpan, Call, Part, Speech
from duckline.envelope import Duck, gain_after, gain_at
from duckline.timeline import FRAME_MS

DEPTH = 0.2
GUARD = 5
MANNER = Manner()
CALM = BedSpan(0, "calm1", "calm")


def cut_off(speech: Speech, at: int) -> Speech:
    return replace(speech, parts=tuple(replace(part, cut_at=at) for part in speech.parts), outcome="cancelled")


def said(order: int, voice_at: int, frames: int, *, more: bool = False, start: int | None = None) -> Speech:
    """A speech of one part, by default with the usual ramps about it."""
    start = voice_at - 6 if start is None else start
    part = Part(f"c{order}", Duck(start, 6, voice_at + frames, 30, DEPTH), voice_at)
    return Speech(f"sp_{order}", order, (part,), more=more)


def owed(order: int, **fields) -> Speech:
    return Speech(f"sp_{order}", order, **fields)


def call(*speeches: Speech, **fields) -> Call:
    return Call("CA1", (CALM,), **({"window_until": 42_000, "speeches": speeches} | fields))


def berth_of(call: Call, speech: Speech, frames: int = 100, **kwargs):
    arguments = {"guard_frames": GUARD, "manner": MANNER} | kwargs
    return berth(call, speech, frames, lambda voice_at: DEPTH, **arguments)


def interruption_of(call: Call, speech: Speech, frames: int = 100, **kwargs):
    arguments = {"guard_frames": GUARD, "manner": MANNER} | kwargs
    return interruption(call, speech, frames, lambda voice_at: DEPTH, **arguments)


# -- a place in the order -------------------------------------------------------------------------


def test_the_first_of_the_queue_is_next():
    assert is_next(call(owed(1), owed(2)), owed(1))
    assert not is_next(call(owed(1), owed(2)), owed(2))


def test_a_speech_is_next_once_all_before_it_have_their_places_or_need_none():
    cancelled = replace(owed(2), outcome="cancelled")
    assert is_next(call(said(1, 100, 50), cancelled, owed(3)), owed(3))
    assert not is_next(call(said(1, 100, 50, more=True), owed(3)), owed(3))


# -- a place in time ------------------------------------------------------------------------------


def test_the_first_speech_is_heard_as_soon_as_the_music_is_down():
    place = berth_of(call(owed(1), sealed=1000), owed(1))
    assert place.duck.start == 1005
    assert place.voice_at == 1011
    assert (place.duck.up_at, place.duck.end) == (1111, 1141)
    assert (place.duck.gain_in, place.duck.depth) == (1.0, DEPTH)


def test_the_guard_is_kept_from_the_seal():
    assert berth_of(call(owed(1), sealed=1000), owed(1), guard_frames=25).duck.start == 1025


def test_the_next_speech_comes_a_pause_after_the_one_before():
    first = said(1, 1011, 100)
    place = berth_of(call(first, owed(2), sealed=1000), owed(2))
    assert place.voice_at == first.voice_end + MANNER.pause_frames


def test_the_next_part_of_a_text_comes_after_a_shorter_pause():
    first = said(1, 1011, 100, more=True)
    place = berth_of(call(first, sealed=1000), first)
    assert place.voice_at == first.voice_end + MANNER.part_pause_frames


def test_a_pause_that_has_passed_is_not_waited_for_again():
    long_ago = said(1, 100, 100)
    assert berth_of(call(long_ago, owed(2), sealed=1000), owed(2)).voice_at == 1011


def test_a_speech_keeps_its_place_in_the_order_whatever_stands_behind_it():
    behind = said(3, 2000, 100)
    assert berth_of(call(owed(2), behind, sealed=1000), owed(2)).voice_at == 1011


def test_music_stays_down_between_two_speeches_that_are_close():
    first = said(1, 1011, 100)
    place = berth_of(call(first, owed(2), sealed=1000), owed(2))
    assert place.duck.start == first.voice_end
    assert all(gain_at(place.duck, frame) == pytest.approx(DEPTH) for frame in range(1111, 1231))


def test_music_returns_between_two_speeches_that_are_far_apart():
    first = said(1, 1011, 100)  # to frame 1111
    place = berth_of(call(first, owed(2), sealed=1200), owed(2))
    assert place.duck.start == 1205
    assert place.duck.gain_in == 1.0


def test_music_that_is_on_its_way_up_is_caught_where_it_is():
    first = said(1, 1011, 100)  # its music comes back from 1111 to 1141
    place = berth_of(call(first, owed(2), sealed=1120), owed(2))
    assert place.duck.start == 1125
    assert place.duck.gain_in == pytest.approx(gain_at(first.parts[0].duck, 1125), abs=1e-4)
    assert DEPTH < place.duck.gain_in < 1


def test_the_gap_in_which_music_stays_down_is_a_setting():
    first = said(1, 1011, 100)
    place = berth_of(call(first, owed(2), sealed=1000), owed(2), manner=Manner(hold_frames=10))
    assert place.duck.start == first.voice_end + MANNER.pause_frames - MANNER.down_frames


def test_after_a_silenced_speech_the_pause_is_counted_from_the_end_of_its_fade():
    cut = cut_off(said(1, 1011, 500), 1100)
    place = berth_of(call(cut, owed(2), sealed=1050), owed(2))
    assert place.voice_at == 1100 + MANNER.fade_out_frames + MANNER.pause_frames


def test_a_speech_that_was_taken_out_before_it_began_leaves_no_gap():
    gone = replace(owed(1), more=False, outcome="cancelled")
    assert berth_of(call(gone, owed(2), sealed=1000), owed(2)).voice_at == 1011


def test_the_depth_is_asked_for_the_music_under_the_voice():
    asked = []
    berth(
        call(owed(1), sealed=1000), owed(1), 100, lambda at: asked.append(at) or 0.12345678, guard_frames=5,
        manner=MANNER,
    )  # fmt: skip
    assert asked == [1011]


def test_gains_are_kept_to_four_places_and_never_vanish():
    quiet = berth(call(owed(1)), owed(1), 100, lambda at: 0.123456, guard_frames=5, manner=MANNER)
    silent = berth(call(owed(1)), owed(1), 100, lambda at: 0.0, guard_frames=5, manner=MANNER)
    assert quiet.duck.depth == 0.1235
    assert silent.duck.depth == 0.0001


# -- windows --------------------------------------------------------------------------------------


def test_a_voice_that_fits_into_the_window_stays_where_it_is():
    assert clear_of_windows(call(), 100, 200) == 100


def test_a_voice_waits_for_the_fade_in_of_its_window():
    assert clear_of_windows(call(window_from=1000, sealed=1000), 1003, 200) == 1000 + EDGE_FRAMES


def test_a_voice_that_the_window_would_cut_waits_for_the_next():
    first_that_does_not_fit = 42_000 - EDGE_FRAMES - 200 + 1
    assert clear_of_windows(call(), first_that_does_not_fit - 1, 200) == first_that_does_not_fit - 1
    assert clear_of_windows(call(), first_that_does_not_fit, 200) == 42_000 + EDGE_FRAMES


def test_after_a_window_that_ends_early_the_grid_goes_on_as_before():
    early = call(window_until=30_000)
    assert clear_of_windows(early, 29_900, 200) == 30_000 + EDGE_FRAMES
    assert clear_of_windows(early, 41_900, 200) == 42_000 + EDGE_FRAMES


def test_a_voice_longer_than_a_window_is_refused():
    assert longest_voice_frames(42_000) == 41_980
    assert clear_of_windows(call(), 100, 41_980) == 42_010
    with pytest.raises(ValueError, match="41981 frames of voice fit no window of 42000"):
        clear_of_windows(call(), 100, 41_981)


windows = st.builds(
    lambda grid, first, early: call(grid_frames=grid, window_from=first, window_until=first + early, sealed=first),
    st.sampled_from([250, 400, 650, 42_000]),
    st.integers(0, 5000),
    st.integers(60, 2000),
)


@given(windows, st.integers(0, 10_000), st.integers(1, 230))
def test_no_voice_lies_across_a_windows_end_or_in_its_fades(call: Call, asked: int, frames: int):
    voice_at = clear_of_windows(call, asked, frames)
    grid = call.grid_frames
    next_ends = range((call.window_until // grid + 1) * grid, voice_at + frames + grid, grid)
    assert voice_at >= max(asked, call.window_from + EDGE_FRAMES)
    for end in (call.window_until, *next_ends):
        assert voice_at + frames <= end - EDGE_FRAMES or voice_at >= end + EDGE_FRAMES


@given(windows, st.integers(0, 10_000), st.integers(1, 230))
def test_a_voice_waits_no_longer_than_it_must(call: Call, asked: int, frames: int):
    voice_at = clear_of_windows(call, asked, frames)
    assert clear_of_windows(call, voice_at, frames) == voice_at
    if voice_at > max(asked, call.window_from + EDGE_FRAMES):
        assert clear_of_windows(call, voice_at - 1, frames) == voice_at


def test_a_speech_that_waits_for_the_next_window_finds_the_music_up():
    near_the_end = call(said(1, 41_900, 50), owed(2), sealed=41_900)
    place = berth_of(near_the_end, owed(2), 100)
    assert place.voice_at == 42_010
    assert place.duck.start == 42_010 - MANNER.down_frames
    assert place.duck.gain_in == 1.0


# -- interrupting ---------------------------------------------------------------------------------


def test_who_interrupts_silence_is_heard_at_once():
    cut = interruption_of(call(owed(1), sealed=1000), owed(1))
    assert (cut.at, cut.berth.voice_at, cut.fade) == (1005, 1011, None)


def test_who_interrupts_a_voice_waits_for_its_fade_and_takes_it_along():
    cut = interruption_of(call(said(1, 900, 500), owed(2), sealed=1000), owed(2))
    assert cut.at == cut.berth.duck.start == 1005
    assert cut.berth.voice_at == 1005 + MANNER.fade_out_frames
    assert MANNER.fade_out_frames * FRAME_MS <= 150
    assert cut.fade is None


def test_the_music_stays_down_under_an_interruption():
    cut = interruption_of(call(said(1, 900, 500), owed(2), sealed=1000), owed(2))
    assert all(gain_at(cut.berth.duck, frame) == pytest.approx(DEPTH) for frame in range(1005, 1112))


def test_a_voice_that_has_not_begun_needs_no_fade():
    cut = interruption_of(call(said(1, 1300, 500), owed(2), sealed=1000), owed(2))
    assert cut.berth.voice_at == 1011


def test_what_fades_out_already_is_not_waited_for():
    silenced = cut_off(said(1, 900, 500), 1004)
    assert interruption_of(call(silenced, owed(2), sealed=1000), owed(2)).berth.voice_at == 1011


def test_an_interruption_for_which_the_window_has_no_room_lets_the_music_return_first():
    near_the_end = call(said(1, 41_600, 300), owed(2), sealed=41_700)
    cut = interruption_of(near_the_end, owed(2), 400)
    assert cut.at == 41_705
    assert cut.fade.duck.start == cut.at
    assert cut.fade.voice_at == cut.fade.duck.up_at == cut.at + MANNER.fade_out_frames
    assert cut.berth.voice_at == 42_010
    assert cut.berth.duck.start == 42_004
    assert cut.berth.duck.gain_in == 1.0
    assert cut.fade.duck.end <= cut.berth.duck.start


def test_an_interruption_across_a_close_windows_end_is_one_clip():
    at_the_end = call(said(1, 41_900, 90), owed(2), sealed=41_975)
    cut = interruption_of(at_the_end, owed(2), 400)
    assert cut.fade is None
    assert (cut.at, cut.berth.duck.start, cut.berth.voice_at) == (41_980, 41_980, 42_010)


@given(st.integers(0, 500), st.integers(1, 200), st.integers(0, 800), st.integers(1, 300))
def test_the_gain_goes_on_from_where_an_interruption_finds_it(voice_at: int, frames: int, sealed: int, mine: int):
    first = said(1, voice_at + 6, frames)
    cut = interruption_of(call(first, owed(2), sealed=sealed), owed(2), mine)
    assert cut.berth.duck.gain_in == pytest.approx(gain_after([first.parts[0].duck], cut.at), abs=1e-4)


# -- fading out -----------------------------------------------------------------------------------


def test_a_voice_that_sounds_fades_out_and_lets_the_music_return():
    place = fade_berth(call(said(1, 900, 500), sealed=1000), guard_frames=GUARD, manner=MANNER)
    assert place.duck == Duck(1005, 0, 1012, 30, DEPTH, DEPTH)
    assert place.voice_at == place.duck.up_at


def test_music_on_its_way_up_goes_on_up_without_waiting_for_a_voice():
    place = fade_berth(call(said(1, 900, 100), sealed=1005), guard_frames=GUARD, manner=MANNER)
    assert place.duck.start == place.duck.up_at == 1010
    assert place.duck.gain_in == place.duck.depth
    assert DEPTH < place.duck.depth < 1


@pytest.mark.parametrize("sealed", [0, 889, 1025, 5000])  # before the clip's start, and from its end on
def test_where_the_music_is_up_there_is_nothing_to_fade(sealed: int):
    assert fade_berth(call(said(1, 900, 100), sealed=sealed), guard_frames=GUARD, manner=MANNER) is None


# -- changing the bed -----------------------------------------------------------------------------


def test_a_bed_changes_as_soon_as_it_can():
    assert bed_change_at(call(sealed=1000), guard_frames=GUARD) == 1005


def test_a_bed_changes_after_the_last_placed_speech():
    placed = said(1, 2000, 100)
    assert bed_change_at(call(placed, sealed=1000), guard_frames=GUARD) == placed.parts[0].end


def test_a_bed_does_not_change_within_a_fade_from_another():
    warm = BedSpan(980, "warm1", "warm", 980, "f", 100)
    fading = replace(call(sealed=1000), beds=(CALM, warm))
    assert bed_change_at(fading, guard_frames=GUARD) == 1080


def test_a_change_that_is_to_come_yet_is_not_waited_for():
    warm = BedSpan(5000, "warm1", "warm", 5000, "f", 100)
    planned = replace(call(sealed=1000), beds=(CALM, warm))
    assert bed_change_at(planned, guard_frames=GUARD) == 1005
