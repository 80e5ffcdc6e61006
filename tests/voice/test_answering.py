"""A call comes in, and its windows follow one another: each webhook as often as it likes."""

from dataclasses import replace
from itertools import pairwise

import pytest

from duckline import shipped
from duckline.call import BedSpan
from duckline.delivery import CHECKED_AFTER_MS, Finding
from duckline.records import BedRecord
from duckline.schedule import end
from duckline.stores import Lost, NotReached
from duckline.window import take_hold
from voice.answering import OPEN_TRIES

SID = "CA" + "0123456789abcdef" * 2


class Calls:
    """The desk's calls, with something that happens just before a write."""

    def __init__(self, calls, before_write):
        self.calls, self.before_write = calls, before_write

    def __getattr__(self, name):
        return getattr(self.calls, name)

    def write(self, before, after, *, exact=False):
        self.before_write(before, after)
        return self.calls.write(before, after, exact=exact)


def call_in(desk, bed=""):
    return desk.answering.call_in(SID, bed, desk.now_ms)


def go_on(desk, epoch=1, *, rested=False):
    return desk.answering.next_window(SID, epoch, desk.now_ms, rested=rested, bed_name="")


# -- a call comes in -------------------------------------------------------------------------------


def test_a_call_begins_with_its_first_window_over_the_default_bed(desk):
    turn = call_in(desk)
    assert turn.kind == "music"
    assert turn.call == desk.calls.get(SID)
    assert turn.call.beds == (BedSpan(0, "v-hold", "hold"),)
    assert (turn.call.epoch, turn.call.window_from, turn.call.window_until) == (1, 0, 42_000)
    assert turn.call.opening_at_ms == turn.call.started_at_ms == desk.now_ms
    assert (turn.call.opened_at_ms, turn.call.sealed, turn.call.paced) == (0, 0, True)


def test_a_call_begins_over_the_bed_that_was_asked_for(desk):
    assert call_in(desk, "calm").call.beds == (BedSpan(0, "v-calm", "calm"),)


@pytest.mark.parametrize("asked", ["nobody-made-this", "Not A Name", "half-made"])
def test_a_bed_that_there_is_not_gives_way_to_the_default(desk, asked):
    desk.beds.keep(BedRecord("half-made", "rendering"))
    assert call_in(desk, asked).call.beds[0].name == "hold"


def test_a_bed_that_is_being_made_anew_is_heard_as_it_was(desk):
    desk.beds.keep(BedRecord("calm", "rendering", version="v-before"))
    assert call_in(desk, "calm").call.beds[0].version == "v-before"


def test_with_no_bed_at_all_the_shipped_one_is_heard(desk):
    desk.beds.records.clear()
    assert call_in(desk, "calm").call.beds == (shipped.SPAN,)


def test_a_call_that_begins_is_told_once_and_without_its_number(desk):
    call_in(desk, "calm")
    desk.pass_s(1)
    call_in(desk, "calm")
    assert desk.events.messages == [
        {
            "type": "call.started",
            "call_sid": SID,
            "at_ms": 1_800_000_000_000,
            "state": "ringing",
            "bed": "calm",
        }
    ]


def test_the_same_webhook_twice_gives_the_same_turn(desk):
    first = call_in(desk, "calm")
    desk.pass_s(3)
    assert call_in(desk, "calm") == first


def test_a_call_that_is_known_goes_on_with_its_current_window(desk):
    call_in(desk)
    desk.plays(840, done=True)
    second = go_on(desk)
    assert call_in(desk) == second
    assert second.call.epoch == 2


def test_a_call_that_ended_before_it_began_is_over(desk):
    desk.ending.call_over(SID, "completed", desk.now_ms)
    assert call_in(desk).kind == "over"
    assert desk.events.messages == []


# -- the next window -------------------------------------------------------------------------------


def test_the_next_window_begins_where_the_last_one_ended(desk):
    call_in(desk)
    desk.plays(840, done=True)
    turn = go_on(desk)
    assert turn.kind == "music"
    assert (turn.call.epoch, turn.call.window_from, turn.call.window_until) == (2, 42_000, 84_000)
    assert (turn.call.opening_at_ms, turn.call.opened_at_ms, turn.call.holder) == (desk.now_ms, 0, "")


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_a_webhook_for_another_window_than_the_current_one_gets_that(desk, epoch):
    call_in(desk)
    desk.plays(840, done=True)
    second = go_on(desk)
    desk.plays(5)
    assert go_on(desk, epoch).call.epoch == 2
    assert go_on(desk, epoch).call.opening_at_ms == second.call.opening_at_ms


def test_a_webhook_that_names_no_window_means_the_current_one(desk):
    call_in(desk)
    desk.plays(840, done=True)
    assert go_on(desk, None).call.epoch == 2


def test_a_stream_that_seals_while_the_window_is_opened_does_not_prevent_it(desk):
    call_in(desk)
    desk.plays(5, sealed=300)
    seals = iter([350, 400, 450])

    def seal(before, after):
        desk.change(sealed=next(seals, desk.calls.get(SID).sealed))

    turn = replace(desk.answering, calls=Calls(desk.calls, seal)).next_window(
        SID, 1, desk.now_ms, rested=False, bed_name=""
    )
    assert turn.call.epoch == 2
    assert turn.call.window_from in range(450, 500)


def test_a_call_that_never_stands_still_is_given_up_for_now(desk):
    call_in(desk)
    desk.plays(5)
    tried = []

    def seal(before, after):
        tried.append(before.sealed)
        desk.change(sealed=before.sealed + 5)

    with pytest.raises(NotReached, match="changes too fast for window 2"):
        replace(desk.answering, calls=Calls(desk.calls, seal)).next_window(
            SID, 1, desk.now_ms, rested=False, bed_name=""
        )
    assert len(tried) == OPEN_TRIES
    assert desk.calls.get(SID).epoch == 1


def test_of_two_webhooks_at_once_one_opens_the_window_and_both_get_it(desk):
    call_in(desk)
    desk.plays(840, done=True)
    other = []

    def other_webhook(before, after):
        if not other:
            other.append(go_on(desk))

    turn = replace(desk.answering, calls=Calls(desk.calls, other_webhook)).next_window(
        SID, 1, desk.now_ms, rested=False, bed_name=""
    )
    assert turn == other[0]
    assert turn.call.epoch == 2


def test_a_webhook_that_names_no_window_opens_one_even_if_another_was_first(desk):
    call_in(desk)
    desk.plays(840, done=True)
    other = []

    def other_webhook(before, after):
        if not other:
            other.append(go_on(desk, None))

    turn = replace(desk.answering, calls=Calls(desk.calls, other_webhook)).next_window(
        SID, None, desk.now_ms, rested=False, bed_name=""
    )
    assert (turn, turn.call.epoch) == (other[0], 2)


def test_a_call_that_ends_while_the_window_is_opened_is_over(desk):
    call_in(desk)
    desk.plays(840, done=True)

    def hang_up(before, after):
        if not desk.calls.get(SID).ended:
            desk.calls.write(before, end(before, now_ms=desk.now_ms, reason="completed"))

    turn = replace(desk.answering, calls=Calls(desk.calls, hang_up)).next_window(
        SID, 1, desk.now_ms, rested=False, bed_name=""
    )
    assert turn.kind == "over"


def test_a_write_whose_answer_was_lost_is_found_to_have_happened(desk):
    """The client tries once more by itself; the second attempt then meets the first one's result."""
    call_in(desk)
    desk.plays(840, done=True)

    def lost_answer(before, after):
        desk.calls.write(before, after, exact=True)

    turn = replace(desk.answering, calls=Calls(desk.calls, lost_answer)).next_window(
        SID, 1, desk.now_ms, rested=False, bed_name=""
    )
    assert (turn.kind, turn.call.epoch) == ("music", 2)


def test_a_call_that_is_over_gets_no_window(desk):
    call_in(desk)
    desk.ending.call_over(SID, "completed", desk.now_ms)
    assert go_on(desk).kind == "over"


def test_a_call_that_the_table_has_lost_begins_anew_with_its_music(desk):
    turn = desk.answering.next_window(SID, 5, desk.now_ms, rested=False, bed_name="calm")
    assert (turn.kind, turn.call.epoch, turn.call.beds[0].name) == ("music", 1, "calm")
    assert go_on(desk, 5) == turn


def test_a_call_that_the_table_loses_at_that_very_moment_is_asked_for_again(desk):
    call_in(desk)
    desk.plays(840, done=True)

    def lose(before, after):
        desk.calls.calls.clear()

    with pytest.raises(NotReached):
        replace(desk.answering, calls=Calls(desk.calls, lose)).next_window(
            SID, 1, desk.now_ms, rested=False, bed_name=""
        )
    assert go_on(desk).call.epoch == 1


# -- speech across windows -------------------------------------------------------------------------


def test_what_a_broken_window_cut_off_is_given_to_the_work_queue(desk):
    call_in(desk)
    desk.plays(0)
    desk.speak("sp_cut", start=100)
    desk.pass_s(1)
    desk.seals(180)
    turn = go_on(desk)
    assert turn.call.speech("sp_cut").again == 1
    assert desk.work.messages == [{"kind": "speak", "call_sid": SID}]


def test_what_was_heard_before_the_window_broke_is_not_said_again(desk):
    call_in(desk)
    desk.plays(0)
    desk.speak("sp_heard", start=100)
    desk.pass_s(12)
    desk.seals(900)
    turn = go_on(desk)
    assert turn.call.speech("sp_heard").again == 0
    assert desk.work.messages == []


def test_a_window_that_was_sent_whole_leaves_nothing_to_say_again(desk):
    call_in(desk)
    desk.speak("sp_end", start=41_800)
    desk.plays(840, done=True)
    go_on(desk)
    assert desk.work.messages == []


def test_work_that_was_asked_for_in_vain_is_asked_for_by_the_same_webhook_again(desk):
    call_in(desk)
    desk.plays(0)
    desk.speak("sp_cut", start=100)
    desk.pass_s(1)
    desk.seals(180)
    desk.work.failure = NotReached("queue")
    assert go_on(desk).kind == "music"
    assert len(desk.background.failed) == 1
    desk.work.failure = None
    go_on(desk)
    assert desk.work.messages == [{"kind": "speak", "call_sid": SID}]


def test_a_speech_that_somebody_is_making_is_left_to_them(desk):
    call_in(desk)
    desk.plays(840, done=True)
    desk.speak("sp_new")
    go_on(desk)
    assert desk.work.messages == []


# -- a window that nobody could open ---------------------------------------------------------------


def test_a_window_that_was_never_opened_is_followed_by_the_plain_copy(desk):
    call_in(desk)
    desk.pass_s(0.5)
    assert go_on(desk).kind == "plain"
    assert desk.calls.get(SID).epoch == 1


def test_after_the_plain_copy_another_window_is_tried(desk):
    call_in(desk)
    desk.pass_s(90)
    turn = go_on(desk, rested=True)
    assert (turn.kind, turn.call.epoch, turn.call.window_from) == ("music", 2, 0)


def test_a_plain_copy_that_was_not_heard_either_is_followed_by_a_pause(desk):
    call_in(desk)
    desk.pass_s(0.4)
    assert go_on(desk, rested=True).kind == "pause"
    desk.pass_s(2)
    assert go_on(desk, rested=True).kind == "music"


def test_the_shipped_bed_has_a_plain_copy_too(desk):
    desk.beds.records.clear()
    call_in(desk)
    desk.pass_s(0.4)
    assert go_on(desk).kind == "plain"


@pytest.mark.parametrize("beds", [["hold"], []])
def test_however_long_no_window_opens_there_are_two_seconds_between_two_tries(desk, beds):
    desk.beds.records = {name: record for name, record in desk.beds.records.items() if name in beds}
    turn = call_in(desk)
    tries = [desk.now_ms]
    rested = False
    for _ in range(60):
        desk.pass_s(2.1 if turn.kind == "pause" else 0.1)  # every <Play> fails at once
        turn = go_on(desk, turn.call.epoch, rested=rested)
        rested = turn.kind != "music"
        if turn.kind == "music":
            tries.append(desk.now_ms)
    assert len(tries) > 10
    assert min(later - earlier for earlier, later in pairwise(tries)) >= 2000


# -- finding out what <Play> does ------------------------------------------------------------------


def test_nothing_is_asked_about_findings_where_the_mode_is_set(desk):
    desk.findings = None
    call_in(desk)
    desk.plays(840, done=True)
    assert go_on(desk).call.epoch == 2


def test_an_unknown_twilio_is_probed_by_the_first_window_and_known_from_the_second_on(learning_desk):
    first = call_in(learning_desk)
    assert (first.call.window_until, first.call.grid_frames) == (400, 400)
    learning_desk.plays(8.3, done=True)
    second = go_on(learning_desk)
    assert (second.call.window_from, second.call.window_until, second.call.paced) == (400, 42_000, True)
    assert learning_desk.findings.finding.mode == "stream"


def test_a_twilio_that_downloads_first_gets_its_windows_at_once(learning_desk):
    call_in(learning_desk)
    learning_desk.plays(12.2, done=True)
    second = go_on(learning_desk)
    assert (second.call.grid_frames, second.call.paced) == (500, False)
    assert learning_desk.findings.finding.mode == "burst"


def test_a_twilio_that_cuts_after_fifteen_seconds_gets_short_windows(learning_desk):
    call_in(learning_desk)
    learning_desk.plays(8.3, done=True)
    go_on(learning_desk)
    learning_desk.plays(15.3, sealed=1200)
    third = go_on(learning_desk, 2)
    assert third.call.window_from in range(1200, 1250)
    assert (third.call.window_until, third.call.paced) == (1300, True)
    assert learning_desk.findings.finding.mode == "short"


def test_what_is_known_counts_for_the_next_call_from_its_first_window_on(learning_desk):
    learning_desk.findings.keep(Finding("short", "seen before", learning_desk.now_ms))
    assert call_in(learning_desk).call.window_until == 650


def test_a_finding_that_is_a_day_old_is_tried_anew_by_a_first_window(learning_desk):
    learning_desk.findings.keep(Finding("burst", "seen before", learning_desk.now_ms - CHECKED_AFTER_MS))
    assert call_in(learning_desk).call.grid_frames == 400
    learning_desk.plays(8.2, done=True)
    go_on(learning_desk)
    assert learning_desk.findings.finding.mode == "stream"


def test_a_finding_that_cannot_be_read_or_kept_costs_a_probe_and_no_more(learning_desk):
    class Unreachable:
        def get(self):
            raise NotReached("table")

        def keep(self, finding):
            raise NotReached("table")

    learning_desk.findings = Unreachable()
    assert call_in(learning_desk).call.grid_frames == 400
    learning_desk.plays(8.3, done=True)
    assert go_on(learning_desk).call.window_until == 42_000
    assert [str(error) for error in learning_desk.background.failed] == ["table"]


def test_a_window_that_was_lost_to_another_webhook_teaches_nothing(learning_desk):
    call_in(learning_desk)
    learning_desk.plays(8.3, done=True)

    def refuse(before, after):
        raise Lost(replace(before, epoch=2))

    replace(learning_desk.answering, calls=Calls(learning_desk.calls, refuse)).next_window(
        SID, 1, learning_desk.now_ms, rested=False, bed_name=""
    )
    assert learning_desk.findings.finding is None


# -- no room -----------------------------------------------------------------------------------------


def test_a_call_for_which_there_is_no_room_is_not_kept(desk):
    desk.is_full = True
    turn = call_in(desk, "calm")
    assert (turn.kind, turn.call.beds[0].version) == ("full", "v-calm")
    assert desk.calls.get(SID) is None
    assert desk.events.messages == []


def test_a_call_that_found_no_room_is_taken_in_once_there_is_some(desk):
    desk.is_full = True
    call_in(desk)
    desk.pass_s(90)
    assert go_on(desk, epoch=0).kind == "full"
    desk.is_full = False
    assert go_on(desk, epoch=0).kind == "music"
    assert desk.calls.get(SID).started_at_ms == desk.now_ms


def test_a_call_that_is_known_keeps_its_window_however_full_it_is(desk):
    first = call_in(desk)
    desk.is_full = True
    assert call_in(desk) == first
    desk.plays(840, done=True)
    assert go_on(desk).call.epoch == 2


def test_the_stream_can_take_hold_of_every_window_that_is_given_out(desk):
    for epoch in range(1, 6):
        call = call_in(desk).call
        held = take_hold(call, "h", now_ms=desk.now_ms, margin_ms=0, first_frames=50, longest_frames=45_000)
        assert held.window_until - held.window_from == 42_000
        desk.plays(840, done=True)
        assert go_on(desk, epoch).call.epoch == epoch + 1
