"""The log of a call, as the page lists it."""

from local.console import twilio_log
from local.twilio import CallError, Request

URL = "http://127.0.0.1:8080/voice?bed=calm"


def test_a_webhook_is_told_with_its_form_and_its_twiml():
    request = Request(
        "voice", "POST", URL, {"X-Twilio-Signature": "s"}, asked_at=10.0, form={"CallSid": "CA1", "CallerCity": ""}
    )
    request.answered_at, request.status, request.twiml = 10.25, 200, "<Response/>"
    request.answer_headers = {"content-type": "application/xml"}
    told = twilio_log.entry(0, request, began_at=9.5)
    assert (told["at_s"], told["method"], told["path"], told["status"], told["ms"]) == (
        0.5,
        "POST",
        "/voice?bed=calm",
        200,
        250,
    )
    assert told["is_signed"] and told["twiml"] == "<Response/>" and told["type"] == "application/xml"
    assert told["form"] == {"CallSid": "CA1"}


def test_a_request_under_way_has_no_answer_yet():
    told = twilio_log.entry(3, Request("media", "GET", URL, {}, asked_at=1.0), began_at=1.0)
    assert (told["number"], told["status"], told["ms"], told["is_signed"]) == (3, None, None, False)


def test_an_error_has_twilios_number():
    told = twilio_log.error(CallError(12.0, 11200, "answered 500"), began_at=10.0)
    assert told == {"at_s": 2.0, "code": 11200, "message": "answered 500"}
