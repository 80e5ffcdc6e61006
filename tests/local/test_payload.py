"""HTTP to events and results to HTTP, payload format 2.0."""

import base64
import json

import pytest

from local.payload import BadAnswer, Request, answer, event


def made(**changes):
    fields = {"method": "POST", "path": "/voice", "query": "", "headers": [], "body": b"", "source_ip": "127.0.0.1"}
    return event(
        Request(**{**fields, **changes}),
        route="POST /voice",
        path_parameters={},
        domain="example.com",
        request_id="r-1",
        now_ms=1_583_348_638_390,
    )


def test_an_event_says_who_asked_for_what_and_when():
    context = made()["requestContext"]
    assert context["http"] | {"userAgent": None} == {
        "method": "POST",
        "path": "/voice",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": None,
    }
    assert (context["domainName"], context["requestId"], context["stage"]) == ("example.com", "r-1", "$default")
    assert (context["time"], context["timeEpoch"]) == ("04/Mar/2020:19:03:58 +0000", 1_583_348_638_390)


def test_headers_are_in_lower_case_and_several_of_a_name_are_joined():
    headers = made(headers=[("X-Twilio-Signature", "abc"), ("Accept", "a"), ("ACCEPT", "b")])["headers"]
    assert headers == {"x-twilio-signature": "abc", "accept": "a,b"}


def test_cookies_stand_apart_from_the_headers():
    received = made(headers=[("Cookie", "a=1; b=2")])
    assert received["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in received["headers"]


def test_a_query_is_kept_raw_and_decoded_beside_it():
    received = made(query="bed=calm%20sea&x=1&x=2&empty=")
    assert received["rawQueryString"] == "bed=calm%20sea&x=1&x=2&empty="
    assert received["queryStringParameters"] == {"bed": "calm sea", "x": "1,2", "empty": ""}
    assert "queryStringParameters" not in made()


def test_json_comes_as_text():
    received = made(headers=[("Content-Type", "application/json; charset=utf-8")], body='{"text":"größer"}'.encode())
    assert (received["body"], received["isBase64Encoded"]) == ('{"text":"größer"}', False)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "audio/wav", "", "application/ssml+xml"])
def test_a_form_and_any_other_body_comes_as_base64(content_type):
    received = made(headers=[("Content-Type", content_type)], body=b"CallSid=CA1")
    assert received["isBase64Encoded"]
    assert base64.b64decode(received["body"]) == b"CallSid=CA1"


def test_text_that_is_none_comes_as_base64():
    received = made(headers=[("Content-Type", "text/plain")], body=b"\xff\xfe")
    assert received["isBase64Encoded"]
    assert base64.b64decode(received["body"]) == b"\xff\xfe"


def test_no_body_is_left_out():
    assert "body" not in made()


def test_a_result_with_a_status_is_the_response():
    result = {"statusCode": 201, "headers": {"X-A": 1}, "cookies": ["a=1", "b=2"], "body": "schön"}
    response = answer(result)
    assert (response.status, response.body) == (201, "schön".encode())
    assert response.headers == [
        ("x-a", "1"),
        ("content-type", "text/plain; charset=utf-8"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ]


def test_a_binary_result_is_decoded():
    result = {"statusCode": "200", "body": base64.b64encode(b"\x00\xff").decode(), "isBase64Encoded": True}
    assert answer(result).body == b"\x00\xff"


@pytest.mark.parametrize("result", [{"ok": True}, "text", ["a"], None])
def test_a_result_without_a_status_is_sent_as_json(result):
    response = answer(result)
    assert response.status == 200
    assert json.loads(response.body) == result
    assert ("content-type", "application/json") in response.headers


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"statusCode": "fine"}, "statusCode is 'fine'"),
        ({"statusCode": 200, "body": {"a": 1}}, "body is of type dict"),
        ({"statusCode": 200, "body": "%%%", "isBase64Encoded": True}, "not base64"),
    ],
)
def test_a_result_that_no_response_can_be_made_of_is_refused(result, message):
    with pytest.raises(BadAnswer, match=message):
        answer(result)
