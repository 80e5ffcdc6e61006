"""Twilio is let in and answered; strangers are not, and trouble never hangs up on a caller."""

import json
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from duckline.records import SpeechRecord, greeting_id
from duckline.schedule import abandoned
from duckline.script import TEXT_LIMIT
from duckline.stores import NotReached
from duckline.stream_token import Token
from voice.greeting import KEPT

SID = "CA" + "0123456789abcdef" * 2
HOST = "abc123.execute-api.us-east-1.amazonaws.com"
TOKEN, OLD_TOKEN = "a" * 32, "b" * 32
FORM = [("CallSid", SID), ("From", "+14158675310"), ("To", "+18005551212"), ("CallStatus", "ringing")]


class Untouchable:
    """A store that must not be asked."""

    def __getattr__(self, name):
        raise AssertionError(f"{name} was asked for before the signature was known to be right")


class Unreachable:
    """A table that is down."""

    def __getattr__(self, name):
        def ask(*arguments, **named):
            raise NotReached("table")

        return ask


def next_url(**query):
    return f"https://{HOST}/voice/next?" + "&".join(f"{name}={value}" for name, value in query.items())


# -- the path of a call ----------------------------------------------------------------------------


def test_a_call_gets_one_play_and_a_redirect(desk):
    response = desk.post("/voice")
    play, redirect = desk.verbs(response)
    assert play[0] == "Play"
    assert play[1].startswith("https://stream.example.com/stream/")
    assert play[1].endswith(".wav")
    assert redirect == ("Redirect", next_url(epoch=1))
    assert desk.opened(response) == Token(SID, 1)


def test_the_query_chooses_the_music(desk):
    desk.post("/voice", "bed=calm")
    assert desk.calls.get(SID).beds[0].name == "calm"


def test_the_same_webhook_twice_gives_the_same_twiml(desk):
    first = desk.post("/voice", "bed=calm")
    desk.pass_s(4)
    assert desk.post("/voice", "bed=calm") == first
    desk.plays(840, done=True)
    second = desk.post("/voice/next", "epoch=1")
    desk.pass_s(4)
    assert desk.post("/voice/next", "epoch=1") == second


def test_the_twiml_of_a_window_stays_the_same_when_its_stream_is_fetched_again(desk):
    first = desk.post("/voice")
    desk.plays(3)
    desk.plays(3)
    assert desk.post("/voice") == first


def test_windows_follow_one_another_by_the_redirects(desk):
    response = desk.post("/voice")
    for epoch in range(2, 6):
        desk.plays(840, done=True)
        response = desk.follow(response)
        assert desk.opened(response) == Token(SID, epoch)
        assert desk.verbs(response)[-1] == ("Redirect", next_url(epoch=epoch))
    assert desk.calls.get(SID).window_from == 4 * 42_000


@pytest.mark.parametrize("query", ["", "epoch=", "epoch=soon", "epoch=-1"])
def test_a_redirect_without_a_window_means_the_current_one(desk, query):
    desk.post("/voice")
    desk.plays(840, done=True)
    assert desk.opened(desk.post("/voice/next", query)) == Token(SID, 2)


def test_a_token_outlives_its_window_and_not_much_more(desk):
    response = desk.post("/voice")
    desk.pass_s(840 + 60)
    assert desk.opened(response)
    desk.pass_s(120)
    with pytest.raises(Exception, match="expired"):
        desk.opened(response)


def test_input_goes_on_with_the_music(desk):
    desk.post("/voice")
    desk.plays(30, sealed=1550)
    assert desk.opened(desk.post("/voice/input", "epoch=1", Digits="1")) == Token(SID, 2)
    assert desk.calls.get(SID).window_from in range(1550, 1600)


@pytest.mark.parametrize("status", ["completed", "busy", "failed", "no-answer", "canceled"])
def test_a_status_that_ends_the_call_is_answered_with_nothing_and_the_call_is_over(desk, status):
    desk.post("/voice")
    assert desk.post("/voice/status", CallStatus=status, CallDuration="12") == {"statusCode": 204}
    assert desk.calls.get(SID).end_reason == status
    assert desk.verbs(desk.post("/voice/next", "epoch=1")) == [("Hangup", "")]


def test_a_status_that_ends_nothing_is_answered_the_same(desk):
    desk.post("/voice")
    assert desk.post("/voice/status", CallStatus="ringing") == {"statusCode": 204}
    assert not desk.calls.get(SID).ended


def test_a_call_whose_end_came_first_is_hung_up(desk):
    desk.post("/voice/status", CallStatus="completed")
    assert desk.verbs(desk.post("/voice")) == [("Hangup", "")]


def test_a_window_that_never_opened_is_followed_by_the_plain_copy_and_another_try(desk):
    desk.post("/voice", "bed=calm")
    desk.pass_s(0.5)
    rest = desk.post("/voice/next", "epoch=1")
    assert desk.verbs(rest) == [
        ("Play", "https://bucket.example.com/beds/v-calm/plain.wav?X-Amz-Signature=0"),
        ("Redirect", next_url(epoch=1, rested=1)),
    ]
    desk.pass_s(60)
    assert desk.opened(desk.follow(rest)) == Token(SID, 2)


def test_a_call_for_which_there_is_no_room_hears_the_plain_copy_of_its_bed_and_asks_again(desk):
    desk.is_full = True
    full = desk.post("/voice", "bed=calm")
    assert desk.verbs(full) == [
        ("Play", "https://bucket.example.com/beds/v-calm/plain.wav?X-Amz-Signature=0"),
        ("Redirect", next_url(epoch=0, bed="calm")),
    ]
    desk.pass_s(60)
    assert desk.verbs(desk.follow(full)) == desk.verbs(full)
    desk.is_full = False
    assert desk.opened(desk.follow(full)) == Token(SID, 1)
    assert desk.opened(desk.follow(full)) == Token(SID, 1)  # the same webhook twice
    assert desk.calls.get(SID).beds[0].name == "calm"


def test_a_bed_without_a_plain_copy_rests_in_a_pause(desk):
    desk.plain_url = lambda version: None
    rest = desk.follow(desk.post("/voice"))
    assert desk.verbs(rest) == [("Pause", "2"), ("Redirect", next_url(epoch=1, rested=1))]
    desk.pass_s(2.1)
    assert desk.opened(desk.follow(rest)) == Token(SID, 2)


def test_a_public_url_stands_in_the_redirects(desk):
    desk.settings = replace(desk.settings, public_url="https://calls.example.com/phone")
    url = "https://calls.example.com/phone/voice"
    response = desk.answer(desk.request("/voice", FORM, url=url))
    assert desk.verbs(response)[-1] == ("Redirect", "https://calls.example.com/phone/voice/next?epoch=1")


def test_no_event_and_no_work_has_a_phone_number(desk):
    desk.post("/voice")
    desk.plays(10, sealed=500)
    desk.speak("sp_1")
    desk.post("/voice/status", CallStatus="completed")
    told = json.dumps(desk.events.messages + desk.work.messages)
    assert "sp_1" in told
    assert "+1" not in told


# -- a greeting ------------------------------------------------------------------------------------


def greeted(desk):
    """What the call begins with: the words that are kept for its first speech."""
    [speech] = desk.calls.get(SID).speeches
    assert (speech.speech_id, speech.order, speech.parts, speech.more) == (greeting_id(SID), 1, (), True)
    return desk.speeches.get(SID, speech.speech_id).text


def test_a_greeting_is_the_first_speech_and_is_given_to_the_work_queue(desk):
    response = desk.post("/voice", urlencode({"bed": "calm", "greeting": " Hello!  Good\tmorning, Zoë. "}))
    assert desk.verbs(response)[0][0] == "Play"
    assert greeted(desk) == "Hello! Good morning, Zoë."
    assert desk.work.messages == [{"kind": "speak", "call_sid": SID}]
    assert abandoned(desk.calls.get(SID), desk.now_ms)
    started, scheduled = desk.events.messages
    assert (started["type"], started["bed"]) == ("call.started", "calm")
    assert (scheduled["type"], scheduled["speech_id"]) == ("speech.scheduled", greeting_id(SID))


def test_a_speech_that_is_asked_for_at_once_comes_after_the_greeting(desk):
    desk.post("/voice", "greeting=Hello")
    desk.speak("sp_1")
    assert [speech.speech_id for speech in desk.calls.get(SID).speeches] == [greeting_id(SID), "sp_1"]


def test_a_webhook_that_comes_twice_greets_once(desk):
    first = desk.post("/voice", "greeting=Hello")
    desk.pass_s(1)
    assert desk.post("/voice", "greeting=Hello") == first
    assert greeted(desk) == "Hello"
    assert len(desk.work.messages) == 1
    assert desk.events.types == ["call.started", "speech.scheduled"]


def test_the_greeting_of_a_call_that_was_placed_is_kept_already(desk):
    desk.speeches.keep(SpeechRecord(SID, greeting_id(SID), "greeting", text="Hello, this is the garage."))
    desk.post("/voice", f"greeting={KEPT}")
    assert greeted(desk) == "Hello, this is the garage."


@pytest.mark.parametrize(
    ("words", "reason"), [("x" * (TEXT_LIMIT + 1), "at most 3000"), ("...", "nothing to say"), (" ", "nothing to say")]
)
def test_a_greeting_that_cannot_be_spoken_is_told_of_and_costs_the_caller_no_music(desk, caplog, words, reason):
    response = desk.post("/voice", urlencode({"greeting": words}))
    assert desk.verbs(response)[0][0] == "Play"
    assert desk.calls.get(SID).speeches == ()
    assert desk.work.messages == []
    [record] = caplog.records
    assert record.message == "greeting not spoken"
    assert reason in record.reason


def test_the_longest_greeting_is_heard(desk):
    desk.post("/voice", urlencode({"greeting": "é" * (TEXT_LIMIT // 2)}))
    assert len(greeted(desk)) == TEXT_LIMIT // 2


@pytest.mark.parametrize("query", ["", "greeting="])
def test_without_a_greeting_nothing_is_said(desk, query):
    desk.post("/voice", query)
    assert desk.calls.get(SID).speeches == ()
    assert desk.speeches.records == {}


def test_trouble_and_a_full_house_carry_the_greeting_on(desk):
    calls, desk.calls = desk.calls, Unreachable()
    trouble = desk.post("/voice", "greeting=Good+morning")
    desk.calls, desk.is_full = calls, True
    full = desk.follow(trouble)
    desk.is_full = False
    assert desk.verbs(desk.follow(full))[0][0] == "Play"
    assert greeted(desk) == "Good morning"


def test_a_table_that_cannot_keep_the_greeting_is_asked_again(desk):
    speeches, desk.speeches = desk.speeches, Unreachable()
    trouble = desk.post("/voice", "greeting=Hello")
    assert desk.verbs(trouble)[0] == ("Pause", "1")
    assert desk.calls.calls == {}
    desk.speeches = speeches
    desk.follow(trouble)
    assert greeted(desk) == "Hello"


# -- letting in ------------------------------------------------------------------------------------


def unsigned(event):
    del event["headers"]["x-twilio-signature"]


def signed_with_nothing(event):
    event["headers"]["x-twilio-signature"] = ""


def wrongly_signed(event):
    event["headers"]["x-twilio-signature"] = "L/OH5YylLD5NRKLltdqwSvS0BnU="


def too_large(event):
    event["body"] = "a" * 100_000


@pytest.mark.parametrize("strange", [unsigned, signed_with_nothing, wrongly_signed, too_large])
@pytest.mark.parametrize("route", ["/voice", "/voice/next", "/voice/status", "/voice/input"])
def test_a_stranger_is_refused_and_nothing_is_looked_up(desk, route, strange):
    desk.calls = desk.beds = desk.speeches = desk.findings = Untouchable()
    event = desk.request(route, FORM)
    strange(event)
    response = desk.answer(event)
    problem = json.loads(response["body"])
    assert response["statusCode"] == problem["status"] == 403
    assert response["headers"] == {"Content-Type": "application/problem+json"}
    assert problem["title"] == "Not allowed"
    assert len(problem["detail"]) > 20


@pytest.mark.parametrize("strange", [unsigned, signed_with_nothing, too_large])
def test_for_what_is_not_signed_at_all_no_secret_is_asked_for(desk, strange):
    event = desk.request("/voice", FORM)
    strange(event)
    desk.answer(event)
    assert desk.vault.asked == []


def test_a_refusal_says_for_which_address_it_is_and_what_may_be_wrong(desk, caplog):
    event = desk.request("/voice", FORM, query="bed=calm", token=OLD_TOKEN)
    detail = json.loads(desk.answer(event)["body"])["detail"]
    assert f"https://{HOST}/voice;" in detail
    assert "DUCKLINE_PUBLIC_URL" in detail
    assert [record.message for record in caplog.records] == ["webhook refused"]
    assert "+1415" not in caplog.text


def test_a_token_that_is_being_rotated_is_good_in_its_old_form_too(desk):
    assert desk.answer(desk.request("/voice", FORM, token=OLD_TOKEN))["statusCode"] == 403
    desk.vault.older["twilio-token"] = (OLD_TOKEN,)
    assert desk.answer(desk.request("/voice", FORM, token=OLD_TOKEN))["statusCode"] == 200
    assert desk.answer(desk.request("/voice", FORM, token=TOKEN))["statusCode"] == 200


# -- trouble ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "query", "again"),
    [
        ("/voice", "", {"epoch": 0}),
        ("/voice", "bed=calm&else=1", {"bed": "calm", "epoch": 0}),
        ("/voice/next", "epoch=3", {"epoch": 3}),
        ("/voice/next", "epoch=3&rested=1", {"epoch": 3, "rested": 1}),
        ("/voice/input", "epoch=3", {"epoch": 3}),
    ],
)
def test_trouble_keeps_the_line_alive_and_asks_for_the_same_again(desk, caplog, route, query, again):
    desk.calls = desk.beds = Unreachable()
    asked_at = {"asked": desk.now_ms}
    assert desk.verbs(desk.post(route, query)) == [("Pause", "1"), ("Redirect", next_url(**asked_at, **again))]
    [record] = caplog.records
    assert (record.message, record.call_sid, record.route) == ("webhook failed", SID, route)
    assert record.exc_info
    assert "+1415" not in caplog.text


def test_a_call_that_came_in_during_trouble_gets_its_music_afterwards(desk):
    calls, desk.calls = desk.calls, Unreachable()
    trouble = desk.post("/voice", "bed=calm")
    desk.calls = calls
    desk.pass_s(1.2)
    assert desk.opened(desk.follow(trouble)) == Token(SID, 1)
    assert desk.calls.get(SID).beds[0].name == "calm"


def test_a_call_that_was_kept_though_its_answer_was_lost_gets_its_first_window(desk):
    desk.post("/voice")
    calls, desk.calls = desk.calls, Unreachable()
    trouble = desk.post("/voice")
    desk.calls = calls
    assert desk.opened(desk.follow(trouble)) == Token(SID, 1)


def test_trouble_at_the_end_of_a_call_is_logged_and_answered_with_nothing(desk, caplog):
    desk.calls = Unreachable()
    assert desk.post("/voice/status", CallStatus="completed") == {"statusCode": 204}
    assert [record.message for record in caplog.records] == ["webhook failed"]


def test_secrets_that_cannot_be_had_do_not_hang_up_on_the_caller(desk):
    desk.calls = Untouchable()
    desk.vault.failure = NotReached("secrets manager")
    assert desk.verbs(desk.post("/voice"))[0] == ("Pause", "1")


def test_a_webhook_without_a_call_keeps_the_line_alive_and_is_logged(desk, caplog):
    response = desk.answer(desk.request("/voice", [("From", "+14158675310")]))
    assert desk.verbs(response)[0] == ("Pause", "1")
    assert "came without a CallSid" in caplog.text


@pytest.mark.parametrize("route", ["/voice", "/voice/next", "/voice/status", "/voice/input"])
@pytest.mark.parametrize("sid", ["junk", "CA1", "BED", "CA" + "g" * 32, SID + "0", SID + "\n", "x" * 5000])
def test_what_is_no_call_sid_creates_nothing_though_it_is_signed(desk, caplog, route, sid):
    response = desk.post(route, CallSid=sid, CallStatus="completed")
    if route == "/voice/status":
        assert response == {"statusCode": 204}
    else:
        assert [verb for verb, _ in desk.verbs(response)] == ["Pause", "Redirect"]
    assert desk.calls.calls == {}
    assert desk.events.messages == []
    assert "CA and 32 hexadecimal digits would be right" in caplog.text


def test_a_queue_and_a_bus_that_are_down_cost_the_caller_nothing(desk):
    desk.events.failure = desk.work.failure = NotReached("down")
    response = desk.post("/voice")
    desk.plays(0)
    desk.speak("sp_cut", start=100)
    desk.pass_s(1)
    desk.seals(180)
    assert desk.opened(desk.follow(response)) == Token(SID, 2)
    assert len(desk.background.failed) == 2
