"""A call is over: once, whatever Twilio sends, and every speech that was not heard is accounted for."""

from dataclasses import replace

import pytest

from duckline.ending import TRIES
from duckline.records import SpeechRecord
from duckline.schedule import end, fail
from duckline.stores import NotReached
from voice.ending import OVER

SID = "CA" + "0123456789abcdef" * 2


class Calls:
    """The desk's calls, with something that happens before each request, by the request's name."""

    def __init__(self, calls, **before):
        self.calls, self.before = calls, before

    def __getattr__(self, name):
        def asked(*arguments, **named):
            self.before.get(name, lambda: None)()
            return getattr(self.calls, name)(*arguments, **named)

        return asked


def fails(times):
    """Something that cannot be reached so many times."""
    failures = iter([NotReached("table")] * times)

    def fail_now():
        for failure in failures:
            raise failure

    return fail_now


def call_over(desk, status="completed", calls=None):
    ending = desk.ending if calls is None else replace(desk.ending, calls=calls)
    ending.call_over(SID, status, desk.now_ms)


@pytest.fixture
def live(desk):
    """A desk with a call whose stream has sealed its first 500 frames."""
    desk.answering.call_in(SID, "", desk.now_ms)
    desk.plays(0, sealed=500)
    desk.events.messages.clear()
    return desk


@pytest.mark.parametrize("status", sorted(OVER))
def test_every_status_that_ends_a_call_ends_it_with_that_reason(live, status):
    live.pass_s(12.5)
    call_over(live, status)
    call = live.calls.get(SID)
    assert (call.ended_at_ms, call.end_reason) == (live.now_ms, status)
    assert live.events.messages == [
        {
            "type": "call.ended",
            "call_sid": SID,
            "at_ms": live.now_ms,
            "state": "ended",
            "reason": status,
            "seconds": 12.5,
        }
    ]


@pytest.mark.parametrize("status", ["in-progress", "ringing", "queued", "initiated", "", "COMPLETED"])
def test_any_other_status_changes_nothing(live, status):
    before = live.calls.get(SID)
    call_over(live, status)
    assert live.calls.get(SID) == before
    assert live.events.messages == []


def test_a_callback_that_comes_twice_is_one(live):
    call_over(live)
    ended = live.calls.get(SID)
    live.pass_s(3)
    call_over(live, "failed")
    assert live.calls.get(SID) == ended
    assert live.events.types == ["call.ended"]


def test_a_callback_before_the_call_leaves_a_tombstone_and_tells_nobody(desk):
    call_over(desk)
    tombstone = desk.calls.get(SID)
    assert (tombstone.beds, tombstone.ended, tombstone.end_reason) == ((), True, "completed")
    assert tombstone.started_at_ms == desk.now_ms  # from which the table counts how long it keeps an item
    call_over(desk)
    assert desk.calls.get(SID) == tombstone
    assert desk.events.messages == []


def test_a_call_that_begins_while_its_tombstone_is_laid_is_ended(desk):
    def begins():
        if desk.calls.get(SID) is None:
            desk.answering.call_in(SID, "", desk.now_ms)

    call_over(desk, calls=Calls(desk.calls, create=begins))
    assert desk.calls.get(SID).ended
    assert desk.events.types == ["call.started", "call.ended"]


# -- what was still to be said ---------------------------------------------------------------------


def test_what_was_not_heard_is_cancelled_and_its_history_written(live):
    live.speeches.keep(SpeechRecord(SID, "sp_waits", "f", live.now_ms, text="hello"))
    live.speak("sp_waits", start=700)
    live.speak("sp_being_made")
    live.pass_s(2)
    call_over(live)
    waits, made = live.speeches.get(SID, "sp_waits"), live.speeches.get(SID, "sp_being_made")
    assert (waits.state, waits.reason, waits.text) == ("cancelled", "the call is over: completed", "hello")
    assert (made.state, made.order) == ("cancelled", 2)
    assert live.events.messages[1:] == [
        {
            "type": "speech.cancelled",
            "call_sid": SID,
            "speech_id": speech_id,
            "at_ms": live.now_ms,
            "reason": "the call is over: completed",
        }
        for speech_id in ("sp_waits", "sp_being_made")
    ]


def test_a_speech_that_was_heard_just_before_is_finished(live):
    live.speak("sp_heard", start=550)
    live.pass_s(20)
    live.seals(800)
    call_over(live)
    assert live.speeches.get(SID, "sp_heard").state == "finished"
    assert live.events.types == ["call.ended", "speech.finished"]


def test_a_speech_that_the_hang_up_cut_short_is_cancelled(live):
    live.speak("sp_cut", start=550, frames=200)
    live.pass_s(13)
    live.seals(700)
    call_over(live)
    cut = live.speeches.get(SID, "sp_cut")
    assert (cut.state, cut.starts_at_ms) == ("cancelled", 556 * 20)


def test_a_speech_that_had_failed_keeps_its_reason_and_is_not_told_again(live):
    live.speak("sp_failed")
    call = live.calls.get(SID)
    live.calls.write(call, fail(call, "sp_failed", "the voice could not be made"))
    call_over(live)
    failed = live.speeches.get(SID, "sp_failed")
    assert (failed.state, failed.reason) == ("failed", "the voice could not be made")
    assert live.events.types == ["call.ended"]


# -- trouble ---------------------------------------------------------------------------------------


def test_a_speech_that_is_reserved_meanwhile_is_accounted_for_too(live):
    def speak_once():
        if live.calls.get(SID).speech("sp_late") is None:
            live.speak("sp_late")

    call_over(live, calls=Calls(live.calls, write=speak_once))
    assert live.speeches.get(SID, "sp_late").state == "cancelled"


def test_a_table_that_fails_is_asked_again_a_few_times(live):
    call_over(live, calls=Calls(live.calls, write=fails(TRIES - 1)))
    assert live.calls.get(SID).ended
    assert live.events.types == ["call.ended"]


def test_a_table_that_goes_on_failing_is_told(live):
    with pytest.raises(NotReached, match="table"):
        call_over(live, calls=Calls(live.calls, get=fails(TRIES)))


def test_an_end_whose_answer_was_lost_is_told_all_the_same(live):
    """The write happened; whoever finds the call ended at its own moment ended it."""

    class Deaf(Calls):
        def write(self, before, after, *, exact=False):
            self.calls.write(before, after, exact=exact)
            raise NotReached("no answer")

    live.speak("sp_waits", start=700)
    call_over(live, calls=Deaf(live.calls))
    assert live.events.types == ["call.ended", "speech.cancelled"]


def test_a_call_that_somebody_else_ended_meanwhile_is_theirs_to_tell(live):
    def delete():
        call = live.calls.get(SID)
        if not call.ended:
            live.calls.write(call, end(call, now_ms=live.now_ms - 5, reason="deleted"))

    call_over(live, calls=Calls(live.calls, write=delete))
    assert live.calls.get(SID).end_reason == "deleted"
    assert live.events.messages == []


def test_a_call_that_changes_at_every_try_is_given_up_and_told(live):
    with pytest.raises(NotReached, match="changes too fast"):
        call_over(live, calls=Calls(live.calls, write=lambda: live.change(revision=live.calls.get(SID).revision + 1)))


def test_events_that_cannot_be_told_do_not_undo_the_end(live):
    live.events.failure = RuntimeError("the bus refused")
    call_over(live)
    assert live.calls.get(SID).ended
    assert len(live.background.failed) == 1
