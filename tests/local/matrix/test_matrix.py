"""Whatever Twilio does, a caller hears music and every speech from then on: one test a behaviour, in virtual time.

The whole matrix is `make matrix`; these are the behaviours that nothing else shows.
"""

import asyncio
from dataclasses import replace

import pytest

from duckline.delivery import CHECKED_AFTER_MS, Finding
from local.matrix.caller import listen
from local.matrix.fibre import START_MS
from local.matrix.rows import KINDS, ODDITIES, odd, plain
from local.matrix.service import FETCH_MS, WEBHOOK_MS, Service, Settings
from local.twilio import CUTS_AT_15_S, DOWNLOADS_FIRST, PLAYS_WHILE_DOWNLOADING, Behaviour

AUTO = Settings("auto")
JOIN_MS = WEBHOOK_MS + FETCH_MS + 40  # two frames are rounded


async def two_callers(behaviour, settings=AUTO, found=None):
    """The first caller of a deployment, one who comes after, and what was found out."""
    async with Service(settings, behaviour) as service:
        service.findings.finding = found
        return await listen(service, 0), await listen(service, 1), service.findings.finding


def found_at(mode, ms_ago=0):
    return Finding(mode, "seen before", START_MS + 1_000_000 - ms_ago)


async def test_a_who_plays_while_downloading_is_streamed_to():
    first, later, finding = await two_callers(PLAYS_WHILE_DOWNLOADING)
    assert finding.mode == "stream"
    assert finding.evidence == "a window of 8 s, 4 s of it at once, all sent, was followed after 8.1 s"
    assert first.every_speech
    assert later.every_speech
    assert later.slowest_s < 2
    assert later.music_s < 0.3
    assert first.longest_silence_ms <= JOIN_MS
    assert later.longest_silence_ms <= JOIN_MS
    assert later.stopped_s <= 1.3


@pytest.mark.parametrize(("start_buffer_bytes", "late_s"), [(8_000, 0.0), (16_000, 0.8), (32_768, 2.9)])
async def test_a_a_start_buffer_beyond_the_lead_makes_each_window_begin_late(start_buffer_bytes, late_s):
    first, later, finding = await two_callers(Behaviour(start_buffer_bytes=start_buffer_bytes))
    assert finding.mode == "stream"
    assert first.every_speech
    assert later.every_speech
    assert later.music_s == pytest.approx(0.2 + late_s, abs=0.2)
    assert later.longest_silence_ms == pytest.approx(280 + late_s * 1000, abs=200)


async def test_a_a_start_buffer_as_long_as_the_probe_is_as_good_as_downloading_first():
    _, later, finding = await two_callers(Behaviour(start_buffer_bytes=65_536))
    assert finding.mode == "burst"
    assert later.every_speech


async def test_a_a_lead_of_five_seconds_fills_a_start_buffer_at_once():
    first, _, _ = await two_callers(Behaviour(start_buffer_bytes=32_768), Settings("stream", lead_seconds=5))
    assert first.music_s < 0.3
    assert first.longest_silence_ms <= JOIN_MS


async def test_b_who_cuts_at_15_seconds_gets_short_windows_after_the_first_cut():
    first, later, finding = await two_callers(CUTS_AT_15_S)
    assert finding.mode == "short"
    assert "broken off, was followed after 16" in finding.evidence
    assert first.every_speech
    assert later.every_speech
    assert first.longest_silence_ms <= JOIN_MS
    assert later.longest_silence_ms <= JOIN_MS
    assert later.windows == 6


async def test_c_who_downloads_first_gets_ten_seconds_at_once_and_speech_waits_for_the_window():
    first, later, finding = await two_callers(DOWNLOADS_FIRST)
    assert finding.mode == "burst"
    assert first.music_s == pytest.approx(4.1, abs=0.2)
    assert later.music_s < 0.3
    assert first.every_speech
    assert later.every_speech
    assert first.slowest_s < 14
    assert later.slowest_s < 12
    assert later.longest_silence_ms <= JOIN_MS


@pytest.mark.parametrize(
    ("wrong", "behaviour", "right"),
    [
        (found_at("stream"), CUTS_AT_15_S, "short"),
        (found_at("short"), DOWNLOADS_FIRST, "burst"),
        (found_at("burst", CHECKED_AFTER_MS), PLAYS_WHILE_DOWNLOADING, "stream"),
        (found_at("short", CHECKED_AFTER_MS), PLAYS_WHILE_DOWNLOADING, "stream"),
        (found_at("stream", CHECKED_AFTER_MS), DOWNLOADS_FIRST, "burst"),
    ],
)
async def test_a_wrong_finding_is_survived(wrong, behaviour, right):
    first, later, finding = await two_callers(behaviour, found=wrong)
    assert finding.mode == right
    assert first.every_speech
    assert later.every_speech


@pytest.mark.parametrize("kind", KINDS.values(), ids=["a", "b", "c"])
async def test_the_oddities_of_a_proxy_take_no_speech_away(kind):
    odd_one = replace(
        kind,
        head_first=True,
        range_header=True,
        webhooks_twice=True,
        joins_chunks_to_bytes=4096,
        fetch_goes_on_after_hangup=True,
    )
    first, later, _ = await two_callers(odd_one)
    assert first.every_speech
    assert later.every_speech
    assert [speech.times for speech in later.speeches] == [1] * 5
    assert later.stopped_s <= 1.3


async def test_what_is_sent_in_long_windows_is_not_heard_by_one_who_downloads_first():
    """The matrix can fail: this is the wrong setting."""
    async with Service(Settings("stream"), DOWNLOADS_FIRST) as service:
        heard = await listen(service, 0)
    assert heard.music_s > 50
    assert not heard.every_speech


def test_every_oddity_stands_in_the_matrix_with_every_kind():
    assert len([*odd()]) == len(ODDITIES) * len(KINDS)
    told = {name for row in [*plain(), *odd()] for name in row.behaviour.__slots__ if differs(row.behaviour, name)}
    assert told == set(Behaviour.__slots__) - {"failed_play_ends_call"}


def differs(behaviour, name):
    return getattr(behaviour, name) != getattr(Behaviour(), name)


@pytest.mark.parametrize("kind", KINDS.values(), ids=["a", "b", "c"])
@pytest.mark.parametrize("asks", ["repeated_get", "closes_at_once"])
async def test_a_window_that_is_asked_for_twice_is_heard_whole(kind, asks):
    first, later, finding = await two_callers(replace(kind, **{asks: True}))
    assert finding is not None
    assert first.every_speech
    assert later.every_speech
    assert later.fetches == 2 * later.windows


async def test_a_key_cuts_a_speech_short_the_next_is_said_and_the_music_goes_on():
    async with Service(Settings("stream"), PLAYS_WHILE_DOWNLOADING) as service:
        service.switchboard = replace(service.switchboard, caller_input="keys")
        call = await service.twilio.place_call(f"{service.url}/voice", f"{service.url}/voice/status")
        await service.pass_time(3)
        cut, kept = [await service.speak(call.call_sid, key) for key in ("one", "two")]
        await service.pass_time(3)
        call.press("42")
        await service.pass_time(8)
        events = [(event["type"], event.get("speech_id"), event.get("reason")) for event in service.events]
        assert ("speech.cancelled", cut, "input") in events
        assert ("speech.finished", kept, None) in events
        assert events.count(("speech.started", cut, None)) == 1
        assert [event["digits"] for event in service.events if event["type"] == "call.input"] == ["42"]
        ending = asyncio.ensure_future(call.hang_up())
        await service.pass_time(3)
        await ending
        (join,) = call.joins
        assert join.gap_ms == pytest.approx(1000 + JOIN_MS, abs=60)
