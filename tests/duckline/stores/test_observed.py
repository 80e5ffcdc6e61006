"""What goes through a store is told of, and goes through unchanged."""

from dataclasses import replace

import pytest

from duckline.call import BedSpan, Call, Part
from duckline.envelope import Duck
from duckline.records import SpeechRecord, SpeechStatus
from duckline.schedule import place, reserve, speak_again
from duckline.stores import Hold, Lost
from duckline.stores.memory import MemoryCalls, MemorySpeeches
from duckline.stores.observed import ObservedCalls, ObservedSpeeches

SID = "CA" + 32 * "0"
CALL = Call(SID, beds=(BedSpan(0, "v", "hold"),), started_at_ms=1, epoch=1, holder="h", window_until=9000)


@pytest.fixture
def counted():
    return []


@pytest.fixture
def calls(counted):
    observed = ObservedCalls(MemoryCalls(), lambda name, value: counted.append((name, value)))
    observed.create(CALL)
    return observed


def spoken(calls, *speech_ids):
    call = calls.get(SID)
    for number, speech_id in enumerate(speech_ids):
        at = 100 + 400 * number
        call = calls.write(call, reserve(call, speech_id, now_ms=1, lease_ms=10_000))
        part = Part(f"{speech_id}-1", Duck(at, 6, at + 200, 30, 0.2), at + 6)
        call = calls.write(call, place(call, speech_id, part, more=False))
    return call


def test_a_write_that_speaks_again_counts_the_speeches(calls, counted):
    call = spoken(calls, "sp_1", "sp_2")
    assert counted == []
    again = calls.write(call, speak_again(call, ["sp_1", "sp_2"]), exact=True)
    assert counted == [("SpeechesRescheduled", 2)]
    assert again == calls.get(SID)


def test_a_write_that_is_lost_counts_nothing(calls, counted):
    call = spoken(calls, "sp_1")
    with pytest.raises(Lost):
        calls.write(replace(call, revision=call.revision - 1), speak_again(call, ["sp_1"]), exact=True)
    assert counted == []


def test_a_seal_goes_through(calls, counted):
    assert calls.seal(SID, Hold(1, "h"), 50, now_ms=2).sealed == 50
    assert counted == []


def test_a_speech_that_is_over_is_told_of_and_one_that_failed_is_counted(counted):
    lines = []
    inner = MemorySpeeches()
    speeches = ObservedSpeeches(
        inner,
        lambda message, **fields: lines.append((message, fields)),
        lambda name, value: counted.append((name, value)),
    )
    speeches.keep(SpeechRecord(SID, "sp_1"))
    speeches.close(SID, SpeechStatus("sp_1", "finished", None, 1000, 2000), 1)
    assert counted == []
    speeches.close(SID, SpeechStatus("sp_2", "failed", "broke off 7 times"), 2)
    assert counted == [("SpeechesFailed", 1)]
    (message, fields), (_, failed) = lines
    assert (message, fields["call_sid"], fields["speech_id"], fields["state"]) == (
        "speech over",
        SID,
        "sp_1",
        "finished",
    )
    assert failed["reason"] == "broke off 7 times"
    assert inner.get(SID, "sp_1").state == speeches.get(SID, "sp_1").state == "finished"
