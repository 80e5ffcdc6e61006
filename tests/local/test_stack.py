"""The local stack as a whole: real processes and sockets, small functions of the tests' own, the real template."""

import asyncio
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from local.aws import StartError
from local.stack import PROJECT, Stack, chosen_port
from local.template import SettingError

VOICE = """
import os

def handler(event, context):
    return {"environment": dict(os.environ), "timeout_ms": context.get_remaining_time_in_millis()}
"""
RENDER = """
import json, os
import boto3

def handler(event, context):
    if "Records" in event:
        sqs = boto3.client("sqs")
        seen = sqs.create_queue(QueueName="seen")["QueueUrl"]
        for record in event["Records"]:
            sqs.send_message(QueueUrl=seen, MessageBody=record["body"])
        return {"batchItemFailures": []}
    key = {"pk": {"S": event["pathParameters"]["sid"]}, "sk": {"S": "CALL"}}
    boto3.client("dynamodb").put_item(TableName=os.environ["DUCKLINE_TABLE"], Item=key)
    return {"statusCode": 201, "body": "kept"}
"""
STREAM = """
from stream.runtime import StreamedResponse

def handler(event, context):
    return StreamedResponse(200, {"Content-Type": "audio/wav"}, iter([b"RIFF", event["rawPath"].encode()]))
"""


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as running:
        yield running


@pytest.fixture(scope="module")
def stack(runner, tmp_path_factory):
    functions = tmp_path_factory.mktemp("functions")
    for name, code in (("voice", VOICE), ("render", RENDER), ("stream", STREAM)):
        package = functions / name
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "handler.py").write_text(code)
    for module in ("runtime.py", "runtime_api.py"):
        shutil.copy(PROJECT / "functions" / "stream" / module, functions / "stream")
    built = Stack(settings={"WindowSeconds": 20}, environ={"DUCKLINE_DEFAULT_BED": "calm"}, functions=functions)
    runner.run(built.__aenter__())
    yield built
    runner.run(built.__aexit__(None, None, None))


def asked(runner, stack, method, path, **options):
    async def request():
        url = stack.base_url + path
        async with aiohttp.ClientSession() as client, client.request(method, url, **options) as response:
            return response.status, await response.read()

    return runner.run(request())


@pytest.fixture(scope="module")
def voice(runner, stack):
    """What the voice function of the tests tells of itself."""
    status, body = asked(runner, stack, "POST", "/voice")
    assert status == 200
    return json.loads(body)


def test_a_function_has_the_environment_that_the_template_gives_it(stack, voice):
    environment = voice["environment"]
    assert environment["DUCKLINE_TABLE"] == stack.resources["Table"]["Ref"]
    assert environment["DUCKLINE_STREAM_URL"] == f"{stack.base_url}/"
    assert environment["DUCKLINE_PUBLIC_URL"] == stack.base_url
    assert environment["AWS_ENDPOINT_URL"] == stack.aws.endpoint_url


def test_settings_come_from_the_environment_the_caller_the_stack_and_the_template(voice):
    environment = voice["environment"]
    assert environment["DUCKLINE_DEFAULT_BED"] == "calm"
    assert environment["DUCKLINE_WINDOW_SECONDS"] == "20"
    assert environment["DUCKLINE_DELIVERY"] == "stream"  # auto on AWS
    assert environment["DUCKLINE_EVENT_BUS"] == "default"


def test_a_function_has_the_timeout_of_the_template(voice):
    assert 8_000 < voice["timeout_ms"] <= 10_000


def test_a_function_reaches_the_stand_ins_for_aws(runner, stack):
    assert asked(runner, stack, "GET", "/calls/CA1") == (201, b"kept")
    table = stack.aws.client("dynamodb").scan(TableName=stack.resources["Table"]["Ref"])
    assert [item["pk"]["S"] for item in table["Items"]] == ["CA1"]


def test_the_stream_answers_at_its_function_url(runner, stack):
    assert asked(runner, stack, "GET", "/stream/token.wav") == (200, b"RIFF/stream/token.wav")


def test_an_upload_becomes_work_for_render(runner, stack):
    sqs, s3 = stack.aws.client("sqs"), stack.aws.client("s3")
    seen = sqs.create_queue(QueueName="seen")["QueueUrl"]

    async def story():
        put = {"Bucket": stack.resources["Bucket"]["Ref"], "Key": "uploads/calm/1", "Body": b"music"}
        await asyncio.to_thread(s3.put_object, **put)
        return await asyncio.to_thread(sqs.receive_message, QueueUrl=seen, WaitTimeSeconds=20)

    (message,) = runner.run(story())["Messages"]
    assert json.loads(message["Body"])["detail"]["object"]["key"] == "uploads/calm/1"


def test_what_others_need_to_know_is_told(stack):
    state = stack.state()
    assert state["voice_url"] == f"{stack.base_url}/voice"
    assert state["status_url"] == f"{stack.base_url}/voice/status"
    assert state["api_url"] == stack.base_url
    assert len(state["twilio_auth_token"]) == 32
    secrets, key = stack.aws.client("secretsmanager"), stack.resources["ApiKey"]["Ref"]
    assert state["api_key"] == secrets.get_secret_value(SecretId=key)["SecretString"]


def test_a_port_that_is_taken_is_told_before_anything_starts():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stack = Stack(port)
        with pytest.raises(StartError, match=f"port {port} is in use by another program; PORT={port + 1}"):
            asyncio.run(stack.__aenter__())
    assert not stack.aws.endpoint_url


def test_a_setting_that_is_wrong_is_told_before_anything_starts():
    stack = Stack(environ={"DUCKLINE_WINDOW_SECONDS": "5000"})
    with pytest.raises(SettingError, match='DUCKLINE_WINDOW_SECONDS: "5000" is out of bounds'):
        asyncio.run(stack.__aenter__())
    assert not stack.aws.endpoint_url


@pytest.mark.parametrize("text", ["eighty", "-1", "65536", "80.5", "²"])
def test_a_port_that_is_none_is_quoted(text):
    with pytest.raises(SettingError, match=f'PORT: "{text}" is not a port'):
        chosen_port({"PORT": text})


def test_the_port_is_8080_unless_told_otherwise():
    assert (chosen_port({}), chosen_port({"PORT": ""}), chosen_port({"PORT": "0"})) == (8080, 8080, 0)


def dev(state: Path, **variables: str) -> subprocess.Popen:
    """`make dev`, with its state in a folder of the test's own."""
    code = "import sys, pathlib; from local import stack; sys.exit(stack.main(pathlib.Path(sys.argv[1])))"
    paths = [PROJECT / "layers" / "audio", PROJECT / "functions", PROJECT]
    return subprocess.Popen(
        [sys.executable, "-c", code, str(state)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PORT": "0", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_make_dev_tells_its_addresses_while_it_runs_and_goes_without_a_trace(tmp_path, number):
    (tmp_path / "stack.json").write_text("of a stack that was killed")
    with dev(tmp_path) as running:
        lines = [running.stdout.readline()]
        while lines[-1] and "all of this" not in lines[-1]:
            lines.append(running.stdout.readline())
        file = tmp_path / "stack.json"
        state = json.loads(file.read_text())
        assert f"  status callback    POST {state['status_url']}\n" in lines
        assert stat.S_IMODE(file.stat().st_mode) == 0o600  # the key is in it
        port = int(state["api_url"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)):
            running.send_signal(number)
            assert running.wait(timeout=30) == 0
        assert running.stderr.read() == ""
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_stack_that_cannot_start_leaves_the_addresses_of_the_one_that_runs(tmp_path):
    (tmp_path / "stack.json").write_text("of the one that runs")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with dev(tmp_path, PORT=str(port)) as failed:
            said, why = failed.communicate(timeout=60)
    assert (failed.returncode, said) == (2, "")
    assert why.startswith(f"the stack cannot start: port {port} is in use")
    assert why.count("\n") == 1
    assert (tmp_path / "stack.json").read_text() == "of the one that runs"


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"DUCKLINE_LEAD": "0.45"}, "DUCKLINE_LEAD is no setting; DUCKLINE_LEAD_SECONDS would be right"),
        ({"DUCKLINE_DELIVERY": "slow"}, 'DUCKLINE_DELIVERY: "slow" is not one of auto, stream, short, burst'),
        (
            {"BED": "/no/song.mp3"},
            'BED: "/no/song.mp3" is no file; a song as MP3, OGG, FLAC, M4A or WAV would be right',
        ),
        ({"PORT": "eighty"}, 'PORT: "eighty" is not a port; a number from 0 (any free one) to 65535 would be right'),
    ],
)
def test_make_dev_says_in_one_line_why_it_cannot_start(tmp_path, variables, complaint):
    with dev(tmp_path, **variables) as failed:
        said, why = failed.communicate(timeout=60)
    assert (failed.returncode, said, why) == (2, "", f"the stack cannot start: {complaint}\n")
