"""What every store of a kind has to do: the ones in memory, that the rules are tested with, and the real ones."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duckline import schedule
from duckline.call import BedSpan, Call, Part, Speech
from duckline.envelope import Duck
from duckline.records import BedRecord, SpeechRecord, SpeechStatus
from duckline.stores import Hold, Lost
from duckline.stores.dynamodb import DynamoBeds, DynamoCalls, DynamoSpeeches
from duckline.stores.memory import MemoryBeds, MemoryCalls, MemorySounds, MemorySpeeches
from duckline.stores.s3 import S3Sounds

NOW_MS, LEASED = 1_800_000_000_000, {"now_ms": 1_800_000_000_000, "lease_ms": 15_000}
CALM = BedSpan(0, "calm1", "calm")
ME = Hold(1, "me")
NUMBERS = count()
BOTH = ["memory", "dynamodb"]


def part(start: int, frames: int = 100, clip: str = "") -> Part:
    return Part(clip or f"c{start}", Duck(start, 6, start + 6 + frames, 30, 0.2), start + 6)


def said(order: int, *parts: Part) -> Speech:
    return Speech(f"sp_{order}", order, parts, more=False)


def call(*speeches: Speech, sid: str = "CA1", **fields) -> Call:
    usual = {"started_at_ms": NOW_MS, "window_until": 42_000, "holder": "me", "speeches": speeches}
    return Call(sid, (CALM,), **(usual | fields))


@pytest.fixture(params=BOTH)
def calls(request):
    if request.param == "memory":
        return MemoryCalls()
    return DynamoCalls(request.getfixturevalue("dynamodb"), request.getfixturevalue("table_name"))


@pytest.fixture(params=BOTH)
def speeches(request):
    if request.param == "memory":
        return MemorySpeeches()
    return DynamoSpeeches(request.getfixturevalue("dynamodb"), request.getfixturevalue("table_name"))


@pytest.fixture(params=BOTH)
def beds(request):
    if request.param == "memory":
        return MemoryBeds()
    return DynamoBeds(request.getfixturevalue("dynamodb"), request.getfixturevalue("table_name"))


@pytest.fixture(params=["memory", "s3"])
def sounds(request):
    if request.param == "memory":
        return MemorySounds()
    client = request.getfixturevalue("aws")("s3")
    client.create_bucket(Bucket="sounds")
    return S3Sounds(client, "sounds")


def lost(write: Callable[[], Any]) -> Call | None:
    """The call as the one who was too late is told that it is."""
    with pytest.raises(Lost) as raised:
        write()
    return raised.value.current


# -- a call is created once -----------------------------------------------------------------------


def test_a_call_that_nobody_created_is_not_there(calls):
    assert calls.get("CA1") is None


def test_a_call_comes_back_as_it_was_created(calls):
    placed = call(said(1, part(100)), Speech("sp_2", 2, lease_until_ms=NOW_MS), sealed=77, paced=False, next_order=3)
    assert calls.create(placed) == placed
    assert calls.get("CA1") == placed


def test_the_first_to_create_a_call_is_the_one_who_did(calls):
    first, second = call(holder="first"), call(holder="second")
    calls.create(first)
    assert calls.create(second) == first
    assert calls.create(first) == first
    assert calls.get("CA1") == first


def test_a_call_that_ended_before_it_began_leaves_a_tombstone(calls):
    tombstone = Call("CA1", (), started_at_ms=NOW_MS, ended_at_ms=NOW_MS, end_reason="completed")
    assert calls.create(tombstone) == tombstone
    assert calls.create(call()) == tombstone


# -- a write --------------------------------------------------------------------------------------


def test_a_write_is_kept_and_raises_the_revision(calls):
    before = calls.create(call())
    written = calls.write(before, schedule.reserve(before, "sp_1", **LEASED))
    assert written == calls.get("CA1")
    assert written.revision == before.revision + 1
    assert written.speech("sp_1") is not None


def test_a_write_after_another_is_lost_and_brings_back_the_call_as_it_is(calls):
    before = calls.create(call())
    first = calls.write(before, schedule.reserve(before, "sp_1", **LEASED))
    assert lost(lambda: calls.write(before, schedule.reserve(before, "sp_2", **LEASED))) == first
    assert calls.get("CA1") == first


def test_a_write_that_happened_and_is_tried_again_finds_itself(calls):
    before = calls.create(call())
    after = schedule.place(schedule.reserve(before, "sp_1", **LEASED), "sp_1", part(300), more=False)
    written = calls.write(before, after)
    assert lost(lambda: calls.write(before, after)) == written
    assert written.speech("sp_1").parts == (part(300),)


def test_a_write_to_a_call_that_is_not_there_is_lost(calls):
    assert lost(lambda: calls.write(call(), replace(call(), holder="you"))) is None
    assert calls.get("CA1") is None


def test_every_field_of_a_call_can_be_written(calls):
    before = calls.create(call(said(1, part(100)), said(2, part(300)), sealed=10))
    warm = BedSpan(500, "warm1", "warm", 500, "f", 100)
    after = Call(
        "CA1",
        (CALM, warm),
        revision=before.revision,
        started_at_ms=NOW_MS + 1,
        epoch=5,
        holder="you",
        window_from=40,
        window_until=700,
        grid_frames=650,
        paced=False,
        opening_at_ms=NOW_MS + 2,
        opened_at_ms=NOW_MS + 3,
        sealed=60,
        sealed_at_ms=NOW_MS + 4,
        next_order=9,
        speeches=(replace(said(2, part(350)), reason="moved"), Speech("sp_3", 3, again=2, maker=4)),
        ended_at_ms=NOW_MS + 5,
        end_reason="completed",
    )
    assert calls.write(before, after, exact=True) == replace(after, revision=before.revision + 1)
    assert calls.get("CA1") == replace(after, revision=before.revision + 1)


def test_speeches_stay_in_their_order_whoever_is_changed(calls):
    before = calls.create(call(said(1, part(100)), said(2, part(300)), said(3, part(500))))
    failed = calls.write(before, schedule.fail(before, "sp_2", "no such voice"))
    assert [s.order for s in failed.speeches] == [1, 2, 3]


# -- a write and the seal -------------------------------------------------------------------------


def test_a_write_without_sound_does_not_mind_that_the_seal_has_moved(calls):
    before = calls.create(call(said(1, part(100)), sealed=50))
    sealed = calls.seal("CA1", ME, 63, now_ms=NOW_MS + 5)
    written = calls.write(before, schedule.reserve(before, "sp_9", **LEASED))
    assert (written.sealed, written.sealed_at_ms) == (sealed.sealed, sealed.sealed_at_ms) == (63, NOW_MS + 5)


@pytest.mark.parametrize(("sealed", "start"), [(200, 200), (200, 201), (113, 5000)])
def test_a_clip_is_published_at_the_seal_or_beyond(calls, sealed, start):
    before = calls.create(call(Speech("sp_1", 1), sealed=100))
    calls.seal("CA1", ME, sealed, now_ms=NOW_MS)
    written = calls.write(before, schedule.place(before, "sp_1", part(start), more=False))
    assert (written.speech("sp_1").parts, written.sealed) == ((part(start),), sealed)


WARM = BedSpan(150, "warm1", "warm", 150, "f", 100)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: schedule.place(c, "sp_1", part(150), more=False), id="a clip enters"),
        pytest.param(lambda c: schedule.place(c, "sp_1", part(199), more=False), id="a clip enters a frame too soon"),
        pytest.param(lambda c: c.with_speech(said(2, part(170))), id="a clip comes earlier"),
        pytest.param(lambda c: c.with_speech(said(2, part(900))), id="a clip moves away"),
        pytest.param(lambda c: c.with_speech(said(2, part(180, 50))), id="a clip gets another sound"),
        pytest.param(lambda c: schedule.unplaced(c, 1, c.sealed, **LEASED), id="a clip is owed again"),
        pytest.param(
            lambda c: schedule.silence(c, ["sp_2"], None, at=150, reason="cancelled", **LEASED),
            id="a clip leaves",
        ),
        pytest.param(
            lambda c: schedule.interrupt(c, "sp_3", part(150), None, at=150, more=False), id="a clip interrupts"
        ),
        pytest.param(lambda c: schedule.change_bed(c, WARM), id="the bed changes"),
        pytest.param(lambda c: replace(schedule.place(c, "sp_1", part(150), more=False), sealed=0), id="a forged seal"),
    ],
)
def test_nothing_is_published_below_the_seal(calls, change):
    before = calls.create(call(Speech("sp_1", 1), said(2, part(180)), Speech("sp_3", 3), sealed=100))
    sealed = calls.seal("CA1", ME, 200, now_ms=NOW_MS)
    assert lost(lambda: calls.write(before, change(before))) == sealed
    assert calls.get("CA1") == sealed


def test_who_was_too_late_may_publish_further_on(calls):
    before = calls.create(call(Speech("sp_1", 1), sealed=100))
    calls.seal("CA1", ME, 200, now_ms=NOW_MS)
    current = lost(lambda: calls.write(before, schedule.place(before, "sp_1", part(150), more=False)))
    written = calls.write(current, schedule.place(current, "sp_1", part(205), more=False))
    assert written.speech("sp_1").parts == (part(205),)


def test_a_write_that_would_change_what_its_writer_knew_to_be_sealed_is_a_mistake(calls):
    before = calls.create(call(Speech("sp_1", 1), sealed=200))
    with pytest.raises(ValueError, match="would change at frame 150, but is sealed to 200"):
        calls.write(before, schedule.place(before, "sp_1", part(150), more=False))
    assert calls.get("CA1") == before


def test_a_plain_write_moves_neither_the_seal_nor_the_windows_end(calls):
    before = calls.create(call(sealed=100))
    written = calls.write(before, replace(before, sealed=500, sealed_at_ms=NOW_MS, done=1))
    assert (written.sealed, written.sealed_at_ms, written.done) == (100, 0, 0)


def test_an_exact_write_may_change_what_is_past_and_move_the_seal(calls):
    before = calls.create(call(said(1, part(100)), sealed=150))
    after = replace(schedule.speak_again(before, ["sp_1"]), sealed=170, epoch=2, holder="")
    written = calls.write(before, after, exact=True)
    assert (written.sealed, written.epoch, written.speech("sp_1").parts) == (170, 2, ())


def test_an_exact_write_is_lost_if_the_seal_has_moved_at_all(calls):
    before = calls.create(call(sealed=150))
    sealed = calls.seal("CA1", ME, 151, now_ms=NOW_MS)
    assert lost(lambda: calls.write(before, replace(before, epoch=2, holder=""), exact=True)) == sealed
    assert calls.write(sealed, replace(sealed, epoch=2, holder=""), exact=True).epoch == 2


def test_of_two_who_take_the_epoch_one_is_lost(calls):
    before = calls.create(call())
    first = calls.write(before, replace(before, epoch=2, holder="you"), exact=True)
    assert lost(lambda: calls.write(before, replace(before, epoch=2, holder="they"), exact=True)) == first


# -- sealing --------------------------------------------------------------------------------------


def test_a_seal_moves_the_promise_and_brings_back_the_schedule_of_that_moment(calls):
    before = calls.create(call())
    written = calls.write(before, schedule.reserve(before, "sp_1", **LEASED))
    sealed = calls.seal("CA1", ME, 13, now_ms=NOW_MS + 260)
    assert sealed == replace(written, sealed=13, sealed_at_ms=NOW_MS + 260)
    assert calls.get("CA1") == sealed


def test_a_seal_that_happened_and_is_tried_again_is_a_success(calls):
    calls.create(call())
    calls.seal("CA1", ME, 13, now_ms=NOW_MS)
    assert calls.seal("CA1", ME, 13, now_ms=NOW_MS + 200).sealed == 13


def test_a_seal_that_comes_late_is_a_success_and_takes_nothing_back(calls):
    calls.create(call(said(1, part(0))))
    further = calls.seal("CA1", ME, 26, now_ms=NOW_MS + 500)
    assert calls.seal("CA1", ME, 13, now_ms=NOW_MS, done=True, over=("sp_1",)) == further
    assert calls.get("CA1") == further


@pytest.mark.parametrize("other", [Hold(1, "you"), Hold(2, "me"), Hold(0, "me"), Hold(1, "")])
def test_nobody_seals_but_the_holder_of_the_epoch(calls, other):
    before = calls.create(call(sealed=100))
    for to in (50, 100, 113):  # not even what is sealed already
        assert lost(lambda to=to: calls.seal("CA1", other, to, now_ms=NOW_MS)) == before
    assert calls.get("CA1") == before


def test_who_lost_the_hold_learns_of_it_at_the_next_seal(calls):
    before = calls.create(call(sealed=100))
    taken = calls.write(before, replace(before, holder="you"), exact=True)
    assert lost(lambda: calls.seal("CA1", ME, 113, now_ms=NOW_MS)) == taken
    assert calls.seal("CA1", Hold(1, "you"), 113, now_ms=NOW_MS).sealed == 113


def test_a_call_that_has_ended_is_sealed_no_more(calls):
    before = calls.create(call(sealed=100))
    ended = calls.write(before, schedule.end(before, now_ms=NOW_MS, reason="completed"))
    for to in (100, 113):
        assert lost(lambda to=to: calls.seal("CA1", ME, to, now_ms=NOW_MS)) == ended
    assert ended.end_reason == "completed"


def test_a_call_that_is_not_there_cannot_be_sealed(calls):
    assert lost(lambda: calls.seal("CA1", ME, 13, now_ms=NOW_MS)) is None
    assert calls.get("CA1") is None


def test_the_last_seal_of_a_window_says_that_all_was_sent(calls):
    calls.create(call(epoch=3, sealed=42_000))
    assert calls.seal("CA1", Hold(3, "me"), 42_000, now_ms=NOW_MS, done=True).done == 3


def test_a_plain_seal_leaves_the_revision_alone(calls):
    before = calls.create(call())
    calls.seal("CA1", ME, 13, now_ms=NOW_MS)
    assert calls.seal("CA1", ME, 13, now_ms=NOW_MS, done=True).revision == before.revision


def test_a_seal_drops_the_speeches_that_are_over_each_by_its_key(calls):
    before = calls.create(call(said(1, part(0)), said(2, part(150)), said(3, part(400)), sealed=300))
    sealed = calls.seal("CA1", ME, 313, now_ms=NOW_MS, over=("sp_1", "sp_2"))
    assert sealed.speeches == (said(3, part(400)),)
    assert sealed.revision == before.revision + 1
    assert lost(lambda: calls.write(before, schedule.fail(before, "sp_1", "late"))) == sealed


def test_a_speech_is_dropped_twice_as_it_is_once(calls):
    calls.create(call(said(1, part(0)), sealed=300))
    calls.seal("CA1", ME, 313, now_ms=NOW_MS, over=("sp_1",))
    assert calls.seal("CA1", ME, 326, now_ms=NOW_MS, over=("sp_1",)).speeches == ()


# -- the live calls -------------------------------------------------------------------------------


def pages(calls, limit: int) -> list[list[str]]:
    found, after = [], None
    while True:
        page, after = calls.live(limit, after)
        found.append(page)
        if after is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7])
def test_every_live_call_is_on_one_page(calls, limit):
    sids = [f"CA{number}" for number in range(5)]
    for number, sid in enumerate(sids):
        calls.create(call(sid=sid, started_at_ms=NOW_MS + number % 2))
    found = pages(calls, limit)
    assert sorted(sid for page in found for sid in page) == sids
    assert all(len(page) <= limit for page in found)


def test_a_call_that_has_ended_is_not_among_the_live(calls):
    for sid in ("CA1", "CA2"):
        calls.create(call(sid=sid))
    over = calls.get("CA1")
    calls.write(over, schedule.end(over, now_ms=NOW_MS, reason="completed"))
    calls.create(Call("CA3", (), started_at_ms=NOW_MS, ended_at_ms=NOW_MS, end_reason="completed"))
    assert [sid for page in pages(calls, 10) for sid in page] == ["CA2"]


def test_where_nobody_calls_there_is_an_empty_page(calls):
    assert calls.live(10) == ([], None)


# -- the two stores of calls behave alike ---------------------------------------------------------

steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(1, 4)),
        st.tuples(st.just("place"), st.integers(1, 4), st.integers(0, 60)),
        st.tuples(st.just("silence"), st.integers(1, 4), st.integers(0, 20)),
        st.tuples(st.just("again"), st.integers(1, 4)),
        st.tuples(st.just("open"), st.sampled_from(["me", "you", ""])),
        st.tuples(st.just("seal"), st.sampled_from(["me", "you"]), st.integers(-20, 60), st.booleans()),
        st.tuples(st.just("drop"), st.integers(1, 4)),
        st.tuples(st.just("bed"), st.integers(0, 60)),
        st.tuples(st.just("end")),
        st.tuples(st.just("read")),
    ),
    max_size=14,
)


def changed(known: Call, step: tuple) -> tuple[Call, bool] | None:
    """What somebody who knows the call as `known` would write, and whether exactly so; None if he would not."""
    kind, *given = step
    speech = known.speech(f"sp_{given[0]}") if given else None
    match kind, given:
        case "reserve", [number]:
            return schedule.reserve(known, f"sp_{number}", **LEASED), False
        case "place", [_, ahead] if speech is not None:
            start = known.sealed + ahead
            clip = part(start, clip=f"{speech.speech_id}{start}")
            return schedule.place(known, speech.speech_id, clip, more=ahead % 2 == 0), False
        case "silence", [_, ahead] if speech is not None:
            at = known.sealed + ahead
            return schedule.silence(known, [speech.speech_id], None, at=at, reason="cancelled", **LEASED), False
        case "again", [_] if speech is not None:
            return schedule.speak_again(known, [speech.speech_id]), True
        case "open", [holder]:
            return replace(known, epoch=known.epoch + (not holder), holder=holder), True
        case "bed", [ahead]:
            start = known.sealed + 10_000 + ahead
            return schedule.change_bed(known, BedSpan(start, "warm1", "warm", start, "f", 50)), False
        case "end", []:
            return schedule.end(known, now_ms=NOW_MS, reason="completed"), False
    return None


@pytest.fixture(scope="module")
def one_table(new_table):
    return new_table()


def ask_both(both: tuple, name: str, *args: Any, **kwargs: Any) -> Any:
    """What came of an operation of both stores, the same for each."""
    answers = []
    for store in both:
        try:
            answers.append(getattr(store, name)(*args, **kwargs))
        except Lost as error:
            answers.append(("lost", error.current))
    assert answers[0] == answers[1]
    return answers[0]


@settings(deadline=None, max_examples=40)
@given(asked=steps)
def test_whatever_is_asked_of_them_the_two_stores_of_calls_answer_alike(dynamodb, one_table, asked):
    both = (MemoryCalls(), DynamoCalls(dynamodb, one_table))
    sid = f"CA{next(NUMBERS)}"
    known = call(sid=sid)
    ask_both(both, "create", known)
    for step in asked:
        if step[0] == "read":
            known = ask_both(both, "get", sid)
        elif step[0] == "seal":
            _, holder, ahead, done = step
            hold, to = Hold(known.epoch, holder), known.sealed + ahead
            ask_both(both, "seal", sid, hold, to, now_ms=NOW_MS, done=done)
        elif step[0] == "drop":
            hold, over = Hold(known.epoch, known.holder), (f"sp_{step[1]}",)
            ask_both(both, "seal", sid, hold, known.sealed, now_ms=NOW_MS, over=over)
        elif not (known.ended and step[0] == "reserve") and (change := changed(known, step)):
            after, exact = change
            ask_both(both, "write", known, after, exact=exact)
    ask_both(both, "get", sid)


# -- speeches -------------------------------------------------------------------------------------


def test_a_record_takes_the_place_of_one_that_was_refused_and_of_no_other(speeches):
    other = replace(RECORD, fingerprint="other", text="Good evening.")
    assert speeches.keep(RECORD) == RECORD
    assert speeches.keep(other) == RECORD
    assert speeches.keep(other, instead_of=replace(RECORD, fingerprint="third")) == RECORD
    assert speeches.keep(other, instead_of=RECORD) == other == speeches.get("CA1", "sp_1")
    speeches.close("CA1", SpeechStatus("sp_1", "finished"), 1)
    assert speeches.keep(RECORD, instead_of=other).text == other.text


RECORD = SpeechRecord("CA1", "sp_1", "print", NOW_MS, text="Good “morning”, Zoë.", voice="Joanna", when="now")
FINISHED = SpeechStatus("sp_1", "finished", None, 10_000, 2000)


def test_a_speech_that_nobody_kept_is_not_there(speeches):
    assert speeches.get("CA1", "sp_1") is None
    assert speeches.latest("CA1", 10) == []


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        SpeechRecord("CA1", "sp_1"),
        SpeechRecord("CA1", "sp_1", ssml="<speak>Hello</speak>", when="queue"),
        SpeechRecord("CA1", "sp_1", audio_key="audio/CA1/abc", fingerprint="1e5"),
    ],
)
def test_a_record_comes_back_as_it_was_kept(speeches, record):
    assert speeches.keep(record) == record
    assert speeches.get("CA1", "sp_1") == record


def test_the_first_record_of_a_speech_is_the_one_that_counts(speeches):
    speeches.keep(RECORD)
    other = replace(RECORD, text="Something else.", fingerprint="other")
    assert speeches.keep(other) == RECORD
    assert speeches.get("CA1", "sp_1") == RECORD


def test_a_speech_belongs_to_its_call(speeches):
    speeches.keep(RECORD)
    assert speeches.get("CA2", "sp_1") is None


def test_a_speech_is_closed_with_its_history_and_keeps_what_was_asked_for(speeches):
    speeches.keep(RECORD)
    speeches.close("CA1", FINISHED, 7)
    assert speeches.get("CA1", "sp_1") == RECORD.closed(FINISHED, 7)


def test_closing_twice_is_closing_once(speeches):
    speeches.keep(RECORD)
    speeches.close("CA1", FINISHED, 7)
    speeches.close("CA1", FINISHED, 7)
    assert speeches.latest("CA1", 10) == [RECORD.closed(FINISHED, 7)]


def test_a_retry_finds_what_became_of_its_speech(speeches):
    speeches.keep(RECORD)
    failed = SpeechStatus("sp_1", "failed", "no voice is called Nobody")
    speeches.close("CA1", failed, 7)
    assert speeches.keep(RECORD).status == failed


def test_a_speech_at_the_very_start_of_a_call_is_told_as_such(speeches):
    speeches.keep(RECORD)
    speeches.close("CA1", SpeechStatus("sp_1", "finished", None, 0, 20), 1)
    assert speeches.get("CA1", "sp_1").starts_at_ms == 0


def test_the_latest_speeches_come_last_first_and_only_those_that_are_over(speeches):
    for number in range(1, 14):
        speeches.keep(replace(RECORD, speech_id=f"sp_{number}"))
        if number != 5:
            speeches.close("CA1", replace(FINISHED, speech_id=f"sp_{number}"), number)
    speeches.keep(replace(RECORD, call_sid="CA2"))
    speeches.close("CA2", FINISHED, 20)
    assert [r.order for r in speeches.latest("CA1", 100)] == [13, 12, 11, 10, 9, 8, 7, 6, 4, 3, 2, 1]
    assert [r.speech_id for r in speeches.latest("CA1", 2)] == ["sp_13", "sp_12"]


def test_the_last_word_on_a_speech_is_the_whole_word(speeches):
    speeches.keep(RECORD)
    speeches.close("CA1", SpeechStatus("sp_1", "cancelled", "the call is over: completed", 10_000), 7)
    speeches.close("CA1", FINISHED, 7)
    assert speeches.get("CA1", "sp_1").status == FINISHED


def test_the_history_of_a_speech_whose_request_was_forgotten_can_be_read(speeches):
    speeches.close("CA1", FINISHED, 7)
    assert speeches.get("CA1", "sp_1").status == FINISHED
    assert [record.order for record in speeches.latest("CA1", 10)] == [7]


# -- beds -----------------------------------------------------------------------------------------

READY = BedRecord("calm", "ready", "v1", 62.0, -28.04, updated_at_ms=NOW_MS)


def test_a_bed_that_nobody_made_is_not_there(beds):
    assert beds.get("calm") is None
    assert beds.all() == []


@pytest.mark.parametrize(
    "record",
    [
        READY,
        replace(READY, seconds=0.0, level_dbov=-28.0),
        BedRecord("calm", "rendering", reason="waiting for the upload", updated_at_ms=NOW_MS),
        BedRecord("calm", "failed", reason="not audio that can be read: “song.txt”"),
    ],
)
def test_a_bed_comes_back_as_it_was_kept(beds, record):
    beds.keep(record)
    assert beds.get("calm") == record


def test_the_last_record_of_a_bed_counts_and_nothing_is_left_of_the_one_before(beds):
    beds.keep(replace(READY, state="failed", reason="too short"))
    beds.keep(READY)
    assert beds.get("calm") == READY


def test_all_beds_come_by_name(beds):
    for name in ("warm", "calm", "bright-2"):
        beds.keep(replace(READY, name=name))
    assert [record.name for record in beds.all()] == ["bright-2", "calm", "warm"]


# -- sounds ---------------------------------------------------------------------------------------


def test_a_sound_that_nobody_put_is_none(sounds):
    assert sounds.get("beds/none/playlist.json") is None


@pytest.mark.parametrize("body", [b"", b"\xff" * 160, bytes(range(256)) * 200])
def test_a_sound_comes_back_as_it_was_put(sounds, body):
    sounds.put("clips/CA1/abc.ulaw", body)
    assert sounds.get("clips/CA1/abc.ulaw") == body


def test_a_sound_that_is_put_twice_is_there_once(sounds):
    sounds.put("clips/CA1/abc.ulaw", b"sound")
    sounds.put("clips/CA1/abc.ulaw", b"sound", content_type="audio/basic")
    assert sounds.get("clips/CA1/abc.ulaw") == b"sound"
