"""The entry module as Lambda loads it, against moto's DynamoDB, S3, SQS, EventBridge and Secrets Manager."""

import importlib
import io
import json
import os
import subprocess
import sys
from types import SimpleNamespace
from urllib.parse import quote, urlencode

import boto3
import pytest
from moto import mock_aws

from duckline.call import BedSpan, Call
from duckline.envelope import Ducking
from duckline.errors import SettingMissing
from duckline.records import SpeechStatus
from duckline.stores import Hold
from local.payload import Request, event
from local.queues import record

KEY, NEW_KEY = "k" * 40, "n" * 40
QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/work"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "DUCKLINE_TABLE": "calls",
    "DUCKLINE_BUCKET": "sound",
    "DUCKLINE_WORK_QUEUE_URL": QUEUE_URL,
    "DUCKLINE_EVENT_BUS": "default",
    "DUCKLINE_API_KEY_SECRET": "api-key",
    "DUCKLINE_SPEECH_ENGINE": "espeak",
    "POWERTOOLS_SERVICE_NAME": "duckline-test",
}
CONTEXT = SimpleNamespace(
    aws_request_id="request-1", function_name="render", memory_limit_in_mb=1769, invoked_function_arn="arn:aws:lambda"
)
TEXT = "Thank you for calling. Somebody will be with you soon."
LONG_TEXT = TEXT + " While you wait, here is some news about our opening hours, which have changed." * 5


def make_table():
    """The table as template.yaml describes it."""
    strings = ("pk", "sk", "live")
    boto3.client("dynamodb").create_table(
        TableName="calls",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            *({"AttributeName": name, "AttributeType": "S"} for name in strings),
            *({"AttributeName": name, "AttributeType": "N"} for name in ("started_at_ms", "order")),
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[index("live", "live", "started_at_ms", "KEYS_ONLY")],
        LocalSecondaryIndexes=[index("by_order", "pk", "order", "ALL")],
    )


def index(name, key, sort_key, projected):
    schema = [{"AttributeName": key, "KeyType": "HASH"}, {"AttributeName": sort_key, "KeyType": "RANGE"}]
    return {"IndexName": name, "KeySchema": schema, "Projection": {"ProjectionType": projected}}


@pytest.fixture(scope="module")
def entry():
    """render.handler as a cold start loads it, on the resources that the template makes for it."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        make_table()
        boto3.client("s3").create_bucket(Bucket="sound")
        boto3.client("secretsmanager").create_secret(Name="api-key", SecretString=KEY)
        sqs, events = boto3.client("sqs"), boto3.client("events")
        for name in ("work", "told"):
            sqs.create_queue(QueueName=name)
        events.put_rule(Name="all", EventPattern=json.dumps({"source": ["duckline"]}))
        events.put_targets(Rule="all", Targets=[{"Id": "told", "Arn": "arn:aws:sqs:us-east-1:123456789012:told"}])
        sys.modules.pop("render.handler", None)
        entry = importlib.import_module("render.handler")
        entry.log.registered_handler.stream = io.StringIO()  # the output of one test is closed in the next
        yield entry
        sys.modules.pop("render.handler").background.pool.shutdown()


numbers = iter(range(1, 1000))


@pytest.fixture
def sid(entry):
    """A live call over the bed that ships, sealed a second ahead of now."""
    call_sid, now_ms = f"CA{next(numbers):032x}", entry.clock.now_ms()
    entry.api.calls.create(
        Call(
            call_sid,
            beds=(BedSpan(0, "shipped", "shipped"),),
            started_at_ms=now_ms,
            holder="h",
            window_until=42_000,
            opening_at_ms=now_ms,
            opened_at_ms=now_ms,
            sealed=63,
            sealed_at_ms=now_ms,
        )
    )
    return call_sid


def ask(entry, route, body=b"", *, key=KEY, query=None, headers=None, **given):
    """One request as the HTTP API hands it on; its status and its body."""
    method, _, path = route.partition(" ")
    sent = {"authorization": f"Bearer {key}", **(headers or {})}
    if not isinstance(body, bytes):
        body, sent = json.dumps(body).encode(), {"content-type": "application/json", **sent}
    for place, value in given.items():
        path = path.replace(f"{{{place}}}", quote(value, safe=""))
    request = Request(method, path, urlencode(query or {}), list(sent.items()), body, "192.0.2.1")
    made = event(request, route=route, path_parameters=given, domain="x", request_id="r", now_ms=entry.clock.now_ms())
    answer = entry.handler(made, CONTEXT)
    return answer["statusCode"], json.loads(answer["body"])


def queued(name="work"):
    """What the queue holds, taken out of it."""
    sqs = boto3.client("sqs")
    url, taken = QUEUE_URL.removesuffix("work") + name, []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        taken += [message["Body"] for message in messages]
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return taken


def deliver(entry, bodies):
    """The queue's messages, as Lambda hands them over; which of them are to come again."""
    attributes = {"ApproximateReceiveCount": "1"}
    records = [
        {"messageId": str(number), "receiptHandle": "none", "body": body, "attributes": attributes}
        for number, body in enumerate(bodies)
    ]
    return [failure["itemIdentifier"] for failure in entry.handler({"Records": records}, CONTEXT)["batchItemFailures"]]


def told(call_sid):
    """The events that reached the bus about a call, by their kind."""
    events = [json.loads(body) for body in queued("told")]
    return [each["detail-type"] for each in events if each["detail"].get("call_sid") == call_sid]


# -- speech ---------------------------------------------------------------------------------------


def test_a_speech_from_its_request_to_its_end(entry, sid):
    status, asked = ask(entry, "POST /calls/{sid}/speeches", {"text": TEXT}, sid=sid)
    assert (status, asked["state"]) == (201, "scheduled")
    part = entry.api.calls.get(sid).speech(asked["speech_id"]).parts[0]
    assert len(entry.api.speaking.studio.sounds.get(f"clips/{sid}/{part.clip}.ulaw")) == (part.end - part.start) * 160
    status, shown = ask(entry, "GET /calls/{sid}/speeches/{id}", sid=sid, id=asked["speech_id"])
    assert (status, shown["duration_ms"]) == (200, asked["duration_ms"])
    assert ask(entry, "DELETE /calls/{sid}/speeches/{id}", sid=sid, id=asked["speech_id"])[1]["state"] == "cancelled"
    status, call = ask(entry, "GET /calls/{sid}", sid=sid)
    assert (status, call["state"], [s["state"] for s in call["speeches"]]) == (200, "live", ["cancelled"])
    assert told(sid) == ["speech.scheduled", "speech.cancelled"]


def test_the_rest_of_a_long_text_goes_through_the_queue(entry, sid):
    _, asked = ask(entry, "POST /calls/{sid}/speeches", {"text": LONG_TEXT}, sid=sid)
    assert asked["duration_ms"] is None
    messages = queued()
    assert [json.loads(message)["speech_id"] for message in messages] == [asked["speech_id"]]
    assert deliver(entry, messages) == []
    _, shown = ask(entry, "GET /calls/{sid}/speeches/{id}", sid=sid, id=asked["speech_id"])
    assert shown["duration_ms"] > 15_000
    assert deliver(entry, messages) == []  # a message that comes twice
    parts = entry.api.calls.get(sid).speech(asked["speech_id"]).parts
    assert len(parts) == len({part.voice_at for part in parts}) > 1


def test_a_retry_speaks_once_though_the_first_answer_was_lost(entry, sid):
    request = {"body": {"text": TEXT}, "sid": sid, "headers": {"idempotency-key": "order 5"}}
    first, again = (ask(entry, "POST /calls/{sid}/speeches", **request) for _ in range(2))
    assert again[0] == 201
    assert again[1]["speech_id"] == first[1]["speech_id"]
    assert len(entry.api.calls.get(sid).speeches) == 1


def test_a_speech_that_is_over_is_found_in_its_history(entry, sid):
    _, asked = ask(entry, "POST /calls/{sid}/speeches", {"text": "Hello"}, sid=sid)
    call, now_ms = entry.api.calls.get(sid), entry.clock.now_ms()
    part = call.speech(asked["speech_id"]).parts[0]
    status = SpeechStatus(asked["speech_id"], "finished", None, part.voice_at * 20, asked["duration_ms"])
    entry.api.speaking.speeches.close(sid, status, 1)
    entry.api.calls.seal(sid, Hold(1, "h"), 900, now_ms=now_ms, over=(asked["speech_id"],))
    assert ask(entry, "GET /calls/{sid}/speeches/{id}", sid=sid, id=asked["speech_id"])[1]["state"] == "finished"
    assert ask(entry, "DELETE /calls/{sid}/speeches/{id}", sid=sid, id=asked["speech_id"])[0] == 409
    [shown] = ask(entry, "GET /calls/{sid}", sid=sid)[1]["speeches"]
    assert (shown["speech_id"], shown["state"]) == (asked["speech_id"], "finished")


def test_a_call_that_nobody_knows_leaves_nothing_behind(entry):
    unknown = "CA" + "f" * 32
    status, problem = ask(entry, "POST /calls/{sid}/speeches", {"text": TEXT}, sid=unknown)
    assert (status, problem["title"]) == (404, "Not found")
    assert entry.api.calls.get(unknown) is None


@pytest.mark.parametrize("speech_id", ["x" * 3000, "é" * 600, "%00", "\n", "SPEECH#x"])
def test_an_id_of_whatever_form_is_404(entry, sid, speech_id):
    for method in ("GET", "DELETE"):
        assert ask(entry, f"{method} /calls/{{sid}}/speeches/{{id}}", sid=sid, id=speech_id)[0] == 404


def test_a_content_type_with_anything_behind_it_is_taken(entry, sid):
    kind = "audio/wav; name=é; charset=\x7f"
    headers = {"content-type": kind}
    status, problem = ask(entry, "POST /calls/{sid}/speeches", b"RIFF", sid=sid, headers=headers)
    assert status == 415, problem


# -- calls ----------------------------------------------------------------------------------------


def test_calls_are_listed_by_the_page(entry, sid, monkeypatch):
    others = {f"CA{next(numbers):032x}" for _ in range(4)}
    for number, other in enumerate(sorted(others)):
        entry.api.calls.create(Call(other, beds=(), started_at_ms=entry.clock.now_ms() + number // 2))
    monkeypatch.setattr(f"{type(entry.api).__module__}.PAGE", 2)
    seen, after = [], None
    for _ in range(50):
        status, page = ask(entry, "GET /calls", query={"after": after} if after else {})
        assert status == 200
        assert len(page["calls"]) <= 2
        seen += [call["call_sid"] for call in page["calls"]]
        after = page["next"]
        if after is None:
            break
    assert {sid, *others} <= set(seen)
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("after", ["", "x", "-", "CA-1", "CA" + "0" * 32, "CA" + "0" * 32 + "-x", "é"])
def test_a_page_that_is_none_is_400(entry, after):
    status, problem = ask(entry, "GET /calls", query={"after": after})
    assert status == 400
    assert 'the "next" of an earlier answer would be right' in problem["detail"]


def test_a_call_that_is_ended_takes_no_more_speech(entry, sid):
    assert ask(entry, "DELETE /calls/{sid}", sid=sid)[1]["state"] == "ended"
    assert ask(entry, "POST /calls/{sid}/speeches", {"text": TEXT}, sid=sid)[0] == 409
    assert sid not in [call["call_sid"] for call in ask(entry, "GET /calls")[1]["calls"]]


# -- beds -----------------------------------------------------------------------------------------


def test_an_upload_becomes_a_bed_and_a_call_changes_to_it(entry, sid, songs):
    status, answer = ask(entry, "POST /beds/{name}", name="jazz")
    assert status == 201
    fields = answer["upload"]["fields"]
    assert fields["key"].startswith("uploads/jazz/")
    boto3.client("s3").put_object(Bucket="sound", Key=fields["key"], Body=songs["warm"].read_bytes())
    created = {"detail-type": "Object Created", "detail": {"object": {"key": fields["key"]}}}
    assert deliver(entry, [json.dumps(created)]) == []
    bed = ask(entry, "GET /beds/{name}", name="jazz")[1]
    assert (bed["state"], bed["seconds"]) == ("ready", 6)
    assert bed in ask(entry, "GET /beds")[1]["beds"]
    status, change = ask(entry, "PUT /calls/{sid}/bed", {"bed": "jazz"}, sid=sid)
    assert (status, change["starts_in_ms"] >= 0) == (200, True)
    assert [span.name for span in entry.api.calls.get(sid).beds] == ["shipped", "jazz"]


def test_an_upload_is_signed_by_version_4_as_buckets_since_2020_want(entry):
    fields = ask(entry, "POST /beds/{name}", name="jazz")[1]["upload"]["fields"]
    assert fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert {"policy", "x-amz-signature"} <= set(fields)


def test_an_upload_that_is_no_music_fails_with_the_reason(entry):
    boto3.client("s3").put_object(Bucket="sound", Key="uploads/letter/u1", Body=b"Dear Sir or Madam")
    created = {"detail-type": "Object Created", "detail": {"object": {"key": "uploads/letter/u1"}}}
    assert deliver(entry, [json.dumps(created)]) == []
    bed = ask(entry, "GET /beds/{name}", name="letter")[1]
    assert bed["state"] == "failed"
    assert bed["reason"].startswith("the file begins with b'Dear Sir or '")


def test_work_that_fails_does_not_wait_for_the_queues_own_time(entry, monkeypatch):
    monkeypatch.setattr("render.work.AGAIN_AFTER_S", (0,))
    created = {"detail-type": "Object Created", "detail": {"object": {"key": "uploads/gone/u1"}}}
    sqs = boto3.client("sqs")
    sqs.send_message(QueueUrl=QUEUE_URL, MessageBody=json.dumps(created))
    asked = {"QueueUrl": QUEUE_URL, "MessageSystemAttributeNames": ["All"], "VisibilityTimeout": 330}
    [message] = sqs.receive_message(**asked)["Messages"]
    batch = {"Records": [record(message, "arn:aws:sqs:us-east-1:123456789012:work")]}
    assert entry.handler(batch, CONTEXT)["batchItemFailures"]
    [again] = sqs.receive_message(**asked)["Messages"]
    assert again["MessageId"] == message["MessageId"]
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    sqs.delete_message(QueueUrl=QUEUE_URL, ReceiptHandle=again["ReceiptHandle"])


def test_an_upload_that_is_gone_comes_again(entry):
    created = {"detail-type": "Object Created", "detail": {"object": {"key": "uploads/gone/u1"}}}
    assert deliver(entry, [json.dumps(created), json.dumps({"kind": "speak", "call_sid": "CA0"})]) == ["0"]


# -- who asks -------------------------------------------------------------------------------------


def test_a_key_that_is_rotated_is_good_in_both_forms_for_a_while(entry):
    entry.secrets.kept.clear()
    assert ask(entry, "GET /beds")[0] == 200
    manager = boto3.client("secretsmanager")
    manager.put_secret_value(SecretId="api-key", SecretString=NEW_KEY)
    try:
        assert [ask(entry, "GET /beds", key=key)[0] for key in (NEW_KEY, KEY, "x" * 40)] == [200, 200, 401]
    finally:
        manager.put_secret_value(SecretId="api-key", SecretString=KEY)
        entry.secrets.kept.clear()


def test_a_table_that_is_gone_is_503_and_logged(entry, sid, monkeypatch):
    monkeypatch.setattr(entry.api.calls.calls, "table", "gone")
    status, problem = ask(entry, "GET /calls/{sid}", sid=sid)
    assert (status, problem["title"]) == (503, "Try again")
    *_, line = map(json.loads, entry.log.registered_handler.stream.getvalue().splitlines())
    assert (line["message"], line["route"]) == ("a service cannot be reached", "GET /calls/{sid}")
    assert (line["call_sid"], line["function_request_id"]) == (sid, CONTEXT.aws_request_id)


def test_a_speech_that_is_accepted_is_told_of_and_its_wait_is_measured(entry, sid, capsys):
    status, speech = ask(entry, "POST /calls/{sid}/speeches", {"text": TEXT}, sid=sid)
    assert status == 201
    lines = [json.loads(line) for line in entry.log.registered_handler.stream.getvalue().splitlines()]
    assert [line for line in lines if line["message"] == "speech accepted" and line["call_sid"] == sid] != []
    [measured] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert measured["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]
    assert speech["starts_in_ms"] <= measured["SpeechLatencyMs"][0] < speech["starts_in_ms"] + 20_000


def test_the_ducking_is_as_it_is_set_and_its_bounds_are_told(entry, monkeypatch):
    assert entry.chosen_ducking() == Ducking()
    monkeypatch.setenv("DUCKLINE_DUCK_DOWN_MS", "200")
    monkeypatch.setenv("DUCKLINE_DUCK_FLOOR_DB", "-20")
    assert entry.chosen_ducking() == Ducking(down_ms=200, floor_db=-20)
    monkeypatch.setenv("DUCKLINE_DUCK_RATIO_DB", "3")
    with pytest.raises(SettingMissing, match="DUCKLINE_DUCK_RATIO_DB is '3'; a number from 6 to 30 would be right"):
        entry.chosen_ducking()


def test_a_queue_that_is_gone_does_not_undo_what_was_accepted(entry, sid, monkeypatch):
    monkeypatch.setattr(entry.api.speaking.work, "queue_url", QUEUE_URL + "-gone")
    status, asked = ask(entry, "POST /calls/{sid}/speeches", {"text": LONG_TEXT}, sid=sid)
    assert (status, asked["state"]) == (201, "scheduled")  # its lease runs out, and the stream asks for a maker


# -- its start ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("DUCKLINE_API_KEY_SECRET", "", "DUCKLINE_API_KEY_SECRET is not set"),
        ("DUCKLINE_SPEECH_ENGINE", "parrot", "DUCKLINE_SPEECH_ENGINE is 'parrot'; one of polly, espeak, piper would"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_one_line_at_the_start(name, value, line):
    environment = {**ENVIRONMENT, name: value, "PYTHONPATH": ":".join(sys.path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", "import render.handler"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"duckline.errors.SettingMissing: {line}")
