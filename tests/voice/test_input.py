"""What a caller presses or says becomes an event, and the music goes on."""

from xml.etree import ElementTree

import pytest

from duckline.stores import NotReached
from voice.input import Input, call_input
from voice.switchboard import Switchboard

SID = "CA" + "0123456789abcdef" * 2


@pytest.fixture
def heeding(desk, monkeypatch):
    """The desk, its switchboard listening to keys and words."""
    made = Switchboard.__init__

    def listening(self, *args, **kwargs):
        made(self, *args, caller_input="both", **kwargs)

    monkeypatch.setattr(Switchboard, "__init__", listening)
    return desk


def gather_of(response):
    (gather,) = ElementTree.fromstring(response["body"]).iter("Gather")  # noqa: S314 - our own
    return gather


@pytest.mark.parametrize(
    ("form", "given"),
    [
        ({"Digits": "42#"}, Input("42#")),
        ({"SpeechResult": "an agent, please", "Confidence": "0.91"}, Input("", "an agent, please", 0.91)),
        ({"SpeechResult": "yes"}, Input("", "yes", None)),
        ({"SpeechResult": "yes", "Confidence": "high"}, Input("", "yes", None)),
        ({"Digits": "", "SpeechResult": ""}, None),
        ({}, None),
    ],
)
def test_keys_and_words_are_read(form, given):
    assert Input.read(form) == given


def test_the_event_says_what_was_heard_and_no_more():
    assert call_input(SID, Input("7"), 5) == {"type": "call.input", "call_sid": SID, "at_ms": 5, "digits": "7"}
    spoken = call_input(SID, Input("", "yes", 0.9), 5)
    assert (spoken["speech"], spoken["confidence"], "digits" in spoken) == ("yes", 0.9, False)


def test_switched_off_nothing_listens(desk):
    assert [tag for tag, _ in desk.verbs(desk.post("/voice"))] == ["Play", "Redirect"]


def test_switched_on_a_gather_stands_around_the_play(heeding):
    response = heeding.post("/voice")
    assert [tag for tag, _ in heeding.verbs(response)] == ["Gather", "Redirect"]
    gather = gather_of(response)
    assert [child.tag for child in gather] == ["Play"]
    assert gather.attrib == {
        "action": "https://abc123.execute-api.us-east-1.amazonaws.com/voice/input?epoch=1",
        "finishOnKey": "",
        "input": "dtmf speech",
        "method": "POST",
        "speechTimeout": "1",
        "timeout": "1",
    }


def test_a_gather_that_heard_nothing_is_followed_by_the_next_window(heeding):
    first = heeding.post("/voice")
    heeding.plays(840, done=True)
    following = heeding.follow(first)
    assert "epoch=2" in gather_of(following).get("action")
    assert "call.input" not in heeding.events.types


def test_an_empty_result_is_no_event_and_the_next_window(heeding):
    heeding.post("/voice")
    heeding.plays(5, done=True)
    response = heeding.post("/voice/input", "epoch=1", Digits="")
    assert "epoch=2" in gather_of(response).get("action")
    assert "call.input" not in heeding.events.types


def test_input_that_comes_when_the_table_is_down_is_told_all_the_same(heeding, monkeypatch):
    heeding.post("/voice")
    heeding.plays(5, sealed=300)

    def down(*args, **kwargs):
        raise NotReached("the table is down")

    monkeypatch.setattr(type(heeding.calls), "get", down)
    response = heeding.post("/voice/input", "epoch=1", Digits="5")
    assert [tag for tag, _ in heeding.verbs(response)] == ["Pause", "Redirect"]
    assert heeding.events.messages[-1]["digits"] == "5"


def test_who_answered_a_call_that_went_out_is_told_once_and_ends_nothing(desk):
    desk.post("/voice")
    event = desk.request("/voice/status", [("CallSid", SID), ("AccountSid", "AC1"), ("AnsweredBy", "machine_start")])
    assert desk.answer(event) == {"statusCode": 204}
    desk.answer(
        desk.request("/voice/status", [("CallSid", SID), ("CallStatus", "completed"), ("AnsweredBy", "machine_start")])
    )
    assert [event for event in desk.events.messages if event["type"] == "call.answered"] == [
        {"type": "call.answered", "call_sid": SID, "at_ms": desk.now_ms, "answered_by": "machine_start"}
    ]
    assert desk.calls.get(SID).ended
