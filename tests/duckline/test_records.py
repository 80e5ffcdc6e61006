from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from duckline.call import BedSpan, Call, Part, Speech
from duckline.delivery import HEARD_MARGIN_MS
from duckline.envelope import Duck
from duckline.records import (
    CALL_SID,
    LIVE_FOR_MS,
    SpeechRecord,
    SpeechStatus,
    call_state,
    is_forsaken,
    speech_id_for,
    status_of,
)

OPENED_AT_MS = 1_800_000_000_000


def part(voice_at: int, frames: int = 100) -> Part:
    return Part(f"c{voice_at}", Duck(voice_at - 6, 6, voice_at + frames, 30, 0.2), voice_at)


def said(*parts: Part, **fields) -> Speech:
    return Speech("sp_1", 1, parts, **({"more": False} | fields))


def call(speech: Speech, **fields) -> Call:
    usual = {
        "window_until": 42_000,
        "opened_at_ms": OPENED_AT_MS,
        "sealed": 5000,
        "sealed_at_ms": OPENED_AT_MS + 100_000,
        "speeches": (speech,),
    }
    return Call("CA1", (BedSpan(0, "calm1", "calm"),), **(usual | fields))


def status_at(speech: Speech, frame: int, **fields) -> SpeechStatus:
    """What is said when the caller hears `frame`."""
    return status_of(call(speech, **fields), speech, OPENED_AT_MS + frame * 20)


# -- ids ------------------------------------------------------------------------------------------


def test_the_same_key_in_the_same_call_is_the_same_speech():
    assert speech_id_for("CA1", "order 7") == speech_id_for("CA1", "order 7")


def test_an_id_is_the_same_on_every_machine_and_in_every_version():
    assert speech_id_for("CA" + "0" * 32, "order 7") == "sp_gxbqsy6qfr"


def test_another_key_or_another_call_is_another_speech():
    ids = {speech_id_for(sid, key) for sid in ("CA1", "CA2") for key in ("a", "b", "a\nb", "")}
    assert len(ids) == 8


@given(st.text(), st.text())
def test_an_id_is_short_and_fit_for_a_path_and_a_map(call_sid: str, key: str):
    speech_id = speech_id_for(call_sid, key)
    assert speech_id.startswith("sp_")
    assert len(speech_id) == 13
    assert speech_id[3:].isalnum() and speech_id.islower() and speech_id.isascii()


# -- what is said of a speech ---------------------------------------------------------------------


def test_a_reserved_speech_is_scheduled_and_nobody_knows_when():
    assert status_at(said(more=True), 100) == SpeechStatus("sp_1", "scheduled")


def test_a_placed_speech_tells_when_it_will_be_heard_and_how_long_it_is():
    assert status_at(said(part(500)), 100) == SpeechStatus("sp_1", "scheduled", None, 10_000, 2000)


def test_while_later_parts_are_owed_the_duration_is_not_known():
    assert status_at(said(part(500), more=True), 100) == SpeechStatus("sp_1", "scheduled", None, 10_000, None)


def test_a_speech_of_several_parts_lasts_from_its_first_sound_to_its_last():
    assert status_at(said(part(500), part(608, 50)), 100).duration_ms == (608 + 50 - 500) * 20


def test_a_speech_plays_from_its_first_sound_to_its_last():
    states = [status_at(said(part(500)), frame).state for frame in (499, 500, 599, 600)]
    assert states == ["scheduled", "playing", "playing", "finished"]


def test_a_speech_plays_on_between_its_parts_and_while_more_is_owed():
    assert status_at(said(part(500), part(700)), 650).state == "playing"
    assert status_at(said(part(500), more=True), 650).state == "playing"


def test_what_is_not_sealed_is_not_heard_whatever_the_time():
    assert status_at(said(part(500)), 2000, sealed=400).state == "scheduled"
    assert status_at(said(part(500)), 2000, sealed=550).state == "playing"


def test_a_speech_that_will_not_be_heard_tells_why():
    silenced = said(replace(part(500), cut_at=550), outcome="cancelled", reason="interrupted by sp_2")
    failed = said(outcome="failed", reason="no voice is called Nobody")
    assert status_at(silenced, 5000) == SpeechStatus("sp_1", "cancelled", "interrupted by sp_2", 10_000, None)
    assert status_at(failed, 0) == SpeechStatus("sp_1", "failed", "no voice is called Nobody")


def test_a_fade_out_is_no_part_of_what_is_said():
    fade = Part("fade", Duck(550, 0, 557, 30, 0.2, 0.2), voice_at=557)
    silenced = said(replace(part(500), cut_at=550), fade, outcome="cancelled", reason="cancelled")
    assert status_at(silenced, 5000).starts_at_ms == 10_000


def test_a_speech_that_is_owed_again_is_scheduled_again():
    assert status_at(said(more=True, again=1), 5000).state == "scheduled"


# -- after the call's end -------------------------------------------------------------------------

MARGIN_FRAMES = HEARD_MARGIN_MS // 20


def status_after_end(speech: Speech, ended_at: int, asked_after_ms: int = 0) -> SpeechStatus:
    """What is said of a speech in a call that has ended when its stream had come to frame `ended_at`."""
    ended_at_ms = OPENED_AT_MS + ended_at * 20
    over = call(
        speech, sealed=ended_at + 50, sealed_at_ms=ended_at_ms - 100, ended_at_ms=ended_at_ms, end_reason="completed"
    )
    return status_of(over, speech, ended_at_ms + asked_after_ms)


def test_a_speech_that_was_surely_heard_before_the_hang_up_is_finished():
    assert status_after_end(said(part(500)), 600 + MARGIN_FRAMES).state == "finished"


def test_a_speech_that_was_perhaps_cut_off_by_the_hang_up_is_not_called_finished():
    cut_off = status_after_end(said(part(500)), 600 + MARGIN_FRAMES - 1)
    assert (cut_off.state, cut_off.reason) == ("cancelled", "the call is over: completed")


def test_nothing_plays_or_waits_in_a_call_that_is_over():
    assert status_after_end(said(part(500)), 550).state == "cancelled"
    assert status_after_end(said(part(5000)), 550).state == "cancelled"
    assert status_after_end(said(more=True), 550).state == "cancelled"


def test_what_failed_before_the_end_stays_failed():
    failed = said(outcome="failed", reason="no voice is called Nobody")
    assert status_after_end(failed, 550).reason == "no voice is called Nobody"


@example(ended_at=640, asked_after_ms=90_000)
@given(st.integers(400, 900), st.integers(0, 600_000))
def test_what_is_said_after_the_end_stays_said(ended_at: int, asked_after_ms: int):
    speech = said(part(500))
    assert status_after_end(speech, ended_at, asked_after_ms) == status_after_end(speech, ended_at)


def test_of_a_burst_that_was_hung_up_on_nothing_counts_as_heard():
    speech = said(part(500))
    over = call(speech, paced=False, ended_at_ms=OPENED_AT_MS + 60_000, end_reason="completed")
    assert status_of(over, speech, OPENED_AT_MS + 60_000).state == "cancelled"


# -- what is kept ---------------------------------------------------------------------------------

RECORD = SpeechRecord("CA1", "sp_1", "print", 1234, text="Hello.", voice="Joanna")


def test_a_record_is_closed_with_what_became_of_its_speech():
    closed = RECORD.closed(SpeechStatus("sp_1", "finished", None, 10_000, 2000), order=7)
    assert closed == replace(RECORD, order=7, state="finished", starts_at_ms=10_000, duration_ms=2000)
    assert closed.status == SpeechStatus("sp_1", "finished", None, 10_000, 2000)


@pytest.mark.parametrize("reason", ["cancelled", "no voice is called Nobody"])
def test_the_reason_is_kept(reason: str):
    status = SpeechStatus("sp_1", "failed", reason)
    assert RECORD.closed(status, order=7).status == status


def test_a_record_that_is_not_closed_says_scheduled():
    assert RECORD.status == SpeechStatus("sp_1", "scheduled")


# -- what is said of a call -----------------------------------------------------------------------


def test_a_call_rings_until_its_first_stream_begins_and_lives_until_it_is_over():
    rings = Call("CA1", (BedSpan(0, "v", "calm"),), started_at_ms=OPENED_AT_MS, opening_at_ms=OPENED_AT_MS)
    assert call_state(rings, OPENED_AT_MS) == "ringing"
    lives = replace(rings, opened_at_ms=OPENED_AT_MS)
    assert call_state(lives, OPENED_AT_MS) == "live"
    assert call_state(replace(lives, epoch=2, opened_at_ms=0), OPENED_AT_MS) == "live"
    assert call_state(replace(lives, ended_at_ms=OPENED_AT_MS), OPENED_AT_MS) == "ended"


@pytest.mark.parametrize("sign", ["started_at_ms", "opening_at_ms", "sealed_at_ms"])
def test_a_call_that_gave_no_sign_for_long_counts_as_ended(sign):
    silent = Call("CA1", (BedSpan(0, "v", "calm"),), **{sign: OPENED_AT_MS})
    assert [call_state(silent, OPENED_AT_MS + LIVE_FOR_MS + late_ms) for late_ms in (0, 1)] == ["ringing", "ended"]


def test_what_was_sent_ahead_is_heard_before_a_silence_counts():
    sent = call(said(part(100)), sealed=3000, sealed_at_ms=OPENED_AT_MS)
    assert [is_forsaken(sent, OPENED_AT_MS + ms) for ms in (LIVE_FOR_MS, LIVE_FOR_MS + 14_000, 61_000)] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("sid", ["CA" + "0123456789abcdef" * 2, "CA" + "0123456789ABCDEF" * 2])
def test_a_call_sid_is_ca_and_32_hexadecimal_digits(sid):
    assert CALL_SID.fullmatch(sid)
    for wrong in (sid[:-1], sid + "0", "CX" + sid[2:], sid[:-1] + "g", sid + "\n", "ca" + sid[2:]):
        assert not CALL_SID.fullmatch(wrong)
