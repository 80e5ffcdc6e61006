"""The functions' logs as one, each line once; on moto's CloudWatch."""

import json
import time

import boto3
import pytest
from moto import mock_aws

from operations.deployment import CannotGoOn
from operations.logs import FUNCTIONS, Logs, readable

SID, OTHER = "CA" + "0" * 32, "CA" + "1" * 32


@pytest.fixture
def client(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("logs", "us-east-1")
        for function in FUNCTIONS:
            client.create_log_group(logGroupName=f"/duckline/duckline/{function}")
            client.create_log_stream(logGroupName=f"/duckline/duckline/{function}", logStreamName="1")
        yield client


def put(client, function, at_ms, **told):
    event = {"timestamp": at_ms, "message": json.dumps({"level": "INFO", "service": function, **told})}
    client.put_log_events(logGroupName=f"/duckline/duckline/{function}", logStreamName="1", logEvents=[event])


def test_the_lines_of_all_functions_come_in_order_of_time_and_each_once(client):
    now_ms = time.time_ns() // 1_000_000
    put(client, "stream", now_ms - 1000, message="window over", call_sid=SID)
    put(client, "voice", now_ms - 2000, message="webhook refused")
    logs = Logs(client, "duckline")
    assert [line.split(" ", 1)[1] for line in logs.lines(now_ms - 60_000)] == [
        "voice  INFO    webhook refused",
        f"stream INFO    window over call_sid={SID}",
    ]
    put(client, "render", now_ms - 500, message="speech accepted", call_sid=SID)
    assert len(list(logs.lines(now_ms - 60_000))) == 1


def test_one_call_can_be_followed(client):
    now_ms = time.time_ns() // 1_000_000
    put(client, "stream", now_ms, message="window over", call_sid=SID)
    put(client, "stream", now_ms, message="window over", call_sid=OTHER)
    (line,) = Logs(client, "duckline", OTHER).lines(now_ms - 1000)
    assert OTHER in line


def test_a_stack_without_logs_is_told(client):
    with pytest.raises(CannotGoOn, match="there is no log /duckline/nowhere/voice"):
        list(Logs(client, "nowhere").lines(0))


@pytest.mark.parametrize("line", ["START RequestId: 1", "[1, 2]", '{"_aws": {}}'])
def test_what_is_no_line_of_ours_is_shown_as_it_is(line):
    assert readable(f"{line}\n") == line
