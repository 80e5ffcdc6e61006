"""The entry module as Lambda loads it, against moto's DynamoDB, Secrets Manager, SQS and EventBridge."""

import importlib
import io
import json
import subprocess
import sys
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws

from duckline import stream_token
from duckline.call import Part
from duckline.envelope import Duck
from duckline.schedule import place, reserve
from duckline.stores import Hold
from duckline.wav import mulaw_header
from duckline.window import take_hold
from local.template import Template

SID = "CA" + "0123456789abcdef" * 2
TOKEN, NEW_TOKEN, STREAM_KEY = "a" * 32, "c" * 32, "k" * 64
FORM = [("CallSid", SID), ("From", "+14158675310"), ("CallStatus", "in-progress")]
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "DUCKLINE_TABLE": "calls",
    "DUCKLINE_BUCKET": "sound",
    "DUCKLINE_WORK_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/work",
    "DUCKLINE_EVENT_BUS": "default",
    "DUCKLINE_STREAM_URL": "https://stream.example.com/",
    "DUCKLINE_PUBLIC_URL": "",
    "DUCKLINE_DEFAULT_BED": "hold",
    "DUCKLINE_DELIVERY": "stream",
    "DUCKLINE_MAX_CONCURRENT_CALLS": "2",
    "POWERTOOLS_SERVICE_NAME": "duckline-test",
    "DUCKLINE_STREAM_KEY_SECRET": "stream-key",
    "DUCKLINE_TWILIO_TOKEN_SECRET": "twilio-token",
}

CONTEXT = SimpleNamespace(
    aws_request_id="request-1", function_name="voice", memory_limit_in_mb=512, invoked_function_arn="arn:aws:lambda"
)


@pytest.fixture
def aws(monkeypatch):
    """The resources that the template makes, as far as voice needs them."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        described = Template.read(overrides={"TwilioAuthToken": TOKEN}).resources["Table"].properties
        kept = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes", "LocalSecondaryIndexes")
        boto3.client("dynamodb").create_table(TableName="calls", **{key: described[key] for key in kept})
        secrets = boto3.client("secretsmanager")
        secrets.create_secret(Name="stream-key", SecretString=STREAM_KEY)
        secrets.create_secret(Name="twilio-token", SecretString=TOKEN)
        boto3.client("sqs").create_queue(QueueName="work")
        boto3.client("s3").create_bucket(Bucket="sound")
        yield


@pytest.fixture
def entry(aws):
    """voice.handler, loaded anew."""
    sys.modules.pop("voice.handler", None)
    yield importlib.import_module("voice.handler")
    sys.modules.pop("voice.handler").background.pool.shutdown()


@pytest.fixture
def logged(entry):
    """What the entry has logged so far, line by line."""
    stream = io.StringIO()
    entry.log.registered_handler.setStream(stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def messages():
    """The work queue's messages."""
    got = boto3.client("sqs").receive_message(QueueUrl=ENVIRONMENT["DUCKLINE_WORK_QUEUE_URL"], MaxNumberOfMessages=10)
    return [json.loads(message["Body"]) for message in got.get("Messages", [])]


def test_a_call_from_its_beginning_to_its_end(entry, desk, logged):
    def ask(route, query="", form=FORM):
        response = entry.handler(desk.request(route, form, query=query), CONTEXT)
        entry.background.settle(5000)
        return response

    first = ask("/voice")
    (play, url), (redirect, again) = desk.verbs(first)
    assert (play, redirect) == ("Play", "Redirect")
    token = url.removeprefix("https://stream.example.com/stream/").removesuffix(".wav")
    assert stream_token.read(STREAM_KEY, token, entry.clock.now_ms() / 1000) == stream_token.Token(SID, 1)
    assert ask("/voice") == first

    now_ms = entry.clock.now_ms()
    call = entry.calls.get(SID)
    held = take_hold(call, "h", now_ms=now_ms, margin_ms=0, first_frames=180, longest_frames=45_000)
    held = reserve(held, "sp_1", now_ms=now_ms, lease_ms=10_000)
    held = place(held, "sp_1", Part("sp_1-1", Duck(100, 6, 300, 30, 0.2), 106), more=False)
    entry.calls.write(call, held, exact=True)
    entry.calls.seal(SID, Hold(1, "h"), 200, now_ms=now_ms)

    second = ask("/voice/next", again.partition("?")[2])
    assert desk.verbs(second)[-1][1].endswith("/voice/next?epoch=2")
    call = entry.calls.get(SID)
    assert (call.epoch, call.holder, call.speech("sp_1").again) == (2, "", 1)
    assert call.window_from == call.sealed >= 200
    assert messages() == [{"kind": "speak", "call_sid": SID}]

    assert ask("/voice/status", form=[("CallSid", SID), ("CallStatus", "completed")]) == {"statusCode": 204}
    assert entry.calls.get(SID).end_reason == "completed"
    assert desk.verbs(ask("/voice/next", "epoch=2")) == [("Hangup", "")]
    [line] = logged()  # nothing failed, beside the answer or in it
    assert (line["message"], line["call_sid"], line["speech_id"], line["state"]) == (
        *("speech over", SID),
        *("sp_1", "cancelled"),
    )
    assert line["function_request_id"] == CONTEXT.aws_request_id


def test_what_happens_in_a_call_is_measured_for_the_stack(entry, desk, capsys):
    entry.handler(desk.request("/voice", FORM), CONTEXT)
    now_ms = entry.clock.now_ms()
    call = entry.calls.get(SID)
    held = take_hold(call, "h", now_ms=now_ms, margin_ms=0, first_frames=180, longest_frames=45_000)
    held = reserve(held, "sp_1", now_ms=now_ms, lease_ms=10_000)
    held = place(held, "sp_1", Part("sp_1-1", Duck(100, 6, 300, 30, 0.2), 106), more=False)
    entry.calls.write(call, held, exact=True)
    entry.calls.seal(SID, Hold(1, "h"), 200, now_ms=now_ms)
    entry.handler(desk.request("/voice/next", FORM, query="epoch=1"), CONTEXT)
    measured = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    [directive] = measured[0]["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("Duckline", [["service"]])
    assert (measured[0]["service"], measured[0]["ConcurrentCalls"]) == ("duckline-test", [1])
    assert measured[1]["SpeechesRescheduled"] == [1]


def test_a_call_beyond_the_bound_hears_the_plain_copy_until_there_is_room(entry, desk):
    for number in range(2):
        form = [("CallSid", f"CA{number:032x}")]
        assert desk.verbs(entry.handler(desk.request("/voice", form), CONTEXT))[0][1].endswith(".wav")
    (play, url), (_, again) = desk.verbs(entry.handler(desk.request("/voice", FORM), CONTEXT))
    assert (play, "/beds/shipped/plain.wav?" in url) == ("Play", True)
    stored = boto3.client("s3").get_object(Bucket="sound", Key="beds/shipped/plain.wav")["Body"].read()
    assert stored[:58] == mulaw_header(len(stored) - 58)
    assert entry.calls.get(SID) is None

    entry.handler(desk.request("/voice/status", [("CallSid", f"CA{0:032x}"), ("CallStatus", "completed")]), CONTEXT)
    answer = entry.handler(desk.request("/voice/next", FORM, query=again.partition("?")[2]), CONTEXT)
    assert desk.verbs(answer)[0][1].startswith("https://stream.example.com/stream/")


def test_a_plain_copy_that_cannot_be_stored_is_a_pause(entry, desk, logged):
    boto3.client("s3").delete_bucket(Bucket="sound")
    for number in range(2):
        entry.handler(desk.request("/voice", [("CallSid", f"CA{number:032x}")]), CONTEXT)
    assert desk.verbs(entry.handler(desk.request("/voice", FORM), CONTEXT))[0] == ("Pause", "2")
    assert [line["message"] for line in logged()] == ["the plain copy of the shipped bed cannot be stored"]


def test_a_window_that_never_opened_is_followed_by_a_signed_copy_of_the_bed(entry, desk):
    item = {"pk": {"S": "BED"}, "sk": {"S": "hold"}, "name": {"S": "hold"}, "state": {"S": "ready"}}
    boto3.client("dynamodb").put_item(TableName="calls", Item={**item, "version": {"S": "abc"}})
    entry.handler(desk.request("/voice", FORM), CONTEXT)
    play, url = desk.verbs(entry.handler(desk.request("/voice/next", FORM, query="epoch=1"), CONTEXT))[0]
    assert play == "Play"
    assert "/beds/abc/plain.wav?" in url
    assert "X-Amz-Signature=" in url
    assert "X-Amz-Expires=300" in url


def test_a_token_that_is_rotated_is_good_in_both_forms_for_a_while(entry, desk):
    def status(token):
        return entry.handler(desk.request("/voice", FORM, token=token), CONTEXT)["statusCode"]

    assert status(TOKEN) == 200
    boto3.client("secretsmanager").put_secret_value(SecretId="twilio-token", SecretString=NEW_TOKEN)
    assert (status(NEW_TOKEN), status(TOKEN), status("d" * 32)) == (200, 200, 403)


def test_a_stranger_is_refused_and_logged_without_a_number(entry, desk, logged):
    response = entry.handler(desk.request("/voice", FORM, token="d" * 32), CONTEXT)
    assert (response["statusCode"], json.loads(response["body"])["title"]) == (403, "Not allowed")
    [line] = logged()
    assert (line["message"], line["level"], line["service"]) == ("webhook refused", "WARNING", "voice")
    assert "+1415" not in json.dumps(line)


def test_a_table_that_is_gone_is_logged_and_the_line_kept_alive(entry, desk, logged):
    boto3.client("dynamodb").delete_table(TableName="calls")
    assert desk.verbs(entry.handler(desk.request("/voice", FORM), CONTEXT))[0] == ("Pause", "1")
    [uncounted, line] = logged()
    assert uncounted["message"] == "the calls cannot be counted"
    assert (line["message"], line["call_sid"], line["route"]) == ("webhook failed", SID, "/voice")
    assert "ResourceNotFoundException" in line["exception"]
    assert "+1415" not in json.dumps(line)


def test_a_notice_that_fails_is_logged_and_costs_the_caller_nothing(entry, desk, logged):
    boto3.client("sqs").delete_queue(QueueUrl=ENVIRONMENT["DUCKLINE_WORK_QUEUE_URL"])
    entry.notices.ask_for_makers(SID)
    assert entry.handler(desk.request("/voice", FORM), CONTEXT)["statusCode"] == 200
    entry.background.settle(5000)
    [line] = logged()
    assert (line["message"], line["level"]) == ("background work failed", "WARNING")
    assert "NonExistentQueue" in line["error"]


def run(program, **changed):
    """`program` in a Python of its own, as a cold start."""
    environment = {**ENVIRONMENT, **changed, "PYTHONPATH": ":".join(sys.path)}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)


def test_the_entry_loads_neither_numpy_nor_twilios_rest_client():
    done = run("import sys, voice.handler; print(*sorted({name for name in sys.modules}))")
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {"voice.switchboard", "twilio.request_validator", "twilio.twiml.voice_response"} <= loaded
    unwanted = {"numpy", "soxr", "pydub", "requests", "aiohttp", "jwt", "twilio.rest", "twilio.http", "twilio.base"}
    assert not loaded & unwanted


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("DUCKLINE_TABLE", "", "DUCKLINE_TABLE is not set"),
        ("DUCKLINE_STREAM_URL", "stream", "DUCKLINE_STREAM_URL is 'stream'; a URL such as"),
        ("DUCKLINE_DELIVERY", "drip", "DUCKLINE_DELIVERY is 'drip'; one of auto, stream, short, burst"),
        ("DUCKLINE_WINDOW_SECONDS", "1000", "DUCKLINE_WINDOW_SECONDS is '1000'; a number from 5 to 840"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_one_line_at_the_start(name, value, line):
    done = run("import voice.handler", **{name: value})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"duckline.errors.SettingMissing: {line}")
