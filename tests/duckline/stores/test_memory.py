"""What the stores in memory have beyond what every store has (see test_stores.py)."""

from dataclasses import replace

import pytest

from duckline.call import BedSpan, Call
from duckline.stores import Hold, Lost
from duckline.stores.memory import MemoryCalls, MemorySounds

CALL = Call("CA1", (BedSpan(0, "calm1", "calm"),), holder="me")


def test_every_write_is_counted_also_one_that_is_lost():
    calls = MemoryCalls()
    calls.create(CALL)
    calls.create(CALL)
    calls.seal("CA1", Hold(1, "me"), 13, now_ms=0)
    written = calls.write(calls.get("CA1"), replace(calls.get("CA1"), epoch=2))
    with pytest.raises(Lost):
        calls.seal("CA1", Hold(1, "me"), 26, now_ms=0)
    with pytest.raises(Lost):
        calls.write(replace(written, revision=1), written)
    assert calls.writes == 6


def test_reading_is_not_counted():
    calls = MemoryCalls()
    calls.get("CA1")
    calls.live(10)
    assert calls.writes == 0


def test_what_was_read_stays_as_it_was_read():
    calls = MemoryCalls()
    before = calls.create(CALL)
    calls.seal("CA1", Hold(1, "me"), 13, now_ms=0)
    assert before.sealed == 0


def test_two_stores_share_nothing():
    MemorySounds().put("a", b"sound")
    assert MemorySounds().get("a") is None
