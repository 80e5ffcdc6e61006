"""Room for one more call: counted as it comes in, never in the way of the music."""

import logging

import pytest

from duckline.stores import NotReached
from duckline.stores.occupancy import MemoryOccupancy
from voice.room import Room


@pytest.fixture
def counted():
    return []


def room(calls, counted, most=3):
    occupancy = calls if hasattr(calls, "live") else MemoryOccupancy(calls)
    return Room(occupancy, most, lambda name, value: counted.append((name, value)), logging.getLogger("room"))


@pytest.mark.parametrize(("calls", "is_full"), [(0, False), (2, False), (3, True), (30, True)])
def test_it_is_full_when_as_many_calls_are_live_as_may_be(calls, is_full, counted):
    assert room(calls, counted).is_full(now_ms=0) == is_full


@pytest.mark.parametrize(("calls", "at_once"), [(0, 1), (2, 3), (3, 3)])
def test_how_many_are_live_is_kept_whenever_one_comes_in(calls, at_once, counted):
    room(calls, counted).is_full(now_ms=0)
    assert counted == [("ConcurrentCalls", at_once)]


def test_where_they_cannot_be_counted_there_is_room_and_a_line_in_the_log(counted, caplog):
    class Unreachable:
        def live(self, now_ms, most):
            raise NotReached("the live calls: timed out")

    assert not room(Unreachable(), counted).is_full(now_ms=0)
    assert counted == []
    assert caplog.messages == ["the calls cannot be counted"]
