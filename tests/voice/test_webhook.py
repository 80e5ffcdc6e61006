"""A webhook is let in if Twilio signed it, at whatever address Twilio knows us by."""

import base64

import pytest

from duckline.errors import Forbidden
from voice.webhook import BODY_MAX_BYTES, FORM_MAX_FIELDS, QUERY_MAX_CHARS, Webhook

HOST = "abc123.execute-api.us-east-1.amazonaws.com"
FORM = [("CallSid", "CA1"), ("From", "+14158675310"), ("Digits", ""), ("To", "+18005551212")]


@pytest.fixture
def request_of(desk):
    return desk.request


def is_signed(event, public_url="", token="a" * 32):
    return Webhook.from_event(event, public_url).is_signed_with(token)


def test_twilios_published_example_is_signed_with_its_token(request_of):
    """https://www.twilio.com/docs/usage/security#validating-requests"""
    event = request_of("/myapp.php", query="foo=1&bar=2")
    event["headers"]["x-twilio-signature"] = "L/OH5YylLD5NRKLltdqwSvS0BnU="
    event["body"] = "Digits=1234&To=%2B18005551212&From=%2B14158675310&Caller=%2B14158675310&CallSid=CA1234567890ABCDE"
    webhook = Webhook.from_event(event, "https://example.com")
    assert webhook.url == "https://example.com/myapp.php?foo=1&bar=2"
    assert webhook.is_signed_with("12345")
    assert not webhook.is_signed_with("12346")


def test_a_webhook_is_signed_over_the_apis_own_address(request_of):
    event = request_of("/voice", FORM, query="bed=calm")
    assert Webhook.from_event(event, "").url == f"https://{HOST}/voice?bed=calm"
    assert is_signed(event)


@pytest.mark.parametrize("raw_path", ["/dev/voice", "/voice"])
def test_a_stage_stands_before_the_path(request_of, raw_path):
    event = request_of("/voice", FORM, url=f"https://{HOST}/dev/voice", stage="dev", raw_path=raw_path)
    assert is_signed(event)
    assert Webhook.from_event(event, "").sibling_url("/voice/next", epoch=1) == f"https://{HOST}/dev/voice/next?epoch=1"


def test_a_path_under_which_a_domain_maps_the_api_stays_before_it(request_of):
    assert is_signed(
        request_of("/voice", FORM, url=f"https://{HOST}/phone/voice", stage="dev", raw_path="/phone/voice")
    )


@pytest.mark.parametrize("base", ["https://calls.example.com", "https://example.com/phone", "http://127.0.0.1:8080"])
def test_a_public_url_takes_the_place_of_the_apis_own(request_of, base):
    event = request_of("/voice", FORM, url=f"{base}/voice?bed=calm", query="bed=calm", stage="dev")
    assert is_signed(event, public_url=base)
    assert not is_signed(event)
    assert Webhook.from_event(event, base).sibling_url("/voice/next") == f"{base}/voice/next"


def test_a_port_and_a_fragment_are_no_part_of_what_is_signed(request_of):
    assert is_signed(request_of("/voice", FORM, url=f"https://{HOST}:443/voice#rc=3&rp=all"))


def test_a_body_may_come_in_base64(request_of):
    event = request_of("/voice", FORM, is_base64=True)
    assert is_signed(event)
    assert Webhook.from_event(event, "").form["CallSid"] == "CA1"


def test_blank_and_repeated_parameters_are_signed_as_they_came(request_of):
    event = request_of("/voice", [*FORM, ("Tag", "b"), ("Tag", "a"), ("Tag", "a"), ("New parameter", "ü & +")])
    assert is_signed(event)
    form = Webhook.from_event(event, "").form
    assert form.getlist("Tag") == ["b", "a", "a"]
    assert (form["Tag"], form["Digits"], form["New parameter"]) == ("b", "", "ü & +")
    assert "Nothing" not in form


def test_a_webhook_without_a_body_is_signed_over_its_address(request_of):
    event = request_of("/voice")
    del event["body"]
    assert is_signed(event)


def changed_body(event):
    return {**event, "body": event["body"].replace("CA1", "CA2")}


def added_field(event):
    return {**event, "body": event["body"] + "&Digits=1"}


def changed_query(event):
    return {**event, "rawQueryString": "bed=loud"}


def other_route(event):
    return {**event, "routeKey": "POST /voice/status", "rawPath": "/voice/status"}


def other_host(event):
    return {**event, "requestContext": {**event["requestContext"], "domainName": "evil.example.com"}}


@pytest.mark.parametrize("tampered", [changed_body, added_field, changed_query, other_route, other_host])
def test_whatever_is_changed_breaks_the_signature(request_of, tampered):
    event = request_of("/voice", FORM, query="bed=calm")
    assert is_signed(event)
    assert not is_signed(tampered(event))


def test_the_signature_is_found_under_a_name_in_any_case(request_of):
    event = request_of("/voice", FORM)
    event["headers"] = {"X-Twilio-Signature": event["headers"]["x-twilio-signature"]}
    assert is_signed(event)


def test_a_form_is_read_up_to_its_bounds(request_of):
    fields = [(f"f{number}", "") for number in range(FORM_MAX_FIELDS)]
    assert len(Webhook.from_event(request_of("/voice", fields), "").form) == FORM_MAX_FIELDS
    longest = "a=" + "x" * (BODY_MAX_BYTES - 2)
    encoded = base64.b64encode(longest.encode()).decode()
    for changed in ({"body": longest}, {"body": encoded, "isBase64Encoded": True}):
        assert len(Webhook.from_event({**request_of("/voice"), **changed}, "").form["a"]) == BODY_MAX_BYTES - 2


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"body": "a" * (BODY_MAX_BYTES + 1)}, f"a body of {BODY_MAX_BYTES + 1} bytes"),
        ({"body": "QUFB" * BODY_MAX_BYTES, "isBase64Encoded": True}, "a body of"),
        ({"body": "YT0x!", "isBase64Encoded": True}, "no form that Twilio sends"),
        ({"body": "not base64!", "isBase64Encoded": True}, "no form that Twilio sends"),
        ({"body": base64.b64encode(b"\xff\xfe").decode(), "isBase64Encoded": True}, "no form that Twilio sends"),
        ({"body": "&".join(["a=1"] * (FORM_MAX_FIELDS + 1))}, "no form that Twilio sends"),
        ({"rawQueryString": "b" * (QUERY_MAX_CHARS + 1)}, f"a query of {QUERY_MAX_CHARS + 1} characters"),
    ],
)
def test_what_twilio_would_never_send_is_refused_unread(request_of, changed, reason):
    with pytest.raises(Forbidden, match=reason):
        Webhook.from_event({**request_of("/voice"), **changed}, "")
