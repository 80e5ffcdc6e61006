import re
import wave

import numpy as np
import pytest
from aiohttp import web
from twilio.request_validator import RequestValidator

from local.twilio import Behaviour, g711
from local.twilio.interpreter import APPLICATION_ERROR

TOKEN = "an auth token"
XML = "application/xml"


def sound_of(call, window) -> bytes:
    """What was heard of a window."""
    start, end = window.play_out.start_tick, window.play_out.end_tick
    return call.recording().mulaw[start * 160 : end * 160]


async def test_a_call_rings_is_answered_plays_and_reports_its_end(stage, stream, noise):
    audio = noise(2)
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/music.wav</Play>"
        s.media["/music.wav"] = stream.paced(audio)
        call = await s.call(params={"StirVerstat": "TN-Validation-Passed-A"})
        await s.pass_time(10)
        await call.over()
        assert s.paths() == ["POST /voice", "GET /music.wav", "POST /status"]
        assert sound_of(call, call.windows[0]) == audio
        assert call.recording().mulaw == audio
        assert (call.ended_by, call.status, call.errors) == ("twiml", "completed", [])
        ringing, media, ended = s.seen
        assert ringing.form["CallStatus"] == "ringing"
        assert ringing.form["StirVerstat"] == "TN-Validation-Passed-A"
        assert (ended.form["CallStatus"], ended.form["CallDuration"]) == ("completed", "2")
        assert ended.at == pytest.approx(call.answered_at + 2)
        assert media.form == {}
        assert "x-twilio-signature" not in media.headers


async def test_webhooks_carry_what_twilio_sends_and_a_signature_its_library_accepts(stage):
    async with stage() as s:
        s.twiml["/voice"] = "<Redirect>/next?bed=calm%20sea&amp;x=#rc=3</Redirect>"
        s.twiml["/next"] = "<Hangup/>"
        call = await s.call("/voice?bed=calm", from_="+4930123456", to="+4930654321")
        await s.pass_time(1)
        await call.over()
        assert re.fullmatch(r"CA[0-9a-f]{32}", call.call_sid)
        for seen in s.seen:
            assert RequestValidator(TOKEN).validate(seen.url, seen.form, seen.headers["x-twilio-signature"])
            assert not RequestValidator("other").validate(seen.url, seen.form, seen.headers["x-twilio-signature"])
            assert seen.headers["content-type"] == "application/x-www-form-urlencoded; charset=UTF-8"
            assert seen.form["CallSid"] == call.call_sid
            assert re.fullmatch(r"AC[0-9a-f]{32}", seen.form["AccountSid"])
            assert (seen.form["From"], seen.form["Caller"]) == ("+4930123456", "+4930123456")
            assert (seen.form["To"], seen.form["Called"]) == ("+4930654321", "+4930654321")
            assert (seen.form["Direction"], seen.form["ApiVersion"]) == ("inbound", "2010-04-01")
            assert seen.form["FromCity"] == ""
        assert s.seen[1].url == call.log[1].url == s.url + "/next?bed=calm%20sea&x="
        assert s.seen[1].form["CallStatus"] == "in-progress"
        assert len({seen.headers["i-twilio-idempotency-token"] for seen in s.seen}) == 3


async def test_the_log_has_each_request_with_its_times_and_answer(stage, stream, noise):
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/music.wav</Play>"
        s.media["/music.wav"] = stream(noise(0.5))
        s.delays_s = {"/voice": 0.5, "/music.wav": 0.25}
        call = await s.call()
        await s.pass_time(3)
        await call.over()
        voice, media, status = call.log
        assert (voice.kind, voice.method, voice.status) == ("voice", "POST", 200)
        assert voice.answered_at - voice.asked_at == pytest.approx(0.5)
        assert voice.twiml == "<Response><Play>/music.wav</Play></Response>"
        assert (media.kind, media.method, media.url, media.status) == ("media", "GET", s.url + "/music.wav", 200)
        assert media.answered_at - media.asked_at == pytest.approx(0.25)
        assert (status.kind, status.status, status.form["CallStatus"]) == ("status", 204, "completed")


async def test_hanging_up_stops_the_player_closes_the_media_and_reports(stage, stream, noise):
    audio = noise(30)
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/music.wav</Play><Redirect>/next</Redirect>"
        s.media["/music.wav"] = stream.paced(audio)
        call = await s.call()
        await s.pass_time(4.99)
        await call.hang_up()
        await s.pass_time(1)
        assert s.paths() == ["POST /voice", "GET /music.wav", "POST /status"]
        recording = call.recording()
        assert recording.mulaw == audio[: 250 * 160]
        assert recording.seconds == 5
        assert s.seen[1].client_left_at == pytest.approx(call.hung_up_at)
        assert s.seen[2].at == pytest.approx(call.hung_up_at)
        assert s.seen[2].form["CallDuration"] == "5"
        (window,) = call.windows
        assert (window.closed_by, window.truncated, call.stream_ended_at) == ("caller", False, None)
        assert (call.ended_by, call.underruns, call.late_chunks) == ("caller", [], [])


async def test_hanging_up_twice_is_hanging_up_once(stage, stream, noise):
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/music.wav</Play>"
        s.media["/music.wav"] = stream.paced(noise(9))
        call = await s.call()
        await s.pass_time(2)
        await call.hang_up()
        await call.hang_up()
        assert s.paths().count("POST /status") == 1


async def test_hanging_up_while_it_rings_is_a_cancelled_call(stage):
    async with stage() as s:
        s.twiml["/voice"] = "<Say>too late</Say>"
        s.delays_s["/voice"] = 3
        call = await s.call()
        await s.pass_time(1)
        await call.hang_up()
        assert s.seen[-1].form["CallStatus"] == "canceled"
        assert s.seen[-1].form["CallDuration"] == "0"
        assert call.recording().mulaw == b""


async def test_one_window_follows_another_and_the_gap_between_is_measured(stage, stream, noise):
    first, second = noise(2, seed=1), noise(2, seed=2)
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/a.wav</Play><Redirect>/next</Redirect>"
        s.twiml["/next"] = "<Play>/b.wav</Play>"
        s.media |= {"/a.wav": stream.paced(first), "/b.wav": stream.paced(second)}
        s.delays_s["/next"] = 0.13
        call = await s.call()
        await s.pass_time(10)
        await call.over()
        assert call.recording().mulaw == first + b"\xff" * 7 * 160 + second
        (join,) = call.joins
        assert join.gap_ms == 140
        assert join.at == pytest.approx(call.answered_at + 2)
        assert len(call.arrivals) == 2


async def test_a_stream_that_stalls_beyond_its_lead_is_heard_to_stall(stage, stream, noise):
    audio = noise(3)
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/music.wav</Play>"
        s.media["/music.wav"] = stream(audio, pieces=[(0.0, 8000), (1.5, 8000), (1.6, 8000)])
        call = await s.call()
        await s.pass_time(10)
        await call.over()
        assert call.recording().mulaw == audio[:8000] + b"\xff" * 25 * 160 + audio[8000:]
        assert [time - call.answered_at for time in call.underruns] == pytest.approx([1 + n / 50 for n in range(25)])
        (late,) = call.late_chunks
        assert late.late_s == pytest.approx(0.5)
        assert ("play.underrun", "500 ms") in [(mark.kind, mark.detail) for mark in call.recording().marks]


async def test_a_stream_that_stalls_within_its_lead_is_not_heard_to(stage, stream, noise):
    audio = noise(3)
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/music.wav</Play>"
        s.media["/music.wav"] = stream(audio, pieces=[(0.0, 8000), (0.99, 8000), (1.98, 8000)])
        call = await s.call()
        await s.pass_time(10)
        await call.over()
        assert call.recording().mulaw == audio
        assert (call.underruns, call.late_chunks) == ([], [])


async def test_arrivals_are_counted_with_their_times(stage, stream, noise):
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/music.wav</Play>"
        s.media["/music.wav"] = stream(noise(3), pieces=[(0.0, 8000), (0.5, 8000), (1.0, 8000)])
        call = await s.call()
        await s.pass_time(10)
        (window,) = call.windows
        arrivals = [(round(at.at - window.asked_at, 3), at.size_bytes) for at in window.arrivals]
        assert arrivals[-2:] == [(0.5, 8000), (1.0, 8000)]
        assert sum(size for _, size in arrivals) == 24_058
        assert call.stream_ended_at == pytest.approx(window.asked_at + 1.0)
        assert window.closed_by == "server"


async def test_a_connection_that_breaks_off_is_played_as_far_as_it_came(stage, stream, noise, wav_header):
    audio = noise(3)
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/a.wav</Play><Play>/b.wav</Play>"
        s.media["/a.wav"] = stream(audio[:12_000], wav_header(24_000), pieces=[(0.0, 8000), (0.5, 4000)], then="drop")
        s.media["/b.wav"] = stream(audio[:160])
        call = await s.call()
        await s.pass_time(10)
        await call.over()
        assert sound_of(call, call.windows[0]) == audio[:12_000]
        assert call.windows[0].truncated
        assert call.windows[0].closed_by == "server"
        assert sound_of(call, call.windows[1]) == audio[:160]
        assert not call.windows[1].truncated


async def test_a_body_shorter_than_it_declares_is_truncated(stage, stream, noise, wav_header):
    audio = noise(1)
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/a.wav</Play>"
        s.media["/a.wav"] = stream(audio, wav_header(16_000))
        call = await s.call()
        await s.pass_time(10)
        assert call.windows[0].truncated
        assert sound_of(call, call.windows[0]) == audio


async def test_a_body_whose_length_is_not_known_ends_where_it_ends(stage, stream, noise, wav_header):
    audio = noise(1.5)
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/a.wav</Play>"
        s.media["/a.wav"] = stream.paced(audio, header=wav_header(0x7FFFF000))
        call = await s.call()
        await s.pass_time(10)
        assert call.recording().mulaw == audio
        assert not call.windows[0].truncated


async def test_once_all_that_is_declared_has_played_the_server_is_not_waited_for(stage, stream, noise):
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/a.wav</Play>"
        s.media["/a.wav"] = stream(noise(1), then="hang")
        call = await s.call()
        await s.pass_time(1.1)
        await call.over()
        assert call.windows[0].closed_by == "player"
        assert call.errors == []


async def test_a_server_that_stays_silent_after_all_has_come_does_no_harm(stage, stream, noise):
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/a.wav</Play>"
        s.media["/a.wav"] = stream(noise(20), then="hang")
        call = await s.call()
        await s.pass_time(30)
        assert call.recording().mulaw == noise(20)
        assert call.errors == []


async def test_pcm_is_turned_into_the_telephones_mulaw(stage, stream, noise, wav_header):
    pcm = np.random.default_rng(3).integers(-8000, 8000, 8000, dtype=np.int16)
    body = pcm.astype("<i2").tobytes()
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/a.wav</Play>"
        # Pieces of odd length: a sample is cut in two.
        s.media["/a.wav"] = stream(body, wav_header(len(body), tag=1), pieces=[(0.0, 8001), (0.1, 333), (0.2, 8000)])
        call = await s.call()
        await s.pass_time(3)
        assert call.recording().mulaw == g711.encode(pcm)
        assert call.windows[0].started_at - call.answered_at == pytest.approx(0, abs=0.02)


async def test_plain_mulaw_is_played(stage, stream, noise):
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/a.ulaw</Play>"
        s.media["/a.ulaw"] = stream(noise(1), b"", content_type="audio/ulaw")
        call = await s.call()
        await s.pass_time(3)
        assert call.recording().mulaw == noise(1)


async def test_a_loop_plays_again_without_fetching_again(stage, stream, noise):
    audio = noise(0.5)
    async with stage() as s:
        s.twiml["/voice"] = '<Play loop="3">/a.wav</Play>'
        s.media["/a.wav"] = stream(audio)
        call = await s.call()
        await s.pass_time(5)
        assert call.recording().mulaw == audio * 3
        assert s.paths().count("GET /a.wav") == 1


@pytest.mark.parametrize(
    ("wrong", "code", "says"),
    [
        ({"status": 403, "content_type": "text/plain"}, 11200, "403"),
        ({"status": 206}, 11200, "206"),
        ({"content_type": "audio/basic"}, 12300, "audio/basic"),
        ({"content_type": "text/html"}, 12300, "text/html"),
        ({"content_type": "audio/mpeg"}, 12300, "audio/mpeg"),
        ({"header": b"RIFX" + bytes(54)}, 12300, "RIFX"),
        ({"audio": b"", "header": b"RIFF"}, 12300, "ended after 4 bytes"),
        ({"audio": b"", "header": b""}, 12300, "ended after 0 bytes"),
    ],
)
async def test_media_that_cannot_be_played_is_told_and_the_next_verb_follows(stage, stream, noise, wrong, code, says):
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/a.wav</Play><Play>/b.wav</Play>"
        s.media["/a.wav"] = stream(**({"audio": noise(1)} | wrong))
        s.media["/b.wav"] = stream(noise(1))
        call = await s.call()
        await s.pass_time(5)
        (error,) = call.errors
        assert (error.code, error.url) == (code, s.url + "/a.wav")
        assert says in error.message
        assert call.recording().mulaw == noise(1)
        assert call.ended_by == "twiml"


async def test_a_failed_play_drops_the_call_where_twilio_does_so(stage, stream):
    async with stage(Behaviour(failed_play_ends_call=True)) as s:
        s.twiml["/voice"] = "<Play>/a.wav</Play><Redirect>/voice</Redirect>"
        call = await s.call()
        await s.pass_time(10)
        await call.over()
        assert [error.code for error in call.errors] == [11200]
        assert call.ended_by == "error"


async def test_a_stream_that_falls_silent_is_given_up_after_15_seconds(stage, stream, noise, wav_header):
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/a.wav</Play><Pause length='1'/>"
        s.media["/a.wav"] = stream(noise(1), wav_header(80_000), then="hang")
        call = await s.call()
        await s.pass_time(30)
        (error,) = call.errors
        assert (error.code, error.message) == (11200, "nothing came for 15 s")
        assert error.at - call.answered_at == pytest.approx(15, abs=0.1)
        assert call.recording().mulaw[:8000] == noise(1)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (web.Response(status=500, text="oh"), 11200),
        (web.Response(status=302, headers={"Location": "/next"}), 11200),
        (web.Response(text="<Response/>", content_type="application/json"), 12300),
        (web.Response(status=204), 12300),
        (web.Response(text="<Response><Play>", content_type=XML), 12100),
        (web.Response(text="<Response>" + " " * 70_000 + "</Response>", content_type=XML), 11750),
    ],
)
async def test_an_answer_of_no_use_drops_the_call_with_an_apology(stage, answer, code):
    async with stage() as s:
        s.twiml["/voice"] = answer
        call = await s.call()
        await s.pass_time(10)
        await call.over()
        assert [error.code for error in call.errors] == [code]
        assert call.ended_by == "error"
        assert ("say", APPLICATION_ERROR) in [(mark.kind, mark.detail) for mark in call.recording().marks]
        assert s.paths() == ["POST /voice", "POST /status"]


async def test_no_answer_within_15_seconds_drops_the_call(stage):
    async with stage() as s:
        s.twiml["/voice"] = "<Hangup/>"
        s.delays_s["/voice"] = 15.5
        call = await s.call()
        await s.pass_time(40)
        (error,) = call.errors
        assert (error.code, error.message) == (11200, "no answer within 15 s")
        assert s.seen[0].client_left_at - s.seen[0].at == pytest.approx(15)


async def test_nobody_at_the_url_drops_the_call(stage):
    async with stage() as s:
        call = await s.twilio.place_call("http://127.0.0.1:1/voice")
        await s.pass_time(10)
        await call.over()
        assert [error.code for error in call.errors] == [11205]
        assert call.log[0].failure


async def test_twiml_that_twilio_would_warn_of_is_told_and_the_rest_obeyed(stage):
    async with stage() as s:
        s.twiml["/voice"] = "<Music>/a.wav</Music><Say>Hello</Say>"
        call = await s.call()
        await s.pass_time(5)
        assert [(error.code, error.url) for error in call.errors] == [(12200, s.url + "/voice")]
        assert "say" in [mark.kind for mark in call.recording().marks]
        assert call.ended_by == "twiml"


async def test_relative_urls_start_from_the_document_that_holds_them(stage, stream, noise):
    async with stage() as s:
        s.twiml["/voice"] = "<Redirect method='GET'>deep/er/next?x=1</Redirect>"
        s.twiml["/deep/er/next"] = "<Play>../a.wav?t=1&amp;u=%2F</Play>"
        s.media["/deep/a.wav"] = stream(noise(0.1))
        await s.call()
        await s.pass_time(2)
        assert s.paths()[:3] == ["POST /voice", "GET /deep/er/next", "GET /deep/a.wav"]
        assert s.seen[2].url == s.url + "/deep/a.wav?t=1&u=%2F"


async def test_a_get_carries_its_parameters_and_signature_in_the_url(stage):
    async with stage() as s:
        s.twiml["/voice"] = "<Hangup/>"
        call = await s.call("/voice?bed=calm", method="GET")
        await s.pass_time(1)
        await call.over()
        assert s.seen[0].url.startswith(s.url + "/voice?bed=calm&AccountSid=AC")
        assert RequestValidator(TOKEN).validate(s.seen[0].url, {}, s.seen[0].headers["x-twilio-signature"])


async def test_a_rejected_call_is_never_answered(stage):
    async with stage() as s:
        s.twiml["/voice"] = '<Reject reason="busy"/><Say>unheard</Say>'
        call = await s.call()
        await s.pass_time(1)
        await call.over()
        assert (call.ended_by, call.answered_at) == ("rejected", None)
        assert s.seen[-1].form["CallStatus"] == "busy"
        assert call.recording().mulaw == b""


async def test_a_pause_at_the_very_beginning_is_rung_through(stage):
    async with stage() as s:
        s.twiml["/voice"] = '<Pause length="3"/><Pause length="2"/>'
        call = await s.call()
        await s.pass_time(10)
        assert call.answered_at - s.seen[0].at == pytest.approx(3)
        assert call.recording().seconds == 2


async def test_say_is_as_much_silence_as_the_words_would_take_and_marked(stage):
    async with stage() as s:
        s.twiml["/voice"] = "<Say>" + "word " * 30 + "</Say>"
        call = await s.call()
        await s.pass_time(20)
        recording = call.recording()
        assert recording.seconds == pytest.approx(10, abs=0.5)
        assert not recording.pcm.any()
        assert [mark.kind for mark in recording.marks] == ["answered", "say", "hung_up"]


async def test_say_is_heard_where_a_synthesiser_is_given(stage, noise):
    async with stage(virtual=False, synthesise=lambda words: noise(len(words) / 100)) as s:
        s.twiml["/voice"] = "<Say>ten letters</Say>"
        call = await s.call()
        await call.over()
        assert noise(0.11) in call.recording().mulaw


async def test_a_pause_is_silence_of_its_length(stage, stream, noise):
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/a.wav</Play><Pause length='2'/><Play>/a.wav</Play>"
        s.media["/a.wav"] = stream(noise(0.2))
        call = await s.call()
        await s.pass_time(10)
        assert call.recording().mulaw == noise(0.2) + b"\xff" * 16_000 + noise(0.2)


async def test_verbs_after_a_hangup_are_not_reached(stage):
    async with stage() as s:
        s.twiml["/voice"] = "<Hangup/><Redirect>/voice</Redirect>"
        await s.call()
        await s.pass_time(5)
        assert s.paths() == ["POST /voice", "POST /status"]


async def test_a_live_call_can_be_redirected(stage, stream, noise):
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/a.wav</Play>"
        s.twiml["/agent"] = "<Play>/b.wav</Play>"
        s.media |= {"/a.wav": stream.paced(noise(30)), "/b.wav": stream(noise(1, seed=2))}
        call = await s.call()
        await s.pass_time(2)
        call.redirect(s.url + "/agent")
        await s.pass_time(5)
        await call.over()
        assert s.paths() == ["POST /voice", "GET /a.wav", "POST /agent", "GET /b.wav", "POST /status"]
        assert call.recording().mulaw == noise(30)[:16_000] + noise(1, seed=2)
        assert call.windows[0].closed_by == "player"


async def test_what_was_interrupted_is_not_heard_to_its_end(stage, stream, noise):
    audio = noise(0.5)
    async with stage() as s:
        s.twiml |= {"/voice": "<Play loop='9'>/a.wav</Play>", "/quiet": "<Pause length='3'/>"}
        s.media["/a.wav"] = stream(audio)
        call = await s.call()
        await s.pass_time(0.8)
        call.redirect(s.url + "/quiet")
        await s.pass_time(5)
        assert call.recording().mulaw == audio + audio[:2400] + b"\xff" * 24_000


async def test_a_recording_can_be_looked_at_while_the_call_goes_on(stage, stream, noise, tmp_path):
    audio = noise(9)
    async with stage() as s:
        s.twiml["/voice"] = "<Play>/a.wav</Play>"
        s.media["/a.wav"] = stream.paced(audio)
        call = await s.call()
        await s.pass_time(1)
        assert call.recording().mulaw == audio[:8000]
        await s.pass_time(2)
        recording = call.recording()
        assert recording.mulaw == audio[:24_000]
        recording.save(tmp_path / "call.wav")
        with wave.open(str(tmp_path / "call.wav")) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
            assert file.readframes(24_000) == recording.pcm.astype("<i2").tobytes()


async def test_several_calls_at_once_do_not_disturb_each_other(stage, stream, noise):
    async with stage() as s:
        for name in "abcd":
            s.twiml[f"/{name}"] = f"<Play>/{name}.wav</Play>"
            s.media[f"/{name}.wav"] = stream.paced(noise(3, seed=ord(name)))
        calls = {name: await s.call(f"/{name}") for name in "abcd"}
        await s.pass_time(5)
        for name, call in calls.items():
            assert call.recording().mulaw == noise(3, seed=ord(name))
        assert len({call.call_sid for call in calls.values()}) == 4
