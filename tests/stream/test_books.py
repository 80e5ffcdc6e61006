"""What a window owes to others: history before it is dropped, events once, and makers for what nobody makes."""

from dataclasses import replace

import pytest

from duckline.call import BedSpan, Call, Part, Speech
from duckline.envelope import Duck
from duckline.stores import NotReached
from duckline.stores.memory import MemorySpeeches
from stream.books import CLOCKS_DIFFER_MS, TOLD_AGAIN_AFTER_MS, Books

SID = "CA" + "0" * 32
OPENED_MS = 1_700_000_000_000


class Task:
    """Work in the background: it happens when the test says so."""

    def __init__(self, function, arguments):
        self.function, self.arguments = function, arguments
        self.is_done, self.value, self.error = False, None, None

    def happen(self):
        if not self.is_done:
            self.is_done = True
            try:
                self.value = self.function(*self.arguments)
            except NotReached as error:
                self.error = error

    def done(self):
        return self.is_done

    def result(self):
        if self.error is not None:
            raise self.error
        return self.value


class Told:
    def __init__(self):
        self.messages = []

    def send(self, message):
        self.messages.append(message)

    def publish(self, events):
        self.messages += events


class Speeches(MemorySpeeches):
    down = False

    def close(self, call_sid, status, order):
        if self.down:
            raise NotReached("table")
        super().close(call_sid, status, order)


class Clock:
    """Waiting lets what is waited for happen, unless it takes longer than that."""

    def __init__(self, takes_ms=10):
        self.takes_ms, self.time_ms = takes_ms, 0.0

    def now_ms(self):
        return OPENED_MS + int(self.time_ms)

    def monotonic_ms(self):
        return self.time_ms

    def wait(self, task, until_ms):
        if self.time_ms + self.takes_ms <= until_ms:
            self.time_ms += self.takes_ms
            task.happen()
        else:
            self.time_ms = until_ms


class Desk:
    def __init__(self):
        self.speeches, self.events, self.work = Speeches(), Told(), Told()
        self.tasks = []
        self.books = Books(self.speeches, self.events, self.work, self.background)

    def background(self, function, *arguments):
        self.tasks.append(Task(function, arguments))
        return self.tasks[-1]

    def keep(self, call, heard, at_ms=None):
        """Keeps the books, and lets all that this asked for happen."""
        over = self.books.keep(call, heard, OPENED_MS + (heard * 20 if at_ms is None else at_ms))
        self.happen()
        return over

    def happen(self):
        for task in self.tasks:
            task.happen()

    @property
    def told(self):
        return [(event["type"], event["speech_id"], event["position_ms"]) for event in self.events.messages]


@pytest.fixture
def desk():
    return Desk()


def speech(speech_id, order, start, frames=100, **fields):
    duck = Duck(start, 6, start + 6 + frames, 30, 0.2)
    return replace(Speech(speech_id, order, (Part(speech_id, duck, start + 6),), more=False), **fields)


def call(*speeches, sealed=10_000, **fields):
    values = {"opened_at_ms": OPENED_MS, "sealed_at_ms": OPENED_MS + sealed * 20, "window_until": 42_000, **fields}
    return Call(SID, beds=(BedSpan(0, "calm", "calm"),), sealed=sealed, speeches=speeches, **values)


# -- events ---------------------------------------------------------------------------------------


def test_a_speech_is_told_of_when_it_starts_and_when_it_has_finished_and_only_then(desk):
    spoken = call(speech("sp_1", 1, 100))
    for heard in range(0, 300, 13):
        desk.keep(spoken, heard)
        assert ("speech.started", "sp_1", 2120) in desk.told or heard < 106
        assert ("speech.finished", "sp_1", 4120) in desk.told or heard < 206
    assert desk.told == [("speech.started", "sp_1", 2120), ("speech.finished", "sp_1", 4120)]
    assert [event["at_ms"] - OPENED_MS for event in desk.events.messages] == [2120, 4120]
    assert {event["call_sid"] for event in desk.events.messages} == {SID}


def test_in_a_later_window_times_count_from_where_it_began(desk):
    desk.keep(call(speech("sp_1", 1, 1100), window_from=1000), 0, at_ms=5000)
    [event] = [event for event in desk.events.messages if event["type"] == "speech.started"]
    assert (event["at_ms"] - OPENED_MS, event["position_ms"]) == (2120, 22_120)


def test_a_speech_that_is_spoken_again_is_told_of_again(desk):
    desk.keep(call(speech("sp_1", 1, 100)), 150)
    desk.keep(call(speech("sp_1", 1, 400, again=1)), 450)
    assert desk.told == [("speech.started", "sp_1", 2120), ("speech.started", "sp_1", 8120)]


def test_a_speech_that_was_cancelled_is_not_said_to_start_or_finish(desk):
    desk.keep(call(speech("sp_1", 1, 100, outcome="cancelled", reason="cancelled")), 400)
    assert desk.told == []


def test_a_speech_whose_parts_are_still_being_made_has_not_finished(desk):
    desk.keep(call(speech("sp_1", 1, 100, more=True, lease_until_ms=OPENED_MS + 99_000)), 400)
    assert desk.told == [("speech.started", "sp_1", 2120)]


# -- history --------------------------------------------------------------------------------------


def test_a_speech_is_dropped_only_after_its_history_is_written(desk):
    spoken = call(speech("sp_1", 3, 100))
    now_ms = OPENED_MS + 300 * 20
    assert desk.books.keep(spoken, 300, now_ms) == ()
    assert desk.books.keep(spoken, 313, now_ms) == ()
    desk.happen()
    record = desk.speeches.get(SID, "sp_1")
    assert (record.state, record.order, record.starts_at_ms, record.duration_ms) == ("finished", 3, 2120, 2000)
    assert desk.books.keep(spoken, 326, now_ms) == ("sp_1",)


def test_a_speech_is_not_over_before_the_music_is_up_again(desk):
    spoken = call(speech("sp_1", 1, 100))
    desk.keep(spoken, 235)
    assert desk.speeches.get(SID, "sp_1") is None
    desk.keep(spoken, 236)
    assert desk.speeches.get(SID, "sp_1").state == "finished"


def test_history_that_could_not_be_written_is_written_later(desk):
    spoken = call(speech("sp_1", 1, 100))
    desk.speeches.down = True
    assert [desk.keep(spoken, heard) for heard in (300, 313, 326)] == [(), (), ()]
    desk.speeches.down = False
    assert [desk.keep(spoken, heard) for heard in (339, 352, 365)][-1] == ("sp_1",)
    assert desk.speeches.get(SID, "sp_1").state == "finished"


def test_cancelled_and_failed_speeches_are_history_with_their_reasons(desk):
    gone = (
        replace(speech("sp_1", 1, 100), parts=(), outcome="cancelled", reason="interrupted by sp_3"),
        replace(speech("sp_2", 2, 100), parts=(), outcome="failed", reason="there is no voice 'x'"),
    )
    desk.keep(call(*gone), 0)
    assert [(r.state, r.reason) for r in (desk.speeches.get(SID, "sp_1"), desk.speeches.get(SID, "sp_2"))] == [
        ("cancelled", "interrupted by sp_3"),
        ("failed", "there is no voice 'x'"),
    ]
    assert desk.keep(call(*gone), 13) == ("sp_1", "sp_2")


def test_before_the_last_seal_the_history_is_waited_for(desk):
    spoken, clock = call(speech("sp_1", 1, 100)), Clock()
    desk.books.settle(spoken, 300, clock, until_ms=500)
    assert desk.books.keep(spoken, 300, clock.now_ms()) == ("sp_1",)


def test_but_for_no_longer_than_there_is_patience(desk):
    speeches = [speech(f"sp_{order}", order, 100 * order, frames=50) for order in range(1, 9)]
    clock = Clock(takes_ms=1000)
    desk.books.settle(call(*speeches), 5000, clock, until_ms=500)
    assert clock.time_ms == 500


# -- makers ---------------------------------------------------------------------------------------


def owed(speech_id, order, lease_until_ms, **fields):
    return Speech(speech_id, order, more=True, lease_until_ms=OPENED_MS + lease_until_ms, **fields)


def test_work_that_nobody_does_any_more_is_told_to_the_queue(desk):
    abandoned = call(owed("sp_1", 1, 10_000))
    desk.keep(abandoned, 0, at_ms=10_000 + CLOCKS_DIFFER_MS - 1)
    assert desk.work.messages == []
    desk.keep(abandoned, 0, at_ms=10_000 + CLOCKS_DIFFER_MS)
    assert desk.work.messages == [{"kind": "speak", "call_sid": SID}]


def test_it_is_told_once_and_again_only_if_nobody_took_it_up(desk):
    abandoned = call(owed("sp_1", 1, 0))
    times_ms = range(1000, 1000 + 3 * TOLD_AGAIN_AFTER_MS, 260)
    for at_ms in times_ms:
        desk.keep(abandoned, 0, at_ms=at_ms)
    assert len(desk.work.messages) == 3
    taken = call(owed("sp_1", 1, 90_000, maker=2))
    desk.keep(taken, 0, at_ms=60_000)
    assert len(desk.work.messages) == 3


def test_several_that_nobody_makes_are_one_message(desk):
    desk.keep(call(owed("sp_1", 1, 0), owed("sp_2", 2, 0)), 0, at_ms=1000)
    assert len(desk.work.messages) == 1


def test_what_was_cancelled_or_has_its_place_needs_no_maker(desk):
    placed = speech("sp_1", 1, 500)
    gone = owed("sp_2", 2, 0, outcome="cancelled", reason="cancelled")
    desk.keep(call(placed, gone), 0, at_ms=1000)
    assert desk.work.messages == []
