from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckline import schedule
from duckline.call import BedSpan, Call, Part, Speech, stretches
from duckline.envelope import Duck
from duckline.errors import Conflict, NotFound, TooManyPending
from duckline.schedule import AGAIN_LIMIT, PENDING_LIMIT, first_change, limit_of_seal

NOW_MS, LEASE_MS = 1_800_000_000_000, 15_000
LEASED = {"now_ms": NOW_MS, "lease_ms": LEASE_MS}
CALM = BedSpan(0, "calm1", "calm")
FADE = Part("fade", Duck(250, 0, 257, 30, 0.2, 0.2), voice_at=257)


def part(start: int, frames: int = 100, clip: str = "") -> Part:
    return Part(clip or f"c{start}", Duck(start, 6, start + 6 + frames, 30, 0.2), start + 6)


def said(order: int, *parts: Part, **fields) -> Speech:
    return Speech(f"sp_{order}", order, parts, more=False, **fields)


def owed(order: int, **fields) -> Speech:
    return Speech(f"sp_{order}", order, **fields)


def call(*speeches: Speech, **fields) -> Call:
    return Call("CA1", **({"beds": (CALM,), "window_until": 42_000, "speeches": speeches, "next_order": 9} | fields))


# -- reserving ------------------------------------------------------------------------------------


def test_a_reservation_takes_the_next_place_in_the_order():
    one = schedule.reserve(call(next_order=1), "sp_a", **LEASED)
    two = schedule.reserve(one, "sp_b", **LEASED)
    assert [(s.speech_id, s.order, s.more) for s in two.speeches] == [("sp_a", 1, True), ("sp_b", 2, True)]
    assert two.speech("sp_a").lease_until_ms == NOW_MS + LEASE_MS


def test_a_second_reservation_of_the_same_speech_changes_nothing():
    once = schedule.reserve(call(), "sp_a", **LEASED)
    assert schedule.reserve(once, "sp_a", now_ms=NOW_MS + 5000, lease_ms=LEASE_MS) is once


def test_an_order_is_never_given_twice():
    emptied = replace(schedule.reserve(call(next_order=1), "sp_a", **LEASED), speeches=())
    assert schedule.reserve(emptied, "sp_b", **LEASED).speech("sp_b").order == 2


def test_as_many_speeches_as_the_limit_may_wait_and_no_more():
    full = call(next_order=1)
    for number in range(PENDING_LIMIT):
        full = schedule.reserve(full, f"sp_{number}", **LEASED)
    with pytest.raises(TooManyPending, match="32 speeches are pending; at most 32 may be"):
        schedule.reserve(full, "sp_more", **LEASED)
    assert schedule.reserve(full, "sp_0", **LEASED) is full


def test_what_is_over_or_will_not_be_heard_does_not_count_as_pending():
    heard = [said(order, part(order)) for order in range(1, PENDING_LIMIT)]
    gone = replace(owed(40), more=False, outcome="cancelled")
    assert schedule.reserve(call(*heard, gone, owed(41), sealed=1000), "sp_a", **LEASED).speech("sp_a") is not None


def test_nothing_is_reserved_in_a_call_that_is_over():
    over = call(said(1, part(100)), ended_at_ms=NOW_MS, end_reason="completed")
    with pytest.raises(Conflict, match="call CA1 is over: completed"):
        schedule.reserve(over, "sp_a", **LEASED)
    assert schedule.reserve(over, "sp_1", **LEASED) is over  # a retry finds what it was promised


# -- placing --------------------------------------------------------------------------------------


def test_parts_are_placed_one_after_the_other_until_nothing_is_owed():
    first = schedule.place(call(owed(1)), "sp_1", part(100), more=True)
    both = schedule.place(first, "sp_1", part(214), more=False)
    assert not first.speech("sp_1").is_placed
    assert both.speech("sp_1").parts == (part(100), part(214))
    assert both.speech("sp_1").is_placed


@pytest.mark.parametrize(
    "change",
    [
        lambda call: schedule.place(call, "sp_7", part(100), more=False),
        lambda call: schedule.interrupt(call, "sp_7", part(100), None, at=100, more=False),
        lambda call: schedule.fail(call, "sp_7", "no such voice"),
        lambda call: schedule.silence(call, ["sp_7"], None, at=100, reason="cancelled", **LEASED),
        lambda call: schedule.take_over(call, "sp_7", **LEASED),
        lambda call: schedule.renew(call, "sp_7", **LEASED),
        lambda call: schedule.speak_again(call, ["sp_7"]),
    ],
)
def test_a_speech_that_is_not_known_is_named(change):
    with pytest.raises(NotFound, match="call CA1 has no pending speech sp_7"):
        change(call(owed(1)))


def test_a_failed_speech_frees_its_place_and_says_why():
    failed = schedule.fail(call(owed(1), owed(2)), "sp_1", "no voice is called Nobody").speech("sp_1")
    assert (failed.outcome, failed.reason, failed.is_placed) == ("failed", "no voice is called Nobody", True)


# -- interrupting ---------------------------------------------------------------------------------


def test_an_interruption_silences_what_sounds_and_drops_the_queue():
    before = call(said(1, part(100, 500)), said(2, part(700)), owed(3), owed(4), sealed=245)
    after = schedule.interrupt(before, "sp_4", part(250), None, at=250, more=False)
    playing, queued, reserved, mine = after.speeches
    assert (playing.outcome, playing.silenced_at, playing.parts) == (
        "cancelled",
        250,
        (replace(part(100, 500), cut_at=250),),
    )
    assert (queued.outcome, queued.silenced_at, queued.parts) == ("cancelled", None, ())
    assert (reserved.outcome, reserved.more) == ("cancelled", False)
    assert {s.reason for s in (playing, queued, reserved)} == {"interrupted by sp_4"}
    assert (mine.outcome, mine.parts) == (None, (part(250),))


def test_an_interruption_leaves_what_comes_after_it_alone():
    before = call(owed(1), owed(2), owed(3), sealed=245)
    after = schedule.interrupt(before, "sp_2", part(250), None, at=250, more=True)
    assert after.speech("sp_3") == owed(3)
    assert after.speech("sp_2").more


def test_an_interruption_leaves_what_has_been_said_alone():
    finished = said(1, part(100, 100))
    before = call(finished, owed(2), sealed=245)
    assert schedule.interrupt(before, "sp_2", part(250), None, at=250, more=False).speech("sp_1") == finished


def test_where_the_interruption_has_to_wait_the_old_voice_ends_in_a_fade_of_its_own():
    before = call(said(1, part(100, 500)), owed(2), sealed=245)
    after = schedule.interrupt(before, "sp_2", part(900), FADE, at=250, more=False)
    assert after.speech("sp_1").parts == (replace(part(100, 500), cut_at=250), FADE)


# -- silencing ------------------------------------------------------------------------------------


def silenced(before: Call, *speech_ids: str, fade: Part | None = None, at: int = 250) -> Call:
    return schedule.silence(before, speech_ids, fade, at=at, reason="cancelled", **LEASED)


def test_a_speech_that_sounds_fades_out():
    playing = silenced(call(said(1, part(100, 500)), sealed=245), "sp_1", fade=FADE).speech("sp_1")
    assert (playing.outcome, playing.reason, playing.silenced_at) == ("cancelled", "cancelled", 250)
    assert playing.parts == (replace(part(100, 500), cut_at=250), FADE)


def test_a_speech_that_has_not_begun_leaves_without_a_trace_in_the_sound():
    after = silenced(call(said(1, part(300)), sealed=245), "sp_1")
    assert (after.speech("sp_1").outcome, after.speech("sp_1").parts) == ("cancelled", ())
    assert [s.clip for s in stretches(after, 0, 1000)] == [None]


def test_parts_that_are_still_to_come_are_dropped():
    before = call(said(1, part(100, 100), part(214, 100), part(330, 100)), sealed=245)
    assert silenced(before, "sp_1", fade=FADE).speech("sp_1").parts == (
        part(100, 100),
        replace(part(214, 100), cut_at=250),
        FADE,
    )


def test_what_stood_behind_moves_up_in_its_old_order():
    before = call(said(1, part(100, 500)), said(2, part(700)), said(3, part(900)), owed(4, maker=3), sealed=245)
    after = silenced(before, "sp_2")
    third, fourth = after.speech("sp_3"), after.speech("sp_4")
    assert (third.parts, third.more, third.maker) == ((), True, 2)
    assert third.lease_until_ms == NOW_MS + LEASE_MS
    assert fourth == owed(4, maker=3)  # it had no place to lose, and its maker keeps it
    assert after.speech("sp_1") == before.speech("sp_1")


def test_what_stood_behind_and_has_begun_stays_where_it_is():
    before = call(said(1, part(100, 130)), said(2, part(236, 300)), said(3, part(700)), sealed=245)
    after = silenced(before, "sp_1")
    assert after.speech("sp_2") == before.speech("sp_2")


def test_all_can_be_silenced_at_once():
    before = call(said(1, part(100, 500)), said(2, part(700)), owed(3), sealed=245)
    after = silenced(before, "sp_1", "sp_2", "sp_3", fade=FADE)
    assert {s.outcome for s in after.speeches} == {"cancelled"}
    assert after.pending == ()


def test_silencing_twice_is_silencing_once():
    once = silenced(call(said(1, part(100, 500)), owed(2), sealed=245), "sp_1", fade=FADE)
    assert silenced(once, "sp_1", at=300).speech("sp_1") == once.speech("sp_1")


def test_silencing_nothing_changes_nothing():
    before = call(said(1, part(100)), said(2, part(300)), sealed=245)
    assert silenced(before) == before


def test_what_has_been_said_cannot_be_silenced():
    before = call(said(1, part(100, 100)), sealed=245)
    assert silenced(before, "sp_1") == before


# -- leases ---------------------------------------------------------------------------------------


def test_a_speech_is_abandoned_when_its_makers_lease_has_run_out():
    waiting = call(owed(1, lease_until_ms=NOW_MS), owed(2, lease_until_ms=NOW_MS + 1))
    assert [s.speech_id for s in schedule.abandoned(waiting, NOW_MS)] == ["sp_1"]
    assert [s.speech_id for s in schedule.abandoned(waiting, NOW_MS + 1)] == ["sp_1", "sp_2"]


def test_what_is_placed_or_will_not_be_heard_is_not_abandoned():
    gone = replace(owed(2), outcome="cancelled")
    assert schedule.abandoned(call(said(1, part(100)), gone), NOW_MS) == ()


def test_taking_over_makes_the_old_makers_number_worthless():
    taken = schedule.take_over(call(owed(1, parts=(part(100),))), "sp_1", **LEASED).speech("sp_1")
    assert (taken.maker, taken.lease_until_ms) == (2, NOW_MS + LEASE_MS)
    assert taken.parts == (part(100),)  # what is placed is placed


def test_renewing_keeps_the_maker():
    renewed = schedule.renew(call(owed(1, lease_until_ms=NOW_MS)), "sp_1", **LEASED).speech("sp_1")
    assert (renewed.maker, renewed.lease_until_ms) == (1, NOW_MS + LEASE_MS)


# -- speaking again -------------------------------------------------------------------------------


def test_a_speech_that_broke_off_is_owed_from_its_beginning():
    before = call(said(1, part(100), part(214)), sealed=150)
    again = schedule.speak_again(before, ["sp_1"]).speech("sp_1")
    assert (again.parts, again.more, again.again, again.maker, again.lease_until_ms) == ((), True, 1, 2, 0)
    assert schedule.abandoned(schedule.speak_again(before, ["sp_1"]), NOW_MS) == (again,)


def test_it_is_spoken_before_anything_later():
    before = call(said(1, part(100)), said(2, part(300)), owed(3, maker=1), sealed=150)
    after = schedule.speak_again(before, ["sp_1"])
    assert after.speech("sp_2").parts == ()
    assert (after.speech("sp_2").again, after.speech("sp_2").more) == (0, True)  # it lost its place, no hearing
    assert [s.order for s in after.speeches] == [1, 2, 3]


def test_what_came_before_it_is_left_alone():
    before = call(said(1, part(100)), said(2, part(300)), sealed=350)
    assert schedule.speak_again(before, ["sp_2"]).speech("sp_1") == before.speech("sp_1")


def test_a_line_that_is_not_worth_a_sixth_try_is_reported():
    before = call(replace(said(1, part(100)), again=AGAIN_LIMIT), said(2, part(300)), sealed=150)
    given_up = schedule.speak_again(before, ["sp_1"]).speech("sp_1")
    assert (given_up.outcome, given_up.reason, given_up.parts) == ("failed", "broke off 6 times", ())


def test_speaking_nothing_again_changes_nothing():
    before = call(said(1, part(100)), said(2, part(300)), sealed=150)
    assert schedule.speak_again(before, []) == before


def test_what_was_heard_to_its_end_is_not_spoken_again():
    before = call(said(1, part(100, 100)), said(2, part(300, 100)), said(3, part(500, 100)), sealed=450)
    assert schedule.unheard(before, heard=206) == ("sp_2",)
    assert schedule.unheard(before, heard=205) == ("sp_1", "sp_2")


def test_a_speech_of_which_any_part_was_missed_is_unheard():
    before = call(said(1, part(100, 100), part(214, 100), part(1000, 100)), sealed=330)
    assert schedule.unheard(before, heard=320) == ()
    assert schedule.unheard(before, heard=319) == ("sp_1",)


def test_what_was_cancelled_is_not_unheard():
    gone = replace(said(1, replace(part(100), cut_at=150)), outcome="cancelled")
    assert schedule.unheard(call(gone, sealed=200), heard=0) == ()


# -- being over -----------------------------------------------------------------------------------


def test_a_speech_is_over_when_the_music_is_itself_again():
    one = said(1, part(100, 100))
    assert schedule.over(call(one, sealed=1000), heard=235) == ()
    assert schedule.over(call(one, sealed=1000), heard=236) == (one,)


def test_a_speech_of_which_more_is_owed_is_not_over():
    assert schedule.over(call(replace(said(1, part(100)), more=True)), heard=9999) == ()
    assert schedule.over(call(owed(1)), heard=9999) == ()


def test_a_silenced_speech_is_over_after_its_last_clip():
    gone = replace(said(1, replace(part(100, 500), cut_at=250), FADE), outcome="cancelled")
    assert schedule.over(call(gone), heard=286) == ()
    assert schedule.over(call(gone), heard=287) == (gone,)


def test_what_never_began_is_over_at_once():
    gone = replace(owed(1), more=False, outcome="failed", reason="no such voice")
    assert schedule.over(call(gone), heard=0) == (gone,)


def test_the_first_end_of_a_call_counts():
    once = schedule.end(call(), now_ms=NOW_MS, reason="completed")
    assert (once.ended, once.ended_at_ms, once.end_reason) == (True, NOW_MS, "completed")
    assert schedule.end(once, now_ms=NOW_MS + 1, reason="again") is once


# -- the bed --------------------------------------------------------------------------------------

WARM = BedSpan(300, "warm1", "warm", 300, "f", 100)
BRIGHT = BedSpan(600, "bright1", "bright", 600, "g", 100)


def test_the_next_bed_follows_the_one_that_plays():
    assert schedule.change_bed(call(sealed=200), WARM).beds == (CALM, WARM)


def test_a_change_that_is_still_to_come_is_replaced():
    assert schedule.change_bed(call(beds=(CALM, WARM), sealed=200), BRIGHT).beds == (CALM, BRIGHT)


def test_a_bed_that_nobody_will_hear_again_is_forgotten():
    assert schedule.change_bed(call(beds=(CALM, WARM), sealed=400), BRIGHT).beds == (WARM, BRIGHT)
    assert schedule.change_bed(call(beds=(CALM, WARM), sealed=399), BRIGHT).beds == (CALM, WARM, BRIGHT)


# -- where a change begins to be heard ------------------------------------------------------------


def test_a_change_without_sound_has_no_limit():
    before = call(owed(1), said(2, part(300)), sealed=200)
    for after in (
        schedule.reserve(before, "sp_9", **LEASED),
        schedule.renew(before, "sp_1", **LEASED),
        schedule.end(before, now_ms=NOW_MS, reason="completed"),
        schedule.fail(before, "sp_1", "no such voice"),
    ):
        assert limit_of_seal(before, after, exact=False) is None


def test_a_new_clip_must_not_have_been_sealed():
    before = call(owed(1), sealed=200)
    assert limit_of_seal(before, schedule.place(before, "sp_1", part(300), more=False), exact=False) == 300


def test_a_clip_that_leaves_must_not_have_been_sealed():
    before = call(said(1, part(300)), said(2, part(500)), sealed=200)
    assert limit_of_seal(before, silenced(before, "sp_1"), exact=False) == 300
    assert limit_of_seal(before, silenced(before, "sp_2"), exact=False) == 500


def test_a_clip_that_moves_must_not_have_been_sealed_in_either_place():
    before = call(said(1, part(300, clip="a")), sealed=200)
    moved = call(said(1, part(250, clip="a")), sealed=200)
    assert limit_of_seal(before, moved, exact=False) == 250
    assert limit_of_seal(moved, before, exact=False) == 250


def test_a_change_of_bed_must_not_have_been_sealed():
    before = call(sealed=200)
    assert limit_of_seal(before, schedule.change_bed(before, WARM), exact=False) == 300


def test_a_planned_bed_that_another_replaces_must_not_have_been_sealed_either():
    planned = call(beds=(CALM, WARM), sealed=200)
    assert limit_of_seal(planned, schedule.change_bed(planned, BRIGHT), exact=False) == 300


def test_forgetting_a_past_bed_changes_nothing_that_is_heard():
    before = call(beds=(CALM, WARM), sealed=400)
    assert limit_of_seal(before, schedule.change_bed(before, BRIGHT), exact=False) == 600


def test_a_change_of_what_is_sealed_is_a_mistake_and_is_told():
    before = call(owed(1), sealed=301)
    late = schedule.place(before, "sp_1", part(300), more=False)
    with pytest.raises(ValueError, match="would change at frame 300, but is sealed to 301"):
        limit_of_seal(before, late, exact=False)
    assert limit_of_seal(before, late, exact=True) is None


starts = st.lists(st.integers(0, 400), max_size=4)


@given(starts, starts)
def test_two_schedules_sound_the_same_up_to_their_first_change(some: list[int], others: list[int]):
    before = call(*(said(order, part(start)) for order, start in enumerate(some, 1)))
    after = call(*(said(order, part(start)) for order, start in enumerate(others, 1)))
    change = first_change(before, after)
    until = 1000 if change is None else change
    assert list(stretches(before, 0, until)) == list(stretches(after, 0, until))
    assert (change is None) == (set(some) == set(others))
