import pytest

from local.twilio.gather import Collector, Input
from local.twilio.twiml import Gather

GATHER = '<Gather numDigits="1" action="/input"><Play>/music.wav</Play></Gather><Redirect>/next</Redirect>'


def key(content: str, at: float = 0.0) -> Input:
    return Input("dtmf", content, at)


def words(content: str, at: float = 0.0) -> Input:
    return Input("speech", content, at)


def test_keys_are_collected_up_to_the_number_asked_for():
    collector = Collector(Gather(num_digits=2))
    collector.take(key("1"))
    assert not collector.finished
    collector.take(key("*"))
    assert collector.finished
    assert collector.form()["Digits"] == "1*"


def test_the_finishing_key_ends_and_is_not_a_digit():
    collector = Collector(Gather())
    for pressed in "12#":
        collector.take(key(pressed))
    assert collector.finished
    assert (collector.form()["Digits"], collector.form()["FinishedOnKey"]) == ("12", "#")


def test_without_a_finishing_key_it_is_a_digit_like_others():
    collector = Collector(Gather(finish_on_key=""))
    collector.take(key("#"))
    assert not collector.finished
    assert collector.form()["Digits"] == "#"


def test_nothing_is_told_of_nothing_unless_that_is_asked_for():
    assert Collector(Gather()).form() is None
    assert Collector(Gather(action_on_empty_result=True)).form()["Digits"] == ""


def test_it_listens_for_its_timeout_after_the_prompts_and_after_each_key():
    collector = Collector(Gather(timeout_s=5))
    assert collector.deadline(100.0) == 105.0
    collector.take(key("1", at=103.0))
    assert collector.deadline(100.0) == 108.0


@pytest.mark.parametrize(("speech_timeout_s", "deadline"), [(2, 12.0), (None, 11.0)])
def test_speech_ends_after_a_pause(speech_timeout_s, deadline):
    collector = Collector(Gather(inputs=frozenset({"speech"}), speech_timeout_s=speech_timeout_s))
    collector.take(words("hello", at=9.0))
    collector.take(words("there", at=10.0))
    assert collector.deadline(0.0) == deadline
    assert collector.form()["SpeechResult"] == "hello there"


def test_only_what_is_asked_for_is_taken_and_only_that_interrupts():
    dtmf, speech = Collector(Gather()), Collector(Gather(inputs=frozenset({"speech"}), barge_in=False))
    assert (dtmf.takes(key("1")), dtmf.takes(words("a")), dtmf.interrupts(key("1"))) == (True, False, True)
    assert (speech.takes(words("a")), speech.interrupts(words("a")), speech.interrupts(key("1"))) == (
        True,
        False,
        False,
    )


async def test_the_first_key_stops_the_music_and_is_told(stage, stream, noise):
    async with stage() as s:
        s.twiml |= {"/voice": GATHER, "/input": "<Hangup/>"}
        s.media["/music.wav"] = stream.paced(noise(30))
        call = await s.call()
        await s.pass_time(4)
        call.press("7")
        await s.pass_time(0.1)
        await call.over()
        assert s.paths() == ["POST /voice", "GET /music.wav", "POST /input", "POST /status"]
        _, media, told, _ = s.seen
        assert (told.form["Digits"], told.form["CallStatus"]) == ("7", "in-progress")
        assert told.at - media.at == pytest.approx(4, abs=0.02)
        assert media.client_left_at == pytest.approx(told.at)
        assert call.recording().mulaw == noise(30)[: 4 * 8000]
        assert call.windows[0].closed_by == "player"
        assert ("dtmf", "7") in [(mark.kind, mark.detail) for mark in call.recording().marks]


async def test_speech_stops_the_music_and_is_told_after_a_pause(stage, stream, noise):
    async with stage() as s:
        s.twiml["/voice"] = '<Gather input="speech" speechTimeout="2" action="/input"><Play>/music.wav</Play></Gather>'
        s.twiml["/input"] = "<Hangup/>"
        s.media["/music.wav"] = stream.paced(noise(30))
        call = await s.call()
        await s.pass_time(4)
        call.say("an agent, please")
        await s.pass_time(10)
        told = s.seen[2]
        assert told.form["SpeechResult"] == "an agent, please"
        assert 0 < float(told.form["Confidence"]) <= 1
        assert told.at - s.seen[1].at == pytest.approx(6, abs=0.02)
        assert call.recording().mulaw == noise(30)[: 4 * 8000] + b"\xff" * 16_000


async def test_with_no_input_the_timeout_starts_after_the_music_and_the_next_verb_follows(stage, stream, noise):
    async with stage() as s:
        s.twiml |= {"/voice": GATHER, "/next": "<Hangup/>"}
        s.media["/music.wav"] = stream.paced(noise(3))
        call = await s.call()
        await s.pass_time(20)
        assert s.paths() == ["POST /voice", "GET /music.wav", "POST /next", "POST /status"]
        assert s.seen[2].at - call.answered_at == pytest.approx(3 + 5)


async def test_no_input_is_told_where_that_is_asked_for(stage):
    async with stage() as s:
        s.twiml["/voice"] = '<Gather timeout="2" actionOnEmptyResult="true" action="/input" method="GET"/>'
        s.twiml["/input"] = "<Hangup/>"
        await s.call()
        await s.pass_time(20)
        assert s.paths() == ["POST /voice", "GET /input", "POST /status"]
        assert "&Digits=&" in s.seen[1].url


async def test_without_an_action_the_same_url_is_asked(stage):
    async with stage() as s:
        s.twiml["/voice"] = lambda seen: "<Hangup/>" if "Digits" in seen.form else '<Gather numDigits="3"/>'
        call = await s.call("/voice?bed=calm")
        await s.pass_time(1)
        call.press("123")
        await s.pass_time(1)
        assert s.seen[1].url.endswith("/voice?bed=calm")
        assert s.seen[1].form["Digits"] == "123"


async def test_keys_may_come_one_by_one(stage):
    async with stage() as s:
        s.twiml |= {
            "/voice": '<Gather timeout="3" action="/input"><Pause length="60"/></Gather>',
            "/input": "<Hangup/>",
        }
        call = await s.call()
        for pressed in "42":
            await s.pass_time(2)
            call.press(pressed)
        await s.pass_time(10)
        assert s.seen[1].form["Digits"] == "42"
        assert s.seen[1].at - call.answered_at == pytest.approx(4 + 3)


async def test_a_key_that_nobody_listens_for_is_lost(stage, stream, noise):
    async with stage() as s:
        s.twiml["/voice"] = "<Gather timeout='1'/><Play>/music.wav</Play><Gather timeout='1'/>"
        s.media["/music.wav"] = stream(noise(1))
        call = await s.call()
        await s.pass_time(1.5)
        call.press("1")
        call.say("hello")
        await s.pass_time(10)
        assert s.paths() == ["POST /voice", "GET /music.wav", "POST /status"]
        kinds = [mark.kind for mark in call.recording().marks]
        assert "dtmf.unheard" in kinds
        assert "speech.unheard" in kinds


async def test_several_plays_are_all_fetched_before_the_first_is_heard(stage, stream, noise):
    async with stage() as s:
        s.twiml["/voice"] = "<Gather timeout='1'><Say>One</Say><Play>/a.wav</Play><Play>/b.wav</Play></Gather>"
        s.media["/a.wav"] = stream(noise(1, seed=1))
        s.media["/b.wav"] = stream(noise(1, seed=2), pieces=[(0, 4000), (3, 4000)])
        call = await s.call()
        await s.pass_time(20)
        assert s.seen[1].at == s.seen[2].at
        recording = call.recording()
        (said,) = [mark for mark in recording.marks if mark.kind == "say"]
        assert said.at_s == pytest.approx(3, abs=0.02)
        assert noise(1, seed=1) + noise(1, seed=2) in recording.mulaw
        assert call.underruns == []


async def test_hanging_up_while_it_listens_closes_everything(stage, stream, noise):
    async with stage() as s:
        s.twiml["/voice"] = GATHER
        s.media["/music.wav"] = stream.paced(noise(30))
        call = await s.call()
        await s.pass_time(2.99)
        await call.hang_up()
        await s.pass_time(1)
        assert s.paths() == ["POST /voice", "GET /music.wav", "POST /status"]
        assert s.seen[1].client_left_at == pytest.approx(call.hung_up_at)
        assert call.recording().mulaw == noise(30)[:24_000]
        assert call.windows[0].closed_by == "caller"


@pytest.mark.parametrize("keys", ["", "A", "1 2"])
async def test_keys_that_no_telephone_has_are_refused(stage, keys):
    async with stage() as s:
        s.twiml["/voice"] = "<Pause/>"
        call = await s.call()
        with pytest.raises(ValueError, match="are right"):
            call.press(keys)
