"""The built functions, started by AWS's own runtime interface emulator, on moto's server with the template's resources.

What is started is built for this machine (.aws-sam/here): the same packages in the same versions as for AWS, as wheels
for this processor and this Python.
"""

import asyncio
import json
import os
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import imageio_ffmpeg
import pytest

from duckline import shipped
from duckline.timeline import FRAME_BYTES
from duckline.wav import mulaw_header
from local import emulator, function_process
from local.aws import Aws
from local.emulator import Emulator, Image
from local.function_process import FunctionSpec
from local.invocation import InvocationFailed
from local.lambda_service import LambdaService
from local.payload import Request, event
from local.template import Template
from local.twilio.signature import sign

HERE = Path(os.environ["DUCKLINE_BUILT"]).resolve() / "here"
TOKEN, SID = "0123456789abcdef" * 2, "CA" + "0123456789abcdef" * 2
PUBLIC_URL, STREAM_URL = "https://calls.example.com", "https://stream.example.com"
SETTINGS = {"TwilioAuthToken": TOKEN, "PublicUrl": PUBLIC_URL, "Delivery": "stream", "WindowSeconds": 5}
BOOTSTRAP = HERE / "StreamFunction" / "stream" / "bootstrap"
EDGE_FRAMES = 10  # a window fades in and out over 200 ms
FAULTY = """
import os, signal
from stream.runtime import StreamedResponse

def body(how):
    yield b"music"
    if how == "raise":
        raise ValueError("the music broke off " + 9000 * "x")
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    yield b" to its end"

def handler(event, context):
    if event["how"] == "before":
        raise KeyError("no such call")
    print("trace", context.trace_id, "of", context.aws_request_id)
    return StreamedResponse(200, {"Content-Type": "audio/wav"}, body(event["how"]), [])
"""

pytestmark = pytest.mark.skipif(emulator.binary() is None, reason="AWS's emulator is a program for Linux")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return Image(tmp_path_factory.mktemp("image"))


class Deployed:
    """The template's resources in moto, and the built functions over them, each started when it is first asked for."""

    def __init__(self, aws: Aws, image: Image, running: ExitStack) -> None:
        self.aws, self._image, self._running = aws, image, running
        self.template = Template.read(overrides=SETTINGS)
        self.made = {**aws.create(self.template), "StreamFunctionUrl": {"FunctionUrl": f"{STREAM_URL}/"}}
        self._started: dict[str, Emulator] = {}

    def secret(self, name: str) -> str:
        return self.aws.client("secretsmanager").get_secret_value(SecretId=self.made[name]["Ref"])["SecretString"]

    def emulator(self, name: str) -> Emulator:
        if name not in self._started:
            function = self.template.functions[name]
            managed = [str(self._image.programs / "python3"), "-m", "awslambdaric"]
            self._started[name] = self._running.enter_context(
                Emulator(
                    self._image,
                    HERE / name,
                    function.handler,
                    {**self.template.environment(function, self.made), **self.aws.environment},
                    command=[str(BOOTSTRAP)] if function.own_loop else managed,
                    paths=[HERE / "AudioLayer" / "python"] if name == "RenderFunction" else [],
                    timeout_s=function.timeout_s,
                    memory_mb=function.memory_mb,
                )
            )
        return self._started[name]

    def ask(self, function: str, route: str, headers: dict | None = None, body: bytes = b"", **path: str) -> bytes:
        """A request as its gateway makes an event of it; what the function answered, as Lambda would be given it."""
        method, _, template = route.rpartition(" ")
        made = event(
            Request(method or "GET", template.format(**path), "", list((headers or {}).items()), body, "203.0.113.7"),
            route=route if method else "$default",
            path_parameters=path,
            domain=urlsplit(PUBLIC_URL if method else STREAM_URL).netloc,
            request_id="00000000-0000-4000-8000-000000000000",
            now_ms=time.time_ns() // 1_000_000,
        )
        return self.emulator(function).invoke(made)

    def webhook(self, route: str) -> ElementTree.Element:
        form = [("CallSid", SID), ("From", "+14158675310"), ("CallStatus", "ringing")]
        signature = sign(TOKEN, f"{PUBLIC_URL}{route}", form)
        headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature}
        answer = json.loads(self.ask("VoiceFunction", f"POST {route}", headers, urlencode(form).encode()))
        assert answer["statusCode"] == 200, answer
        return ElementTree.fromstring(answer["body"])  # noqa: S314 - our own

    def api(self, route: str, body: bytes = b"", kind: str = "application/json", **path: str) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {self.secret('ApiKey')}", "content-type": kind}
        answer = json.loads(self.ask("RenderFunction", route, headers, body, **path))
        return answer["statusCode"], json.loads(answer["body"])


@pytest.fixture(scope="module")
def deployed(image):
    with asyncio.Runner() as runner, ExitStack() as running:
        aws = Aws()
        runner.run(aws.start())
        running.callback(lambda: runner.run(aws.stop()))
        yield Deployed(aws, image, running)


def split(answer: bytes) -> tuple[dict, bytes]:
    prelude, nuls, payload = answer.partition(bytes(8))
    assert nuls, answer[:300]
    return json.loads(prelude), payload


def sound(file: Path, seconds: int) -> bytes:
    tones = f"sine=f=440:d={seconds},tremolo=f=3"
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "lavfi", "-i", tones, str(file)]
    subprocess.run(program, check=True)
    return file.read_bytes()


def test_the_call_that_voice_takes_is_heard_from_stream(deployed):
    twiml = deployed.webhook("/voice")
    play = twiml.find("Play").text
    assert play.startswith(f"{STREAM_URL}/stream/")
    assert twiml.find("Redirect").text.startswith(f"{PUBLIC_URL}/voice/next")
    prelude, wav = split(deployed.ask("StreamFunction", urlsplit(play).path))
    assert prelude["statusCode"] == 200
    assert prelude["headers"] == {"Content-Type": "audio/wav", "Cache-Control": "no-store"}
    frames = 5 * 50
    header, audio = wav[:58], wav[58:]
    assert header == mulaw_header(frames * FRAME_BYTES)
    assert len(audio) == frames * FRAME_BYTES
    edge = EDGE_FRAMES * FRAME_BYTES
    assert audio[edge:-edge] == shipped.frames(EDGE_FRAMES, frames - 2 * EDGE_FRAMES)


def test_a_token_that_nobody_signed_is_refused_by_the_stream(deployed):
    prelude, body = split(deployed.ask("StreamFunction", "/stream/nonsense.wav"))
    assert prelude["statusCode"] == 403
    assert json.loads(body)["status"] == 403


def test_render_answers_the_api_with_the_key_and_refuses_without(deployed):
    status, answer = deployed.api("GET /beds")
    assert (status, list(answer)) == (200, ["beds"])
    refused = json.loads(deployed.ask("RenderFunction", "GET /beds"))
    assert refused["statusCode"] == 401


def test_render_makes_a_bed_of_an_upload_and_a_speech_of_audio(deployed, tmp_path):
    """Through the layer's ffmpeg, soxr and numpy."""
    song, words = sound(tmp_path / "song.mp3", seconds=8), sound(tmp_path / "words.mp3", seconds=2)
    bucket = deployed.made["Bucket"]["Ref"]
    deployed.aws.client("s3").put_object(Bucket=bucket, Key="uploads/calm/1", Body=song)
    work = {"detail-type": "Object Created", "detail": {"object": {"key": "uploads/calm/1"}}}
    record = {"messageId": "1", "body": json.dumps(work), "eventSource": "aws:sqs"}
    assert json.loads(deployed.emulator("RenderFunction").invoke({"Records": [record]})) == {"batchItemFailures": []}
    status, bed = deployed.api("GET /beds/{name}", name="calm")
    assert (status, bed["state"]) == (200, "ready"), bed

    deployed.webhook("/voice")  # the call is known
    status, speech = deployed.api("POST /calls/{sid}/speeches", words, "audio/mpeg", sid=SID)
    assert (status, speech["state"]) == (201, "scheduled"), speech
    assert 1800 < speech["duration_ms"] < 2300


# -- failures, by a handler beside the built loop --------------------------------------------------------------------


@pytest.fixture(scope="module")
def faulty(image, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "faulty.py").write_text(FAULTY, encoding="utf-8")
    with Emulator(
        image, HERE / "StreamFunction", "faulty.handler", {}, command=[str(BOOTSTRAP)], paths=[folder], timeout_s=20
    ) as running:
        yield running


def test_a_response_that_breaks_in_its_midst_ends_there_and_the_process_serves_on(faulty):
    for how, heard in [("well", b"music to its end"), ("raise", b"music"), ("well", b"music to its end")]:
        prelude, payload = split(faulty.invoke({"how": how}))
        assert (prelude["statusCode"], payload) == (200, heard)
    assert sum("INIT START" in line for line in faulty.lines) == 1
    assert any('"message": "ValueError: the music broke off' in line for line in faulty.lines)


def test_what_fails_before_the_response_is_an_error_of_the_invocation(faulty):
    error = json.loads(faulty.invoke({"how": "before"}))
    assert (error["errorType"], error["errorMessage"]) == ("KeyError", "'no such call'")
    assert split(faulty.invoke({"how": "well"}))[1] == b"music to its end"


def test_a_process_that_dies_in_mid_response_is_followed_by_a_new_one(faulty):
    error = json.loads(faulty.invoke({"how": "die"}))
    assert error["errorType"] == "Runtime.ExitError"
    assert split(faulty.invoke({"how": "well"}))[1] == b"music to its end"


def test_the_trailers_of_the_built_loop_tell_what_broke(tmp_path, monkeypatch):
    """The emulator keeps trailers to itself; the Runtime API of the local stack hands them on."""
    (tmp_path / "faulty.py").write_text(FAULTY, encoding="utf-8")
    monkeypatch.setattr(function_process, "BOOTSTRAP", BOOTSTRAP)
    spec = FunctionSpec("stream", "faulty.handler", "streaming", {}, 20, 256, HERE / "StreamFunction", (tmp_path,))

    async def broken() -> tuple[bytes, InvocationFailed | None]:
        async with LambdaService([spec]) as service:
            answer = await service.invoke_streaming("stream", {"how": "raise"})
            heard = b""
            with pytest.raises(InvocationFailed):
                async for chunk in answer.body:
                    heard += chunk
            await answer.ended()
            return heard, answer.failed

    heard, failed = asyncio.run(broken())
    assert heard == b"music"
    assert failed.kind == "Function.ValueError"
    assert failed.error["errorMessage"].startswith("the music broke off")
