"""How many calls are going on, whatever the index says of those of whose end nobody told."""

import boto3
import pytest
from botocore.config import Config

from duckline.call import BedSpan, Call
from duckline.schedule import end
from duckline.stores import Hold, NotReached
from duckline.stores.dynamodb import DynamoCalls
from duckline.stores.occupancy import AT_ONCE, LONGEST_CALL_MS, SILENT_MS, DynamoOccupancy

NOW_MS = 1_800_000_000_000


@pytest.fixture
def calls(dynamodb, table_name):
    return DynamoCalls(dynamodb, table_name)


@pytest.fixture
def occupancy(dynamodb, table_name):
    return DynamoOccupancy(dynamodb, table_name)


def begin(calls, number, at_ms=NOW_MS):
    span, sid = BedSpan(0, "v", "hold"), f"CA{number:032x}"
    return calls.create(Call(sid, beds=(span,), started_at_ms=at_ms, opening_at_ms=at_ms, holder="h"))


def test_calls_that_go_on_are_counted_and_those_that_ended_are_not(calls, occupancy):
    assert occupancy.live(NOW_MS, 10) == 0
    for number in range(4):
        begin(calls, number)
    ended = calls.get(f"CA{0:032x}")
    calls.write(ended, end(ended, now_ms=NOW_MS, reason="completed"))
    assert occupancy.live(NOW_MS, 10) == 3


def test_no_further_is_counted_than_to_the_bound(calls, occupancy):
    for number in range(5):
        begin(calls, number)
    assert occupancy.live(NOW_MS, 2) == 2


def test_a_call_of_whose_end_nobody_told_takes_nobodys_place(calls, occupancy):
    long_ago_ms = NOW_MS - SILENT_MS - 1
    for number in range(3):
        begin(calls, number, long_ago_ms)
    calls.seal(f"CA{1:032x}", Hold(1, "h"), 100, now_ms=NOW_MS - 200)
    assert occupancy.live(NOW_MS, 3) == 1  # the one that is sealed


def test_more_calls_than_one_request_reads_are_all_looked_at(calls, occupancy):
    for number in range(AT_ONCE + 5):
        begin(calls, number, NOW_MS - (SILENT_MS + 1) * (number % 2))
    assert occupancy.live(NOW_MS, AT_ONCE + 5) == AT_ONCE // 2 + 3


def test_a_call_older_than_twilio_lets_any_be_is_not_in_the_way(calls, occupancy):
    begin(calls, 1, NOW_MS - LONGEST_CALL_MS - 1)
    assert occupancy.live(NOW_MS, 1) == 0


def test_what_could_not_be_read_counts_as_alive(calls, occupancy, dynamodb, monkeypatch):
    for number in range(3):
        begin(calls, number, NOW_MS - 2 * SILENT_MS)

    def refuse(**asked):
        return {"Responses": {}, "UnprocessedKeys": asked["RequestItems"]}

    monkeypatch.setattr(dynamodb, "batch_get_item", refuse)
    assert occupancy.live(NOW_MS, 3) == 3


def test_a_table_that_cannot_be_reached_is_told():
    impatient = Config(connect_timeout=0.2, read_timeout=0.2, retries={"total_max_attempts": 1})
    secret = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    nobody = boto3.client("dynamodb", "us-east-1", endpoint_url="http://127.0.0.1:9", config=impatient, **secret)
    with pytest.raises(NotReached, match="the live calls"):
        DynamoOccupancy(nobody, "calls").live(NOW_MS, 10)
