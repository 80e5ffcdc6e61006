"""Both parts of the live check, against the local stack's real processes and a simulated Twilio with its REST API."""

import asyncio
import threading

import pytest
from twilio.rest import Client

from local.stack import Stack
from local.twilio import SimulatedTwilio
from local.twilio_rest import Redirected, TwilioRest
from operations.connect import Numbers, wanted
from operations.verify_live import advice, call_check, stream_check
from operations.verify_live.__main__ import rows_of_call, rows_of_stream, spoken, table
from operations.verify_live.target import Refused, Target

OURS, OTHER = "+15005550006", "+15005550001"
BEFORE = {"voice_url": "https://demo.twilio.com/welcome", "status_callback": ""}
SID = "AC" + "0123456789abcdef" * 2


class Deployed:
    """The stack and Twilio in a thread of their own, as far away as a deployment is."""

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        # Two processors are shared with other tests: a lead of two seconds is what a stall of theirs may last.
        self.stack = Stack(0, settings={"LeadSeconds": 2})
        self.run(self.stack.__aenter__())
        self.token = self.stack.twilio_auth_token
        self.twilio = SimulatedTwilio(self.token, account_sid=SID)
        self.rest = TwilioRest(self.twilio, self.token, numbers={OURS: BEFORE, OTHER: {}})
        self.run(self.rest.__aenter__())
        self.target = Target.of_stack_json(self.stack.state())
        return self

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def __exit__(self, *_):
        for ending in (self.twilio.close(), self.rest.__aexit__(), self.stack.__aexit__(None, None, None)):
            self.run(ending)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def call(self, kept, script, **changed):
        client = Client(SID, self.token, http_client=Redirected(self.rest.url))
        how = {"stack_number": OURS, "other_number": OTHER, "speeches": spoken(), "script": script, **changed}
        return call_check.check(
            self.target,
            client,
            Numbers(client, kept, tell=lambda line: None),
            webhooks=wanted(self.target.voice_url, self.target.status_url, "shipped"),
            media=call_check.media_of(self.rest.url, (SID, self.token)),
            tell=lambda line: None,
            **how,
        )


@pytest.fixture(scope="module")
def deployed():
    with Deployed() as deployed:
        yield deployed


def test_part_one_measures_the_stream_without_a_call(deployed):
    seen = stream_check.check(deployed.target, for_s=3)
    assert 0 < seen.warm.first_byte_s < 5
    assert len(seen.cold.arrivals) > 4
    assert seen.cold.longest_pause_s > 0.1
    assert seen.resumed
    assert seen.ended_after_s is not None
    assert deployed.target.live_calls() == []
    told = table(rows_of_stream(seen))
    assert "first byte, warm" in told
    assert "plays" in told


def test_part_two_hears_the_music_and_both_speeches_and_takes_everything_away(deployed, tmp_path):
    seen = deployed.call(tmp_path, call_check.Script((2.0, 7.0), 14.0))
    assert seen.heard.starts_at_s is not None
    assert [speech.speech_id for speech in seen.heard.speeches] == ["number 1", "number 2"]
    assert all(speech.heard > 0.95 for speech in seen.heard.speeches)
    assert all(0 < seen.latency_s(speech.speech_id) < 8 for speech in seen.heard.speeches)
    assert seen.stopped_after_s is not None
    assert advice.of_call(seen, "stream").settings["Delivery"] == "stream"
    assert "number 2" in table(rows_of_call(seen))
    assert deployed.rest.account.numbers[OURS]["voice_url"] == BEFORE["voice_url"]
    assert "DELETE" in {method for method, _, _ in deployed.rest.requests}
    assert list(tmp_path.iterdir()) == []


def test_a_call_that_nobody_answers_leaves_nothing_behind(deployed, tmp_path, monkeypatch):
    monkeypatch.setattr(call_check, "RINGS_FOR_S", 0.5)
    monkeypatch.setattr(Target, "live_calls", lambda self: [])
    with pytest.raises(Refused, match="no call came in"):
        deployed.call(tmp_path, call_check.Script())
    assert deployed.rest.account.numbers[OURS]["voice_url"] == BEFORE["voice_url"]
    assert deployed.twilio.calls[-1].hung_up_at is not None
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_key_is_told_in_words(deployed):
    wrong = Target(deployed.target.voice_url, "", deployed.target.api_url, "no key", deployed.token)
    with pytest.raises(Refused, match="answered 401"):
        wrong.live_calls()
    unsigned = Target(deployed.target.voice_url, "", deployed.target.api_url, "", "f" * 32)
    with pytest.raises(Refused, match="answered 403"):
        unsigned.webhook(unsigned.voice_url, stream_check.new_call_sid())
