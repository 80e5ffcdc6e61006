"""The entry module as Lambda loads it, against moto's DynamoDB, S3 and Secrets Manager; its waiting is hurried."""

import importlib
import io
import itertools
import json
import struct
import subprocess
import sys
import wave
from concurrent.futures import wait
from dataclasses import dataclass

import boto3
import numpy as np
import pytest
from moto import mock_aws

from duckline import schedule, stream_token
from duckline.berth import EDGE_FRAMES
from duckline.call import BedSpan, Call
from duckline.clock import SystemClock
from duckline.sound import mulaw
from duckline.timeline import FRAME_BYTES

STREAM_KEY, NEW_KEY = "k" * 64, "n" * 64
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "DUCKLINE_TABLE": "calls",
    "DUCKLINE_BUCKET": "sound",
    "DUCKLINE_WORK_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/work",
    "DUCKLINE_EVENT_BUS": "default",
    "DUCKLINE_STREAM_KEY_SECRET": "stream-key",
    "DUCKLINE_DELIVERY": "stream",
    "POWERTOOLS_SERVICE_NAME": "duckline-test",
}
HEADERS = {"Content-Type": "audio/wav", "Cache-Control": "no-store"}


class HurriedClock(SystemClock):
    """Where the stream would sleep, time leaps; where it works or waits for others, time stands still."""

    def __init__(self):
        self.began_ms, self.passed_ms = super().now_ms(), 0.0

    def now_ms(self):
        return self.began_ms + int(self.passed_ms)

    def monotonic_ms(self):
        return self.passed_ms

    def sleep_until(self, monotonic_ms):
        self.passed_ms = max(self.passed_ms, monotonic_ms)

    def wait(self, task, until_monotonic_ms):
        wait([task], timeout=20)


@dataclass
class Context:
    remaining_ms: int = 900_000
    aws_request_id: str = "request-1"
    function_name: str = "stream"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda"

    def get_remaining_time_in_millis(self):
        return self.remaining_ms


@pytest.fixture(scope="module")
def entry():
    """stream.handler as a cold start loads it, on the resources that the template makes for it."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        boto3.client("dynamodb").create_table(
            TableName="calls",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        boto3.client("s3").create_bucket(Bucket="sound")
        boto3.client("secretsmanager").create_secret(Name="stream-key", SecretString=STREAM_KEY)
        boto3.client("sqs").create_queue(QueueName="work")
        sys.modules.pop("stream.handler", None)
        entry = importlib.import_module("stream.handler")
        entry.clock = entry.sources.clock = HurriedClock()
        entry.log.registered_handler.stream = io.StringIO()  # the output of one test is closed in the next
        yield entry
        sys.modules.pop("stream.handler").background.pool.shutdown()


@pytest.fixture
def call(entry, stage):
    """A call with a sid of its own, over the bed "warm"."""
    for key, body in stage.cloud.sounds.objects.items():
        if key.startswith("beds/warm/"):
            entry.sounds.put(key, body)
    return Opened(entry)


class Opened:
    """A call whose first window is given out."""

    numbers = itertools.count()

    def __init__(self, entry):
        self.entry, self.sid = entry, f"CA{next(self.numbers):032x}"

    def window(self, frames=500):
        """Gives it out; answers with the path of its stream."""
        now_ms = self.entry.clock.now_ms()
        opened = Call(
            self.sid,
            beds=(BedSpan(0, "warm", "warm"),),
            started_at_ms=now_ms,
            window_until=frames,
            grid_frames=frames,
            opening_at_ms=now_ms,
        )
        self.entry.calls.create(opened)
        return self.path()

    def path(self, *, key=STREAM_KEY, epoch=1, good_for_s=60):
        expires_at_s = self.entry.clock.now_ms() // 1000 + good_for_s
        return f"/stream/{stream_token.issue(key, self.sid, epoch, expires_at_s)}.wav"

    @property
    def item(self):
        return self.entry.calls.get(self.sid)

    def end(self):
        call = self.item
        self.entry.calls.write(call, schedule.end(call, now_ms=self.entry.clock.now_ms(), reason="completed"))


def ask(entry, path, method="GET", context=None, **headers):
    http = {"method": method, "path": path}
    event = {"version": "2.0", "rawPath": path, "headers": headers, "requestContext": {"http": http}}
    return entry.handler(event, context or Context())


def answer(entry, path, method="GET", context=None, **headers):
    response = ask(entry, path, method, context, **headers)
    return response.status, dict(response.headers), b"".join(response.body)


# -- the sound ------------------------------------------------------------------------------------


def test_the_header_tells_exactly_what_is_sent_and_what_is_sent_is_the_bed(entry, call, stage):
    status, headers, body = answer(entry, call.window(1000))
    assert (status, headers) == (200, HEADERS)
    sound = 1000 * FRAME_BYTES
    riff, riff_size, kind, fmt, fmt_size = struct.unpack_from("<4sI4s4sI", body)
    assert (riff, riff_size, kind, fmt, fmt_size) == (b"RIFF", len(body) - 8, b"WAVE", b"fmt ", 18)
    assert struct.unpack_from("<HHIIHHH", body, 20) == (7, 1, 8000, 8000, 1, 8, 0)
    assert struct.unpack_from("<4sII4sI", body, 38) == (b"fact", 4, sound, b"data", sound)
    assert len(body) == 58 + sound
    inside = slice(EDGE_FRAMES * FRAME_BYTES, -EDGE_FRAMES * FRAME_BYTES)
    assert body[58:][inside] == stage.bed("warm", 0, 1000)[inside]
    item = call.item
    assert (item.done, item.sealed, item.window_until) == (1, 1000, 1000)


def test_as_pcm16_the_same_sound_takes_two_bytes_a_sample(entry, call, stage, monkeypatch):
    monkeypatch.setattr(entry, "FORMAT", "pcm16")
    status, headers, body = answer(entry, call.window())
    assert (status, headers) == (200, HEADERS)
    assert struct.unpack_from("<4sI", body) == (b"RIFF", len(body) - 8)
    with wave.open(io.BytesIO(body)) as file:
        assert file.getparams()[:4] == (1, 2, 8000, 500 * FRAME_BYTES)
        pcm = np.frombuffer(file.readframes(1_000_000), "<i2")
    assert len(body) == 44 + 2 * len(pcm)
    inside = slice(EDGE_FRAMES * FRAME_BYTES, -EDGE_FRAMES * FRAME_BYTES)
    assert np.array_equal(pcm[inside] / 32768, mulaw.decode(stage.bed("warm", 0, 500))[inside])


def test_the_header_tells_of_a_window_that_a_near_deadline_shortens(entry, call):
    _, _, body = answer(entry, call.window(3000), context=Context(remaining_ms=5000 + 8000))
    assert struct.unpack_from("<I", body, 54) == (400 * FRAME_BYTES,)
    assert len(body) == 58 + 400 * FRAME_BYTES
    assert call.item.done == 1


def test_every_piece_of_the_body_is_at_most_250_ms(entry, call):
    header, *chunks = ask(entry, call.window()).body
    assert len(header) == 58
    assert all(FRAME_BYTES <= len(chunk) <= 2000 for chunk in chunks)


def test_a_call_that_ends_in_mid_window_ends_the_body(entry, call):
    body = iter(ask(entry, call.window(3000)).body)
    for _ in range(20):
        next(body)
    call.end()
    assert len(b"".join(body)) <= 26 * FRAME_BYTES


def test_a_body_that_nobody_reads_on_is_closed_and_accounted_for(entry, call):
    body = iter(ask(entry, call.window(3000)).body)
    for _ in range(20):
        next(body)
    body.close()
    *_, line = map(json.loads, entry.log.registered_handler.stream.getvalue().splitlines())
    assert (line["message"], line["call_sid"], line["epoch"]) == ("window over", call.sid, 1)
    assert {"frames", "late_ms", "unsealed_steps", "missed_speeches", "ended_by", "substituted_frames"} <= set(line)
    assert call.item.done == 0


# -- who asks, and how ----------------------------------------------------------------------------


def test_head_has_the_same_headers_and_no_effect(entry, call):
    url = call.window()
    before = call.item
    assert answer(entry, url, "HEAD") == (200, HEADERS, b"")
    assert call.item == before
    assert len(answer(entry, url)[2]) == 58 + 500 * FRAME_BYTES


def test_a_range_is_ignored(entry, call):
    status, headers, body = answer(entry, call.window(), range="bytes=0-99")
    assert (status, headers) == (200, HEADERS)
    assert len(body) == 58 + 500 * FRAME_BYTES


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda call, url: "/stream/.wav",
        lambda call, url: "/stream/" + "x" * 5000,
        lambda call, url: "/stream/é%00.ü.wav",
        lambda call, url: url.replace(".wav", "x.wav"),
        lambda call, url: url.removesuffix(".wav")[:-1] + ".wav",
        lambda call, url: call.path(key="f" * 64),
        lambda call, url: call.path(good_for_s=-1),
    ],
    ids=["none", "long", "odd", "more", "less", "foreign", "expired"],
)
def test_a_token_that_is_not_good_gets_403_and_has_no_effect(entry, call, method, spoil):
    before = call.window(), call.item
    status, headers, body = answer(entry, spoil(call, before[0]), method)
    assert (status, headers) == (403, {"Content-Type": "application/problem+json"})
    problem = json.loads(body)
    assert (problem["status"], problem["title"]) == (403, "Not allowed")
    assert "stream token" in problem["detail"]
    assert call.item == before[1]


def test_a_good_token_for_another_window_gets_403(entry, call):
    call.window()
    status, _, body = answer(entry, call.path(epoch=2))
    assert (status, json.loads(body)["detail"]) == (403, f"window 2 of call {call.sid} is not open")


def test_a_call_that_is_over_gets_403(entry, call):
    url = call.window()
    call.end()
    assert answer(entry, url)[0] == 403


def test_while_the_key_is_rotated_tokens_of_both_are_good(entry, call):
    entry.secrets.kept.clear()  # strangers have just had them asked for
    assert answer(entry, call.window(), "HEAD")[0] == 200
    manager = boto3.client("secretsmanager")
    manager.put_secret_value(SecretId="stream-key", SecretString=NEW_KEY)
    try:
        paths = [call.path(key=key) for key in (NEW_KEY, STREAM_KEY, "f" * 64)]
        assert [answer(entry, path, "HEAD")[0] for path in paths] == [200, 200, 403]
    finally:
        manager.put_secret_value(SecretId="stream-key", SecretString=STREAM_KEY)
        entry.secrets.kept.clear()


def test_a_table_that_cannot_be_reached_gets_503(entry, call, monkeypatch):
    url = call.window()
    monkeypatch.setattr(entry.calls.calls, "table", "gone")
    status, _, body = answer(entry, url)
    assert status == 503
    assert json.loads(body) == {"title": "Try again", "status": 503, "detail": "the call cannot be read right now"}


def test_a_second_fetch_is_answered_too_and_ends_the_first(entry, call):
    url = call.window(1000)
    first = iter(ask(entry, url).body)
    for _ in range(20):
        next(first)
    second = iter(ask(entry, url).body)
    assert len(next(second)) == 58
    assert len(b"".join(first)) <= 26 * FRAME_BYTES
    assert len(b"".join(second)) > 800 * FRAME_BYTES
    assert call.item.done == 1


# -- its start ------------------------------------------------------------------------------------


def measured(capsys):
    """The metrics of the window that was played last."""
    *_, last = (json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line)
    return last


def test_a_window_that_is_over_is_measured_for_its_stack(entry, call, capsys):
    answer(entry, call.window())
    metrics = measured(capsys)
    [directive] = metrics["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("Duckline", [["service"]])
    assert (metrics["service"], metrics["Windows"], metrics["LateMs"]) == ("duckline-test", [1], [0])
    assert "OrphanSecondsSaved" not in metrics


def test_what_a_hang_up_spares_is_measured_in_seconds(entry, call, capsys):
    body = iter(ask(entry, call.window(1000)).body)
    next(body)
    call.end()
    frames = sum(map(len, body)) // FRAME_BYTES
    assert 0 < frames < 200
    assert measured(capsys)["OrphanSecondsSaved"] == [(1000 - frames) / 50]


def test_a_request_that_is_refused_is_no_window(entry, call, capsys):
    assert answer(entry, call.path(key="x" * 64))[0] == 403
    assert '"_aws"' not in capsys.readouterr().out


def run(program, **changed):
    """`program` in a Python of its own, as a cold start."""
    environment = {**ENVIRONMENT, **changed, "PYTHONPATH": ":".join(sys.path)}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)


def test_the_entry_loads_no_numpy():
    done = run("import sys, stream.handler; print(*sorted({name for name in sys.modules}))")
    assert done.returncode == 0, done.stderr
    assert not {"numpy", "soxr", "pydub", "twilio", "aiohttp", "render", "voice"} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("DUCKLINE_TABLE", "", "DUCKLINE_TABLE is not set"),
        ("DUCKLINE_STREAM_FORMAT", "mp3", "DUCKLINE_STREAM_FORMAT is 'mp3'; one of mulaw, pcm16"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_one_line_at_the_start(name, value, line):
    done = run("import stream.handler", **{name: value})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"duckline.errors.SettingMissing: {line}")
