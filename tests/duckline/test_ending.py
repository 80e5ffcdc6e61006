"""A call is ended once, whoever ends it, and is told of by the one who did."""

import pytest

from duckline.call import BedSpan, Call
from duckline.ending import end_call
from duckline.schedule import reserve
from duckline.stores import Lost, NotReached
from duckline.stores.memory import MemoryCalls, MemorySpeeches

SID = "CA" + "0123456789abcdef" * 2
NOW_MS = 1_800_000_000_000


class Desk:
    """A call with one speech that is being made, and a bus that keeps what it is told."""

    def __init__(self):
        self.calls, self.speeches, self.told = MemoryCalls(), MemorySpeeches(), []
        call = self.calls.create(Call(SID, (BedSpan(0, "v", "calm"),), started_at_ms=NOW_MS - 1500))
        self.calls.write(call, reserve(call, "sp_1", now_ms=NOW_MS, lease_ms=1000))

    def end(self, reason="completed", now_ms=NOW_MS, calls=None):
        return end_call(calls or self.calls, self.speeches, self.told.extend, SID, reason=reason, now_ms=now_ms)

    @property
    def types(self):
        return [event["type"] for event in self.told]


@pytest.fixture
def desk():
    return Desk()


class Writes:
    """The desk's calls, whose writes go as the test says, one after the other."""

    def __init__(self, desk, *ways):
        self.desk, self.ways = desk, iter(ways)

    def __getattr__(self, name):
        return getattr(self.desk.calls, name)

    def write(self, before, after):
        return next(self.ways)(self.desk, before, after)


def happens(desk, before, after):
    return desk.calls.write(before, after)


def happens_unheard(desk, before, after):
    desk.calls.write(before, after)
    raise NotReached("no answer")


def never_arrives(desk, before, after):
    raise NotReached("no answer")


def was_late(desk, before, after):
    """The write before this one arrives first."""
    desk.calls.write(before, after)
    return desk.calls.write(before, after)


def another_was_first(desk, before, after):
    desk.end("failed")
    desk.told.clear()
    raise Lost(desk.calls.get(SID))


def test_an_end_is_marked_written_and_told(desk):
    call = desk.end()
    assert (call.ended_at_ms, call.end_reason) == (NOW_MS, "completed")
    assert desk.speeches.get(SID, "sp_1").state == "cancelled"
    assert desk.types == ["call.ended", "speech.cancelled"]
    assert desk.told[0]["seconds"] == 1.5


def test_whoever_comes_second_gets_the_first_end_and_tells_nobody(desk):
    first = desk.end()
    assert desk.end("ended by DELETE /calls/{sid}", NOW_MS + 5) == first
    assert desk.types == ["call.ended", "speech.cancelled"]


def test_two_who_say_the_same_in_the_same_millisecond_are_still_two(desk):
    desk.end()
    desk.end()
    assert desk.types == ["call.ended", "speech.cancelled"]


@pytest.mark.parametrize(
    "ways", [(happens_unheard,), (never_arrives, happens), (never_arrives, was_late)], ids=["unheard", "lost", "late"]
)
def test_a_write_without_an_answer_is_told_of_once_wherever_it_happened(desk, ways):
    desk.end(calls=Writes(desk, *ways))
    assert desk.calls.get(SID).ended
    assert desk.types == ["call.ended", "speech.cancelled"]


def test_an_end_that_another_was_first_to_write_is_theirs_to_tell(desk):
    assert desk.end(calls=Writes(desk, another_was_first)).end_reason == "failed"
    assert desk.told == []


def test_a_call_that_nobody_knows_leaves_a_tombstone_and_no_event(desk):
    desk.calls.calls.clear()
    assert desk.end() == Call(SID, (), started_at_ms=NOW_MS, ended_at_ms=NOW_MS, end_reason="completed")
    desk.end()
    assert desk.told == []
