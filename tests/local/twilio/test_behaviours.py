import pytest

from local.twilio import CUTS_AT_15_S, DOWNLOADS_FIRST, PLAYS_WHILE_DOWNLOADING, Behaviour

PLAY = "<Play>/music.wav</Play>"


def started_s(call, window=0) -> float:
    """From asking for the media to the first frame heard."""
    return call.windows[window].started_at - call.windows[window].asked_at


@pytest.mark.parametrize(
    ("start_buffer_bytes", "starts_at_s"),
    # A lead of one second comes at once, then 2000 bytes every quarter of a second.
    [(0, 0.0), (1600, 0.0), (8000, 0.0), (8001, 0.25), (16_000, 1.0), (32_000, 3.0), (65_536, 7.25)],
)
async def test_a_it_plays_once_the_start_buffer_is_full(stage, stream, noise, start_buffer_bytes, starts_at_s):
    audio = noise(10)
    async with stage(Behaviour(start_buffer_bytes=start_buffer_bytes)) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream.paced(audio)
        call = await s.call()
        await s.pass_time(20)
        assert started_s(call) == pytest.approx(starts_at_s, abs=0.02)
        assert call.recording().mulaw.endswith(audio)
        assert call.underruns == []


async def test_a_the_start_buffer_is_counted_in_bytes_of_the_body_also_for_pcm(stage, stream, noise, wav_header):
    body = noise(4)
    async with stage(Behaviour(start_buffer_bytes=16_000)) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream.paced(body, header=wav_header(len(body), tag=1))
        call = await s.call()
        await s.pass_time(20)
        assert started_s(call) == pytest.approx(1.0, abs=0.02)


async def test_b_the_request_is_cut_at_15_seconds_and_what_came_is_played(stage, stream, noise):
    audio = noise(60)
    async with stage(CUTS_AT_15_S) as s:
        s.twiml["/voice"] = PLAY + "<Redirect>/next</Redirect>"
        s.media["/music.wav"] = stream.paced(audio)
        call = await s.call()
        await s.pass_time(30)
        await call.over()
        (window,) = call.windows
        assert (window.closed_by, window.truncated) == ("limit", True)
        assert s.seen[1].client_left_at - s.seen[1].at == pytest.approx(15)
        # One second of lead and a quarter of a second for each that passed, the fifteenth no more.
        assert call.recording().mulaw[: 15 * 8000] == audio[: 15 * 8000]
        redirect = s.seen[2]
        assert redirect.at - s.seen[1].at == pytest.approx(window.received_bytes / 8000, abs=0.05)
        assert call.underruns == []


async def test_b_a_window_shorter_than_that_is_not_cut(stage, stream, noise):
    audio = noise(13)
    async with stage(CUTS_AT_15_S) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream.paced(audio)
        call = await s.call()
        await s.pass_time(30)
        assert call.recording().mulaw == audio
        assert (call.windows[0].closed_by, call.windows[0].truncated) == ("server", False)


async def test_c_nothing_is_heard_before_all_is_there(stage, stream, noise):
    audio = noise(8)
    async with stage(DOWNLOADS_FIRST) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream(audio, pieces=[(0.0, 32_000)] + [(n / 4, 2000) for n in range(1, 17)])
        call = await s.call()
        await s.pass_time(4)
        assert not call.recording().pcm.any()
        await s.pass_time(20)
        assert started_s(call) == pytest.approx(4.0, abs=0.02)
        assert call.recording().mulaw == b"\xff" * 200 * 160 + audio
        assert call.underruns == []


async def test_c_a_body_that_comes_at_once_is_heard_at_once(stage, stream, noise):
    async with stage(DOWNLOADS_FIRST) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream(noise(10))
        call = await s.call()
        await s.pass_time(20)
        assert call.recording().mulaw == noise(10)


@pytest.mark.parametrize("kind", [PLAYS_WHILE_DOWNLOADING, DOWNLOADS_FIRST])
async def test_the_three_kinds_return_for_more_at_the_times_that_tell_them_apart(stage, stream, noise, kind):
    """Eight seconds, half at once and half paced (DESIGN.md section 6): (a) is back after 8 s, (c) after 12 s."""
    async with stage(kind) as s:
        s.twiml["/voice"] = PLAY + "<Redirect>/next</Redirect>"
        s.twiml["/next"] = "<Hangup/>"
        s.media["/music.wav"] = stream(noise(8), pieces=[(0.0, 32_000)] + [(n / 4, 2000) for n in range(1, 17)])
        await s.call()
        await s.pass_time(20)
        back_after_s = s.seen[2].at - s.seen[1].at
        assert back_after_s == pytest.approx(12 if kind.downloads_first else 8, abs=0.05)


async def test_head_first(stage, stream, noise):
    async with stage(Behaviour(head_first=True)) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream(noise(1))
        call = await s.call()
        await s.pass_time(5)
        assert s.paths() == ["POST /voice", "HEAD /music.wav", "GET /music.wav", "POST /status"]
        assert [request.kind for request in call.log] == ["voice", "head", "media", "status"]
        assert call.recording().mulaw == noise(1)


async def test_head_first_a_head_that_is_refused_is_a_play_that_fails(stage, stream, noise):
    async with stage(Behaviour(head_first=True)) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream(noise(1), status=405)
        call = await s.call()
        await s.pass_time(5)
        assert s.paths() == ["POST /voice", "HEAD /music.wav", "POST /status"]
        assert [error.code for error in call.errors] == [11200]


@pytest.mark.parametrize(("status", "headers"), [(200, {}), (206, {"Content-Range": "bytes 0-8057/8058"})])
async def test_range_header_may_be_ignored_or_obeyed(stage, stream, noise, status, headers):
    async with stage(Behaviour(range_header=True)) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream(noise(1), status=status, headers=headers)
        call = await s.call()
        await s.pass_time(5)
        assert s.seen[1].headers["range"] == "bytes=0-"
        assert call.recording().mulaw == noise(1)
        assert call.errors == []


async def test_repeated_get_the_second_is_heard_and_the_first_read_on(stage, stream, noise):
    async with stage(Behaviour(repeated_get=True)) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream.paced(noise(3), counted=False)
        call = await s.call()
        await s.pass_time(10)
        await call.over()
        assert s.paths() == ["POST /voice", "GET /music.wav", "GET /music.wav", "POST /status"]
        assert [seen.client_left_at for seen in s.seen[1:3]] == [None, None]
        assert [seen.sent_bytes for seen in s.seen[1:3]] == [24_058, 24_058]
        assert call.recording().mulaw.endswith(noise(3))
        assert call.underruns == []


async def test_closes_at_once_and_then_fetches_in_earnest(stage, stream, noise):
    async with stage(Behaviour(closes_at_once=True)) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream.paced(noise(3), counted=False)
        call = await s.call()
        await s.pass_time(10)
        await call.over()
        assert s.paths() == ["POST /voice", "GET /music.wav", "GET /music.wav", "POST /status"]
        assert s.seen[1].client_left_at is not None
        assert s.seen[1].sent_bytes < 24_058
        assert s.seen[2].client_left_at is None
        assert call.recording().mulaw.endswith(noise(3))


async def test_fetch_goes_on_after_hangup_until_the_server_ends_it(stage, stream, noise):
    async with stage(Behaviour(fetch_goes_on_after_hangup=True)) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream.paced(noise(9))
        call = await s.call()
        await s.pass_time(2.99)
        await call.hang_up()
        (window,) = call.windows
        assert (window.closed_by, call.stream_ended_at) == ("", None)
        await s.pass_time(10)
        await call.media_closed()
        assert s.seen[1].client_left_at is None
        assert window.received_bytes == 72_058
        assert (window.closed_by, window.truncated) == ("server", False)
        assert call.stream_ended_at - window.asked_at == pytest.approx(8)
        assert call.recording().mulaw == noise(9)[:24_000]
        assert call.underruns == []


async def test_fetch_goes_on_after_hangup_but_not_after_anything_else(stage, stream, noise):
    async with stage(Behaviour(fetch_goes_on_after_hangup=True)) as s:
        s.twiml |= {"/voice": PLAY, "/quiet": "<Pause length='3'/>"}
        s.media["/music.wav"] = stream.paced(noise(9))
        call = await s.call()
        await s.pass_time(2)
        call.redirect(s.url + "/quiet")
        await s.pass_time(1)
        assert s.seen[1].client_left_at - s.seen[1].at == pytest.approx(2, abs=0.02)
        assert call.windows[0].closed_by == "player"


async def test_slow_reader_takes_no_more_than_its_bytes_a_second(stage, stream, noise):
    async with stage(Behaviour(slow_reader_bytes_per_s=16_000)) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream(noise(8), counted=False)
        call = await s.call()
        await s.pass_time(20)
        await call.over()
        (window,) = call.windows
        came_s = [arrival.at - window.asked_at for arrival in window.arrivals]
        assert came_s[-1] == pytest.approx(4, abs=0.1)
        assert max(arrival.size_bytes for arrival in window.arrivals) <= 320
        assert call.recording().mulaw.endswith(noise(8))
        assert call.underruns == []


async def test_slow_reader_slower_than_the_sound_hears_gaps(stage, stream, noise):
    async with stage(Behaviour(slow_reader_bytes_per_s=4000)) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream(noise(2), counted=False)
        call = await s.call()
        await s.pass_time(20)
        assert len(call.underruns) * 0.02 == pytest.approx(1.6, abs=0.1)
        assert call.late_chunks


async def test_slow_reader_holds_the_server_back(stage, stream, noise):
    """The server cannot send it all ahead: what the reader does not take fills the sockets and then waits."""
    async with stage(Behaviour(slow_reader_bytes_per_s=8000)) as s:
        s.twiml["/voice"] = PLAY
        audio = noise(1) * 1200
        s.media["/music.wav"] = stream(audio, pieces=[(0.0, 4_800_000), (0.1, 4_800_000)], counted=False)
        call = await s.call()
        await s.pass_time(5)
        assert s.seen[1].sent_bytes < len(audio)
        await call.hang_up()


async def test_joined_chunks_come_in_fewer_larger_pieces(stage, stream, noise):
    audio = noise(6)
    async with stage(Behaviour(joins_chunks_to_bytes=8192)) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream.paced(audio, lead_s=2)
        call = await s.call()
        await s.pass_time(20)
        (window,) = call.windows
        assert all(arrival.size_bytes >= 8192 for arrival in window.arrivals[:-1])
        assert sum(arrival.size_bytes for arrival in window.arrivals) == 48_058
        assert call.recording().mulaw.endswith(audio)
        assert call.underruns == []


async def test_joined_chunks_larger_than_the_lead_are_late(stage, stream, noise):
    audio = noise(6)
    async with stage(Behaviour(joins_chunks_to_bytes=8192)) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream.paced(audio, lead_s=0.45)
        call = await s.call()
        await s.pass_time(20)
        await call.over()
        assert call.late_chunks
        played = call.recording().mulaw.replace(b"\xff", b"")
        assert played == audio


async def test_webhooks_twice_each_is_sent_again_and_the_second_answer_obeyed(stage, stream, noise):
    async with stage(Behaviour(webhooks_twice=True)) as s:
        answers = iter(["<Play>/lost.wav</Play>", PLAY])
        s.twiml["/voice"] = lambda seen: next(answers)
        s.media["/music.wav"] = stream(noise(1))
        call = await s.call()
        await s.pass_time(5)
        await call.over()
        assert s.paths() == ["POST /voice", "POST /voice", "GET /music.wav", "POST /status", "POST /status"]
        first, second = s.seen[:2]
        assert first.form == second.form
        token = "i-twilio-idempotency-token"
        assert first.headers[token] == second.headers[token]
        assert s.seen[3].headers[token] == s.seen[4].headers[token] != first.headers[token]
        assert call.recording().mulaw == noise(1)


async def test_webhooks_twice_a_first_answer_of_no_use_does_no_harm(stage):
    async with stage(Behaviour(webhooks_twice=True)) as s:
        answers = iter(["<broken>", "<Pause/><Pause/>"])
        s.twiml["/voice"] = lambda seen: next(answers)
        call = await s.call()
        await s.pass_time(5)
        await call.over()
        assert (call.ended_by, call.errors) == ("twiml", [])


async def test_oddities_can_come_together(stage, stream, noise):
    odd = Behaviour(
        downloads_first=True,
        head_first=True,
        range_header=True,
        repeated_get=True,
        closes_at_once=True,
        joins_chunks_to_bytes=4096,
        webhooks_twice=True,
    )
    async with stage(odd) as s:
        s.twiml["/voice"] = PLAY
        s.media["/music.wav"] = stream(noise(2), counted=False)
        call = await s.call()
        await s.pass_time(10)
        await call.over()
        assert call.recording().mulaw.endswith(noise(2))
        assert call.errors == []
        assert s.paths().count("GET /music.wav") == 3


@pytest.mark.parametrize("wrong", [{"start_buffer_bytes": -1}, {"start_buffer_bytes": 65_537}, {"media_limit_s": 0}])
def test_a_behaviour_that_cannot_be_is_refused_with_what_would_be_right(wrong):
    with pytest.raises(ValueError, match=r"is .*right"):
        Behaviour(**wrong)
