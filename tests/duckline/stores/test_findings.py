"""The finding about `<Play>` is kept for all calls, the last one counting."""

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from duckline.delivery import Finding
from duckline.stores import NotReached
from duckline.stores.findings import DynamoFindings, MemoryFindings

CUT = Finding("short", "a window of 840 s, in real time, broken off, was followed after 15.2 s", 1_800_000_000_000)
WHOLE = Finding("stream", "a window of 8 s, 4 s of it at once, all sent, was followed after 8.3 s", 1_700_000_000_000)


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(
            TableName="calls",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        yield client


@pytest.fixture(params=["memory", "dynamodb"])
def findings(request):
    if request.param == "memory":
        return MemoryFindings()
    return DynamoFindings(request.getfixturevalue("table"), "calls")


def test_nothing_is_known_at_first(findings):
    assert findings.get() is None


def test_a_finding_comes_back_whole_and_the_last_one_counts(findings):
    findings.keep(WHOLE)
    assert findings.get() == WHOLE
    findings.keep(CUT)
    assert findings.get() == CUT


def test_a_table_that_cannot_be_reached_is_told():
    impatient = Config(connect_timeout=0.2, read_timeout=0.2, retries={"total_max_attempts": 1})
    nobody = boto3.client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=impatient,
    )
    findings = DynamoFindings(nobody, "calls")
    with pytest.raises(NotReached, match="the finding"):
        findings.get()
    with pytest.raises(NotReached, match="the finding"):
        findings.keep(CUT)
