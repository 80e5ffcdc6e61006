"""A call as an item comes back as it was, and is small."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duckline.call import BedSpan, Call, Part, Speech
from duckline.envelope import Duck
from duckline.records import speech_id_for
from duckline.stores.call_item import LIVE, call_of, item_of, key_of, packed
from local.simulation.rules import item_bytes

NOW_MS = 1_800_000_000_000
WRITE_UNIT_BYTES = 1024  # of a write that costs one unit

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
frames = st.integers(0, 10**8)
gains = st.floats(0.0001, 1.0)


@st.composite
def parts(draw: st.DrawFn) -> Part:
    start, gain_in = draw(frames), draw(gains)
    down = draw(st.sampled_from([0, 3, 6, 20]))
    up_at = start + draw(st.integers(0, 5000))
    depth = draw(gains) if down else gain_in
    duck = Duck(start, down, up_at, draw(st.integers(3, 300)), depth, gain_in)
    return Part(draw(names), duck, draw(st.integers(start, up_at)), cut_at=draw(st.none() | frames))


@st.composite
def speeches(draw: st.DrawFn, order: int) -> Speech:
    more = draw(st.booleans())
    return Speech(
        draw(names),
        order,
        tuple(draw(st.lists(parts(), max_size=3))),
        more=more,
        maker=draw(st.integers(1, 40)),
        lease_until_ms=draw(st.integers(0, 10**13)) if more else 0,  # a lease on what is owed
        again=draw(st.integers(0, 5)),
        had_place=draw(st.booleans()),
        outcome=draw(st.sampled_from([None, "cancelled", "failed"])),
        reason=draw(st.none() | names),
    )


@st.composite
def beds(draw: st.DrawFn) -> BedSpan:
    span = BedSpan(draw(frames), draw(names), draw(names), draw(frames))
    fade = draw(names)
    return replace(span, fade=fade, fade_frames=draw(frames)) if fade else span


@st.composite
def calls(draw: st.DrawFn) -> Call:
    orders = sorted(draw(st.sets(st.integers(1, 1000), max_size=5)))
    spoken = {speech.speech_id: speech for speech in (draw(speeches(order)) for order in orders)}
    ended_at_ms = draw(st.sampled_from([0, NOW_MS]))
    numbers = st.integers(0, 10**13)
    return Call(
        draw(names),
        tuple(draw(st.lists(beds(), max_size=3))),
        revision=draw(numbers),
        started_at_ms=draw(numbers),
        epoch=draw(numbers),
        holder=draw(names),
        window_from=draw(frames),
        window_until=draw(frames),
        grid_frames=draw(frames),
        paced=draw(st.booleans()),
        opening_at_ms=draw(numbers),
        opened_at_ms=draw(numbers),
        done=draw(numbers),
        sealed=draw(frames),
        sealed_at_ms=draw(numbers),
        next_order=draw(numbers),
        speeches=tuple(sorted(spoken.values(), key=lambda speech: speech.order)),
        ended_at_ms=ended_at_ms,
        end_reason=draw(names) if ended_at_ms else "",
    )


@settings(deadline=None, max_examples=80)
@given(calls())
def test_any_call_comes_back_from_its_item_as_it_was(call: Call):
    assert call_of({**key_of(call.call_sid), **item_of(call)}) == call


def test_the_order_of_speeches_is_kept_though_a_map_has_none():
    call = Call("CA1", (), speeches=(Speech("z", 1), Speech("a", 2), Speech("m", 3)))
    item = {**key_of("CA1"), **item_of(call)}
    item["sp"] = {"M": dict(sorted(item["sp"]["M"].items()))}
    assert [speech.speech_id for speech in call_of(item).speeches] == ["z", "a", "m"]


def test_only_a_call_that_has_not_ended_is_in_the_index_of_live_calls():
    assert item_of(Call("CA1", ()))[LIVE] == {"S": "1"}
    assert LIVE not in item_of(Call("CA1", (), ended_at_ms=NOW_MS, end_reason="completed"))


def test_an_item_that_is_no_call_is_refused():
    with pytest.raises(KeyError):
        call_of({"pk": {"S": "CA1"}, "sk": {"S": "SPEECH#sp_1"}, "state": {"S": "finished"}})


# -- the size -------------------------------------------------------------------------------------

SID = "CA" + "0123456789abcdef" * 2
START = 24 * 3600 * 50 - 42_000  # near the end of the longest call that Twilio allows, a day


def part(number: int, at: int) -> Part:
    return Part(f"{number:010x}", Duck(at, 6, at + 6 + 3000, 30, 0.1995, 0.8536), at + 6)


def late_call(*spoken: Speech, name: str = "calm") -> Call:
    """A call late on its longest day, in the midst of a change of bed."""
    bed = BedSpan(START - 3000, "0123456789abcdef", name, START - 3000, "0123456789", 100)
    return Call(
        SID,
        (bed, replace(bed, start=START - 50, origin=START - 50, fade="abcdef0123")),
        revision=20_000,
        started_at_ms=NOW_MS,
        epoch=103,
        holder="01234567-89ab-cdef-0123-456789abcdef",
        window_from=START,
        window_until=START + 42_000,
        opening_at_ms=NOW_MS,
        opened_at_ms=NOW_MS,
        done=102,
        sealed=START + 13,
        sealed_at_ms=NOW_MS,
        next_order=5000,
        speeches=spoken,
    )


def placed(number: int, count: int = 1) -> Speech:
    parts = [part(number, START + 5000 * number + 3100 * index) for index in range(count)]
    return Speech(speech_id_for(SID, str(number)), 4000 + number, tuple(parts), more=False)


def owed(number: int) -> Speech:
    return Speech(speech_id_for(SID, str(number)), 4000 + number, maker=2, lease_until_ms=NOW_MS, had_place=True)


@pytest.mark.parametrize("speech", [placed, owed])
def test_with_eight_speeches_pending_a_call_costs_one_write_unit(speech):
    call = late_call(*(speech(number) for number in range(8)))
    assert len(call.pending) == 8
    assert item_bytes(call) <= WRITE_UNIT_BYTES


def test_with_as_many_as_may_wait_a_call_costs_three():
    call = late_call(*(placed(number) for number in range(32)))
    assert item_bytes(call) <= 3 * WRITE_UNIT_BYTES


def test_the_sizes_are_those_that_dynamodb_documents():
    # "Names and strings in UTF-8; a number one byte for two significant digits and one more; a map three bytes and one
    # for each of its entries": docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    longer = replace(late_call(placed(1)), holder="0" * 100)
    assert item_bytes(longer) - item_bytes(late_call(placed(1))) == 100 - 36
    with_one_more = late_call(placed(1), placed(2))
    size = len(placed(2).speech_id) + len(packed(placed(2))["S"]) + 1
    assert item_bytes(with_one_more) - item_bytes(late_call(placed(1))) == size


def test_what_is_usual_takes_no_room():
    assert packed(Speech("sp_1", 7, more=False)) == {"S": "[7,[]]"}
    assert len(json.loads(packed(placed(1))["S"])) == 2
