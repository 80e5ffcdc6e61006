from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckline.berth import EDGE_FRAMES
from duckline.call import BedSpan, Call, Part, Speech
from duckline.envelope import Duck
from duckline.window import UNSEALED_MS, WINDOW_MIN_FRAMES, open_window, take_hold, window_end

NOW_MS, MARGIN_MS = 1_800_000_000_000, 2000
GRID = 1000
CALM = BedSpan(0, "calm1", "calm")


def said(order: int, voice_at: int, frames: int = 100) -> Speech:
    part = Part(f"c{order}", Duck(voice_at - 6, 6, voice_at + frames, 30, 0.2), voice_at)
    return Speech(f"sp_{order}", order, (part,), more=False)


def call(*speeches: Speech, **fields) -> Call:
    """A call whose first window is held and sealed half-way, ten seconds after its stream began."""
    usual = {
        "speeches": speeches,
        "grid_frames": GRID,
        "window_until": GRID,
        "holder": "first",
        "opened_at_ms": NOW_MS - 10_000,
        "sealed": 550,
        "sealed_at_ms": NOW_MS,
    }
    return Call("CA1", (CALM,), **(usual | fields))


def sent_whole(*speeches: Speech) -> Call:
    return call(*speeches, sealed=GRID, done=1)


def opened(call: Call, now_ms: int = NOW_MS, **kwargs) -> Call:
    usual = {"margin_ms": MARGIN_MS, "grid_frames": GRID, "paced": True}
    return open_window(call, now_ms=now_ms, **(usual | kwargs))


def held(call: Call, holder: str = "second", now_ms: int = NOW_MS, longest_frames: int = 44_000) -> Call:
    return take_hold(call, holder, now_ms=now_ms, margin_ms=MARGIN_MS, first_frames=60, longest_frames=longest_frames)


def is_owed(call: Call, order: int) -> bool:
    speech = call.speech(f"sp_{order}")
    return speech.more and not speech.parts and speech.lease_until_ms <= NOW_MS


# -- the grid -------------------------------------------------------------------------------------


def test_windows_end_on_the_grid():
    assert window_end(0, GRID) == 1000
    assert window_end(1000, GRID) == 2000
    assert window_end(1234, GRID) == 2000


def test_a_window_that_would_be_shorter_than_a_second_goes_on_to_the_next_point():
    assert window_end(950, GRID) == 1000
    assert window_end(951, GRID) == 2000


@given(st.integers(0, 10**6), st.sampled_from([250, 400, 500, 650, 42_000]))
def test_a_window_is_at_least_a_second_and_no_longer_than_the_grid_and_a_second(start: int, grid: int):
    end = window_end(start, grid)
    assert end % grid == 0
    assert WINDOW_MIN_FRAMES <= end - start < grid + WINDOW_MIN_FRAMES


# -- a window after one that was done -------------------------------------------------------------


def test_the_next_window_goes_on_at_the_frame():
    following = opened(sent_whole())
    assert (following.epoch, following.window_from, following.window_until) == (2, 1000, 2000)
    assert (following.holder, following.opening_at_ms, following.opened_at_ms) == ("", NOW_MS, 0)
    assert following.sealed == 1000


def test_after_a_window_that_was_done_nothing_is_spoken_again():
    heard_late = said(1, 890)  # to the very end, and the line may hold it back yet
    assert opened(sent_whole(heard_late)).speech("sp_1") == heard_late


def test_a_speech_that_waits_for_the_next_window_keeps_its_place():
    waiting = said(1, 1010)
    assert opened(sent_whole(waiting)).speech("sp_1") == waiting


def test_the_next_window_may_have_another_shape():
    burst = opened(sent_whole(), grid_frames=500, paced=False)
    assert (burst.grid_frames, burst.window_until, burst.paced) == (500, 1500, False)


def test_a_speech_that_a_new_grid_would_cut_is_placed_anew_with_all_behind_it():
    waiting = [said(1, 1010), said(2, 1450), said(3, 1600), said(4, 1720)]
    following = opened(sent_whole(*waiting), grid_frames=500)
    assert following.speech("sp_1") == waiting[0]
    assert [is_owed(following, order) for order in (2, 3, 4)] == [True, True, True]
    assert {s.again for s in following.speeches} == {0}  # none of them was heard yet


def test_a_speech_that_a_new_grid_cannot_hold_at_all_is_placed_anew():
    following = opened(sent_whole(said(1, 1010, frames=481)), grid_frames=500)
    assert is_owed(following, 1)
    assert opened(sent_whole(said(1, 1010, frames=480)), grid_frames=500).speech("sp_1").parts


# -- a window after one that broke off ------------------------------------------------------------


def test_a_window_that_broke_off_is_followed_at_the_seal_and_what_may_have_been_sent_beyond_it():
    following = opened(call(), now_ms=NOW_MS + 1000)
    assert following.sealed == following.window_from == 550 + (1000 + UNSEALED_MS) // 20
    assert following.epoch == 2


def test_no_more_was_sent_than_the_window_had():
    assert opened(call(), now_ms=NOW_MS + 3_600_000).window_from == GRID


def test_a_window_that_nobody_fetched_was_not_sent_at_all():
    unopened = call(said(1, 300), holder="", opened_at_ms=0, sealed=0, sealed_at_ms=0)
    following = opened(unopened, now_ms=NOW_MS + 60_000)
    assert (following.window_from, following.window_until) == (0, 1000)
    assert following.speech("sp_1") == said(1, 300)


def test_what_the_caller_surely_heard_is_not_spoken_again():
    # Ten seconds of the window have passed, less the margin: 400 frames.
    assert opened(call(said(1, 300))).speech("sp_1").parts
    assert is_owed(opened(call(said(1, 301))), 1)


def test_what_broke_off_is_spoken_again_before_anything_later():
    following = opened(call(said(1, 200), said(2, 350), said(3, 900)))
    assert following.speech("sp_1").parts
    assert [is_owed(following, order) for order in (2, 3)] == [True, True]
    assert [following.speech(f"sp_{order}").again for order in (1, 2, 3)] == [0, 1, 0]


def test_what_began_beyond_the_seal_of_a_stream_that_could_not_seal_is_spoken_again():
    following = opened(call(said(1, 576)))  # 550 was sealed, and half a second more may have been sent
    assert is_owed(following, 1)
    assert following.speech("sp_1").again == 1


def test_nothing_was_heard_after_the_next_window_was_asked_for():
    # Asked after five of the ten seconds: three of them are sure, 150 frames.
    late = call(said(1, 40), said(2, 60))
    following = opened(late, asked_ms=NOW_MS - 5000)
    assert following.speech("sp_1").parts
    assert is_owed(following, 2)


def test_a_stream_that_was_done_only_after_its_line_had_broken_is_made_good():
    done_late = replace(sent_whole(said(1, 300)), sealed_at_ms=NOW_MS)
    assert is_owed(opened(done_late, asked_ms=NOW_MS - 5000), 1)
    assert opened(done_late, asked_ms=NOW_MS).speech("sp_1") == said(1, 300)


def test_of_a_burst_that_broke_off_all_is_spoken_again():
    following = opened(call(said(1, 300), paced=False, sealed=GRID))
    assert is_owed(following, 1)


# -- taking the hold ------------------------------------------------------------------------------


def test_the_first_fetch_opens_the_window_and_seals_its_beginning():
    playing = held(opened(sent_whole()), now_ms=NOW_MS + 300)
    assert (playing.holder, playing.opened_at_ms, playing.sealed_at_ms) == ("second", NOW_MS + 300, NOW_MS + 300)
    assert (playing.window_from, playing.window_until, playing.sealed) == (1000, 2000, 1060)


def test_a_first_fetch_that_comes_late_loses_nothing():
    waiting = opened(sent_whole(said(1, 1010)))
    assert held(waiting, now_ms=NOW_MS + 60_000).speech("sp_1") == said(1, 1010)


def test_a_second_fetch_goes_on_beyond_what_the_first_may_have_sent():
    playing = held(call())
    assert playing.holder == "second"
    assert (playing.window_from, playing.window_until) == (550 + 25, GRID)  # what the first may have sent unsealed
    assert playing.sealed == 610 + 25
    assert playing.epoch == 1


def test_a_second_fetch_has_spoken_again_what_only_the_first_was_sent():
    playing = held(call(said(1, 200), said(2, 350)))
    assert playing.speech("sp_1").parts
    assert is_owed(playing, 2)


def test_a_second_fetch_near_the_windows_end_goes_on_beyond_it():
    playing = held(call(sealed=960))
    assert playing.window_from == 960 + 25
    assert playing.window_until == 2000


def test_a_second_fetch_of_a_window_that_was_done_is_a_window_of_its_own():
    playing = held(sent_whole())
    assert (playing.window_from, playing.window_until) == (1000, 2000)
    assert playing.done < playing.epoch


def test_no_more_is_sealed_than_the_window_has():
    short = replace(opened(sent_whole()), window_until=1055)
    assert held(short).sealed == 1055


def test_a_deadline_that_comes_near_ends_the_window_early():
    assert held(opened(sent_whole()), longest_frames=700).window_until == 1700
    assert held(opened(sent_whole()), longest_frames=5000).window_until == 2000


def test_a_voice_that_the_early_end_would_cut_is_placed_anew():
    waiting = [said(1, 1500), said(2, 1620), said(3, 1750)]
    playing = held(opened(sent_whole(*waiting)), longest_frames=700)
    assert playing.speech("sp_1") == waiting[0]
    assert [is_owed(playing, order) for order in (2, 3)] == [True, True]


@given(
    st.integers(60, 1200),
    st.lists(st.integers(1, 300), max_size=6),
    st.lists(st.integers(20, 200), min_size=6, max_size=6),
)
def test_what_keeps_its_place_lies_clear_of_both_ends(longest: int, lengths: list[int], gaps: list[int]):
    speeches, at = [], 1000
    for order, (frames, gap) in enumerate(zip(lengths, gaps, strict=False), 1):
        speeches.append(said(order, at + gap, frames))
        at += gap + frames
    playing = held(opened(sent_whole(*speeches)), longest_frames=longest)
    ends = [playing.window_until, *range(playing.window_until // GRID * GRID + GRID, 5000, GRID)]
    for part in playing.parts:
        assert part.voice_at >= playing.window_from + EDGE_FRAMES
        assert all(part.voice_end <= end - EDGE_FRAMES or part.voice_at >= end + EDGE_FRAMES for end in ends)
    orders = [s.order for s in playing.speeches if s.parts]
    assert orders == list(range(1, len(orders) + 1))  # what is owed again stands behind all that kept its place


@pytest.mark.parametrize("change", [opened, held])
def test_a_speech_of_many_tries_is_given_up(change):
    tired = replace(said(1, 350), again=5)
    given_up = change(call(tired)).speech("sp_1")
    assert (given_up.outcome, given_up.reason) == ("failed", "broke off 6 times")


def test_a_second_fetch_sends_the_same_again_while_nothing_can_have_been_heard():
    asked_twice = call(said(1, 20), opened_at_ms=NOW_MS - 300, sealed=63)
    again = held(asked_twice)
    assert (again.window_from, again.sealed, again.window_until) == (0, 63, GRID)
    assert (again.holder, again.opened_at_ms) == ("second", NOW_MS)
    assert again.speech("sp_1") == asked_twice.speech("sp_1")


def test_a_second_fetch_of_a_window_that_was_sent_at_once_sends_it_again():
    whole = call(said(1, 300), paced=False, sealed=GRID, opened_at_ms=NOW_MS - 5000)
    again = held(whole)
    assert (again.window_from, again.sealed) == (0, GRID)
    assert not is_owed(again, 1)


# -- the caller's own input ------------------------------------------------------------------------


def test_what_the_callers_input_cut_short_is_cancelled_and_what_comes_after_moves_up():
    playing = call(said(1, 450), said(2, 700))
    cut = opened(playing, cut_at_ms=NOW_MS)  # the caller hears frame 500
    assert (cut.speech("sp_1").outcome, cut.speech("sp_1").reason) == ("cancelled", "input")
    assert cut.speech("sp_1").voice_end == 500
    assert is_owed(cut, 2)
    assert (cut.epoch, cut.window_from) == (2, cut.sealed)


def test_what_was_sent_and_not_yet_said_is_said_after_the_input():
    cut = opened(call(said(1, 530)), cut_at_ms=NOW_MS)
    assert cut.speech("sp_1").outcome is None
    assert is_owed(cut, 1)


def test_what_was_said_before_the_input_is_not_said_again():
    cut = opened(call(said(1, 350)), cut_at_ms=NOW_MS)
    assert cut.speech("sp_1").outcome is None
    assert not cut.speech("sp_1").more
