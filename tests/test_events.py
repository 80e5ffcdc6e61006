"""The sample payloads of events/ are what the functions are really given."""

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from twilio.request_validator import RequestValidator

from local.payload import Request, event
from local.queues import record
from local.template import Template

TOKEN = "0123456789abcdef" * 2  # what the samples are signed with
EVENTS = Path(__file__).parent.parent / "events"
SAMPLES = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(EVENTS.glob("*.json"))}
REQUESTS = {name: sample for name, sample in SAMPLES.items() if "Records" not in sample}


def body_of(sample: dict[str, Any]) -> bytes:
    text = sample.get("body", "")
    return base64.b64decode(text) if sample["isBase64Encoded"] else text.encode()


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_as_the_gateway_would_make_it(name):
    sample = REQUESTS[name]
    context = sample["requestContext"]
    request = Request(
        method=context["http"]["method"],
        path=sample["rawPath"],
        query=sample["rawQueryString"],
        headers=list(sample["headers"].items()),
        body=body_of(sample),
        source_ip=context["http"]["sourceIp"],
    )
    assert sample == event(
        request,
        route=sample["routeKey"],
        path_parameters=sample.get("pathParameters", {}),
        domain=context["domainName"],
        request_id=context["requestId"],
        now_ms=context["timeEpoch"],
    )


def test_every_request_goes_to_a_route_of_the_template():
    template = Template.read(overrides={"TwilioAuthToken": TOKEN})
    routes = {route.key for function in template.functions.values() for route in function.routes}
    asked = {sample["routeKey"] for sample in REQUESTS.values()}
    assert asked - routes == {"$default"}
    assert {route for route in routes if "/voice" in route} <= asked


@pytest.mark.parametrize("name", [name for name in REQUESTS if name.startswith("voice")])
def test_a_webhook_is_signed_as_twilio_signs_it(name):
    sample = REQUESTS[name]
    query = f"?{sample['rawQueryString']}" if sample["rawQueryString"] else ""
    url = f"https://{sample['requestContext']['domainName']}{sample['rawPath']}{query}"
    form = dict(parse_qsl(body_of(sample).decode()))
    assert RequestValidator(TOKEN).validate(url, form, sample["headers"]["x-twilio-signature"])


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in REQUESTS])
def test_work_has_the_form_of_a_message_from_the_queue(name):
    for message in SAMPLES[name]["Records"]:
        asked = {"MessageId": "", "ReceiptHandle": "", "Body": "", "MD5OfBody": ""}
        assert set(message) == set(record(asked, message["eventSourceARN"]))
        assert isinstance(json.loads(message["body"]), dict)
