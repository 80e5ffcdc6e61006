"""A call that goes out: one request of Twilio's, its refusals told in words, and no number in any of them."""

import asyncio
import base64
import json
import threading
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3

from duckline.errors import Malformed, NotFound, Unavailable, Unspeakable
from duckline.records import greeting_id
from duckline.stores.memory import MemorySpeeches
from local.twilio import SimulatedTwilio
from local.twilio_rest import Refusal, TwilioRest
from render.api import Api, Request
from render.outbound import NO_ACCOUNT, Answer, NotCallable, NotSetUp, Order, Outbound, asking

SID, CALL_SID = "AC" + "1" * 32, "CA" + "2" * 32
TO, FROM = "+14155550100", "+15005550006"
BASE = "https://api.example.com/dev"


class Vault:
    """Secrets of which the current one and the one before are known."""

    def __init__(self, *tokens):
        self.tokens = tokens

    def values(self, secret_id):
        return self.tokens[:1]

    def fresh(self, secret_id):
        return self.tokens


class Twilio:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __call__(self, url, form, credentials):
        self.asked.append((url, dict(form), credentials))
        return self.answers.pop(0)


def placed():
    return Answer(201, json.dumps({"sid": CALL_SID, "status": "queued"}).encode())


def refused(status, code, message):
    return Answer(status, json.dumps({"code": code, "message": message, "status": status}).encode())


def outbound(twilio, *tokens, detects=True):
    return Outbound(SID, "token", "https://api.twilio.com", detects, Vault(*(tokens or ("t1",))), twilio)


# -- the order ------------------------------------------------------------------------------------


def test_an_order_is_read():
    order = Order.read({"to": TO, "from": FROM, "bed": "calm", "greeting": "Hello."})
    assert order == Order(TO, FROM, "calm", "Hello.")
    assert Order.read({"to": TO, "from": FROM}) == Order(TO, FROM)


@pytest.mark.parametrize(
    "number",
    [
        "",
        "14155550100",
        "+1",
        "+04155550100",
        "+1 415 555 0100",
        "+1415555010012345",
        "+1415555o100",
        "+１２３４５６７８",
    ],
)
@pytest.mark.parametrize("name", ["to", "from"])
def test_a_number_that_is_not_in_e164_form_is_refused_and_not_quoted(name, number):
    body = {"to": TO, "from": FROM, name: number}
    with pytest.raises(Malformed, match=rf"^{name} .*E\.164 form would be right") as refusal:
        Order.read(body)
    assert not number or number not in str(refusal.value)


@pytest.mark.parametrize("name", ["to", "from", "bed", "greeting"])
def test_what_is_no_string_is_refused(name):
    with pytest.raises(Malformed, match=f"{name} is int"):
        Order.read({"to": TO, "from": FROM, name: 14155550100})


# -- the request ----------------------------------------------------------------------------------


def test_twilio_is_asked_for_the_call_and_told_where_its_webhooks_go():
    twilio = Twilio(placed())
    assert outbound(twilio).place(Order(TO, FROM, "calm", "Hello."), BASE) == CALL_SID
    ((url, form, credentials),) = twilio.asked
    assert url == f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Calls.json"
    assert credentials == (SID, "t1")
    assert (form["To"], form["From"]) == (TO, FROM)
    assert form["Url"].startswith(f"{BASE}/voice?")
    assert parse_qs(urlsplit(form["Url"]).query) == {"bed": ["calm"], "greeting": ["1"]}
    assert form["StatusCallback"] == form["AsyncAmdStatusCallback"] == f"{BASE}/voice/status"
    assert (form["MachineDetection"], form["AsyncAmd"]) == ("Enable", "true")


def test_the_greeting_is_no_part_of_the_address():
    twilio = Twilio(placed())
    outbound(twilio).place(Order(TO, FROM, greeting="Hello, Mrs Jones."), BASE)
    assert "Jones" not in str(twilio.asked)


def test_machine_detection_which_is_billed_can_be_off():
    twilio = Twilio(placed())
    outbound(twilio, detects=False).place(Order(TO, FROM), BASE)
    form = twilio.asked[0][1]
    assert form["Url"] == f"{BASE}/voice"
    assert not [name for name in form if "Amd" in name or "Machine" in name]


def test_a_token_that_is_being_rotated_is_tried_in_both_its_values():
    twilio = Twilio(refused(401, 20003, "Authenticate"), refused(401, 20003, "Authenticate"), placed())
    assert outbound(twilio, "new", "old").place(Order(TO, FROM), BASE) == CALL_SID
    assert [credentials[1] for _, _, credentials in twilio.asked] == ["new", "new", "old"]


def test_credentials_that_twilio_refuses_and_an_account_that_is_missing_are_told():
    wrong = refused(401, 20003, "Authenticate")
    with pytest.raises(NotSetUp, match="TwilioAuthToken"):
        outbound(Twilio(wrong, wrong)).place(Order(TO, FROM), BASE)
    with pytest.raises(NotSetUp, match="TwilioAccountSid"):
        NO_ACCOUNT.place(Order(TO, FROM), BASE)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (21211, f"The phone number you are attempting to call, {TO}, is not valid."),
        (21210, f"The source phone number provided, {FROM}, is not yet verified"),
        (21216, "Account not allowed to call (415) 555-0100"),
    ],
)
def test_a_refusal_is_told_with_its_code_and_without_the_number(code, message):
    with pytest.raises(NotCallable) as refusal:
        outbound(Twilio(refused(400, code, message))).place(Order(TO, FROM), BASE)
    told = str(refusal.value)
    assert f"https://www.twilio.com/docs/errors/{code}" in told
    assert "(number)" in told
    assert "555" not in told
    assert refusal.value.status == 422


def test_a_refusal_without_a_word_is_told_too():
    with pytest.raises(NotCallable, match="no reason"):
        outbound(Twilio(Answer(400, b"<html>"))).place(Order(TO, FROM), BASE)


@pytest.mark.parametrize("answer", [Answer(429, b"{}"), Answer(500, b""), Answer(503, b"[]"), Answer(201, b"{}")])
def test_what_may_pass_is_told_as_such_and_tried_once_only(answer):
    twilio = Twilio(answer)
    with pytest.raises(Unavailable, match="not known"):
        outbound(twilio).place(Order(TO, FROM), BASE)
    assert len(twilio.asked) == 1


# -- on the wire ----------------------------------------------------------------------------------


class OnTheWire:
    """The stand-in of Twilio's REST API in a thread of its own."""

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.twilio = SimulatedTwilio("t1", account_sid=SID)
        self.rest = TwilioRest(self.twilio, "t1", numbers={FROM: {}})
        self.run(self.rest.__aenter__())
        return self

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def __exit__(self, *_):
        self.run(self.twilio.close())
        self.run(self.rest.__aexit__())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def test_the_request_is_one_that_twilios_api_understands():
    with OnTheWire() as line, urllib3.PoolManager() as pool:
        through = Outbound(SID, "token", line.rest.url, True, Vault("t1"), asking(lambda: pool))
        call_sid = through.place(Order(TO, FROM), "http://127.0.0.1:9")
        assert line.twilio.calls[0].call_sid == call_sid
        with pytest.raises(NotCallable, match="21210"):
            through.place(Order(TO, "+14155559999"), "http://127.0.0.1:9")
        line.rest.refusals.append(Refusal(503, 20503, "Service unavailable"))
        with pytest.raises(Unavailable):
            through.place(Order(TO, FROM), "http://127.0.0.1:9")
        assert len(line.rest.requests) == 3


def test_nobody_there_is_told_and_the_credentials_go_as_basic_authentication():
    with urllib3.PoolManager() as pool, pytest.raises(Unavailable, match="no answer"):
        asking(lambda: pool)("http://127.0.0.1:9/x", {}, ("a", "b"))
    assert urllib3.make_headers(basic_auth="a:b")["authorization"] == "Basic " + base64.b64encode(b"a:b").decode()


# -- the route ------------------------------------------------------------------------------------


class Beds:
    def record(self, name):
        if name != "calm":
            raise NotFound(f"there is no bed {name}")


def placed_by_the_api(twilio, body, public_url="", stage="$default"):
    """POST /calls; the answer, and what was kept of speeches."""
    speeches = MemorySpeeches()
    speaking = SimpleNamespace(calls=None, speeches=speeches, clock=SimpleNamespace(now_ms=lambda: 7))
    api = Api(speaking, None, Beds(), None, None, None, outbound(twilio), public_url)
    event = {
        "routeKey": "POST /calls",
        "rawPath": "/calls",
        "headers": {"content-type": "application/json"},
        "requestContext": {"domainName": "abc.execute-api.example.com", "stage": stage},
        "body": json.dumps(body),
    }
    return api.place_call(Request(event)), speeches


def test_the_api_answers_with_the_calls_sid_and_keeps_the_greeting():
    twilio = Twilio(placed())
    body = {"to": TO, "from": FROM, "bed": "calm", "greeting": "Hello."}
    (status, answer), speeches = placed_by_the_api(twilio, body)
    assert (status, answer) == (201, {"call_sid": CALL_SID})
    assert speeches.get(CALL_SID, greeting_id(CALL_SID)).text == "Hello."
    assert twilio.asked[0][1]["StatusCallback"] == "https://abc.execute-api.example.com/voice/status"


@pytest.mark.parametrize(
    ("public_url", "stage", "base"),
    [
        ("", "dev", "https://abc.execute-api.example.com/dev"),
        ("https://calls.example.com", "$default", "https://calls.example.com"),
    ],
)
def test_twilio_is_told_of_the_address_at_which_voice_checks_signatures(public_url, stage, base):
    twilio = Twilio(placed())
    _, speeches = placed_by_the_api(twilio, {"to": TO, "from": FROM}, public_url, stage)
    assert twilio.asked[0][1]["Url"] == f"{base}/voice"
    assert speeches.records == {}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"to": TO, "from": FROM, "bed": "loud"}, NotFound),
        ({"to": TO, "from": FROM, "greeting": "..."}, Unspeakable),
        ({"to": TO}, Malformed),
    ],
)
def test_what_is_wrong_is_refused_before_anybody_is_called(body, error):
    twilio = Twilio()
    with pytest.raises(error):
        placed_by_the_api(twilio, body)
    assert twilio.asked == []
