"""The stand-ins for AWS: a real moto server with the template's resources."""

import asyncio
import http.client
import json
import os
import subprocess
import sys
import urllib.parse
import uuid
from contextlib import closing

import pytest

from local.aws import Aws, StartError
from local.intrinsics import TemplateError
from local.queues import QueuePoller
from local.template import QueueSource, Template

TOKEN = "0123456789abcdef" * 2
TRIES = 5  # the template's maxReceiveCount


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as running:
        yield running


@pytest.fixture(scope="module")
def aws(runner):
    os.environ["AWS_PROFILE"] = "nobody-has-this-one"  # what the developer's shell may say is not to matter
    server = Aws()
    runner.run(server.start())
    try:
        yield server
    finally:
        runner.run(server.stop())
        del os.environ["AWS_PROFILE"]


@pytest.fixture(scope="module")
def made(aws):
    return aws.create(Template.read(overrides={"TwilioAuthToken": TOKEN}))


def test_every_resource_that_a_function_names_is_there(made):
    template = Template.read(overrides={"TwilioAuthToken": TOKEN})
    known = {**made, "StreamFunctionUrl": {"FunctionUrl": "http://127.0.0.1:1/"}}
    for function in template.functions.values():
        environment = template.environment(function, known)
        assert environment["DUCKLINE_TABLE"] == made["Table"]["Ref"]
        assert environment["DUCKLINE_WORK_QUEUE_URL"].startswith("http://127.0.0.1:")


def test_the_table_has_its_keys_its_indexes_and_its_expiry(aws, made):
    dynamodb = aws.client("dynamodb")
    table = dynamodb.describe_table(TableName=made["Table"]["Ref"])["Table"]
    assert [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]] == [("pk", "HASH"), ("sk", "RANGE")]
    assert [index["IndexName"] for index in table["GlobalSecondaryIndexes"]] == ["live"]
    assert [index["IndexName"] for index in table["LocalSecondaryIndexes"]] == ["by_order"]
    expiry = dynamodb.describe_time_to_live(TableName=made["Table"]["Ref"])["TimeToLiveDescription"]
    assert expiry["AttributeName"] == "expires_at"


def test_only_a_call_with_live_is_in_the_index_of_live_calls(aws, made):
    dynamodb, table = aws.client("dynamodb"), made["Table"]["Ref"]
    live = {"pk": {"S": "CA1"}, "sk": {"S": "CALL"}, "live": {"S": "1"}, "started_at_ms": {"N": "5"}}
    over = {"pk": {"S": "CA2"}, "sk": {"S": "CALL"}, "started_at_ms": {"N": "6"}}
    for item in (live, over):
        dynamodb.put_item(TableName=table, Item=item)
    found = dynamodb.query(
        TableName=table,
        IndexName="live",
        KeyConditionExpression="live = :one",
        ExpressionAttributeValues={":one": {"S": "1"}},
    )["Items"]
    assert found == [live]


def test_secrets_are_generated_and_the_twilio_token_is_the_users(aws, made):
    def value(name):
        return aws.client("secretsmanager").get_secret_value(SecretId=made[name]["Ref"])["SecretString"]

    assert value("TwilioToken") == TOKEN
    assert (len(value("StreamKey")), len(value("ApiKey"))) == (64, 40)
    assert value("ApiKey").isalnum()


def test_an_upload_comes_to_the_work_queue_and_nothing_else_does(aws, made):
    s3, sqs, bucket, url = aws.client("s3"), aws.client("sqs"), made["Bucket"]["Ref"], made["WorkQueue"]["Ref"]
    s3.put_object(Bucket=bucket, Key="clips/CA1/x.ulaw", Body=b"sound")
    assert posted(s3.generate_presigned_post(bucket, "uploads/calm/1"), b"music") == 204
    received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10, MaxNumberOfMessages=10)["Messages"]
    (event,) = (json.loads(message["Body"]) for message in received)
    assert (event["source"], event["detail-type"]) == ("aws.s3", "Object Created")
    assert (event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]) == (bucket, "uploads/calm/1")
    assert s3.get_object(Bucket=bucket, Key="uploads/calm/1")["Body"].read() == b"music"
    for message in received:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def posted(form, content):
    """The status of an upload by a presigned POST, as a browser makes it."""
    boundary = uuid.uuid4().hex
    parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in form["fields"].items()]
    parts.append(b'name="file"; filename="calm.mp3"\r\n\r\n' + content)
    body = (
        b"".join(b"--%b\r\nContent-Disposition: form-data; %b\r\n" % (boundary.encode(), part) for part in parts)
        + b"--%b--\r\n" % boundary.encode()
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    where = urllib.parse.urlsplit(form["url"])
    with closing(http.client.HTTPConnection(where.netloc)) as connection:
        connection.request("POST", where.path, body, headers)
        return connection.getresponse().status


def test_work_that_fails_again_and_again_ends_in_the_dead_letter_queue(runner, aws, made):
    async def story():
        attempts, given_up = [], asyncio.Event()

        async def invoke(event):
            attempts.append(event["Records"][0]["attributes"]["ApproximateReceiveCount"])
            if len(attempts) == TRIES:
                given_up.set()
            raise RuntimeError("it broke")

        sqs, work = aws.client("sqs"), made["WorkQueue"]
        sqs.set_queue_attributes(QueueUrl=work["Ref"], Attributes={"VisibilityTimeout": "0"})
        source = QueueSource("WorkQueue", batch_size=1, max_concurrency=1, reports_failures=True)
        poller = QueuePoller(source, url=work["Ref"], arn=work["Arn"], sqs=sqs, invoke=invoke)
        poller.start()
        sqs.send_message(QueueUrl=work["Ref"], MessageBody="music that is none")
        await asyncio.wait_for(given_up.wait(), 20)
        dead = await asyncio.to_thread(sqs.receive_message, QueueUrl=made["DeadLetters"]["Ref"], WaitTimeSeconds=20)
        await poller.stop()
        assert attempts == [str(attempt) for attempt in range(1, TRIES + 1)]
        assert [message["Body"] for message in dead["Messages"]] == ["music that is none"]

    runner.run(story())


def test_a_resource_that_is_not_known_here_is_named(aws):
    template = Template("Resources: {Bell: {Type: 'AWS::SNS::Topic'}}")
    with pytest.raises(TemplateError, match="does not know AWS::SNS::Topic"):
        aws.create(template)


def test_the_server_ends_when_who_started_it_is_gone():
    command = [sys.executable, "-m", "local.moto_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert int(server.stdout.readline()) > 0
        server.stdin.close()
        assert server.wait(timeout=20) == 0


def test_a_server_that_does_not_come_up_is_told(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")

    async def story():
        server = Aws()
        try:
            with pytest.raises(StartError, match="ended before it was ready, with exit status 1"):
                await server.start()
        finally:
            await server.stop()

    asyncio.run(story())
