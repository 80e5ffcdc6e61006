"""The stream's entry: who asks, for which window, and its sound as a WAV that flows."""

import json
import os
import uuid
from collections.abc import Iterator
from functools import cache

import boto3
from aws_lambda_powertools import Logger, Metrics
from botocore.config import Config

from duckline import shipped, stream_token
from duckline.clock import Background, SystemClock
from duckline.delivery import Delivery
from duckline.errors import DucklineError, Forbidden, Unavailable
from duckline.meter import NAMESPACE, Meter
from duckline.settings import Storage, choice, number, text
from duckline.stores import NotReached
from duckline.stores.dynamodb import DynamoCalls, DynamoSpeeches
from duckline.stores.messages import EventBridgeEvents, SqsWork
from duckline.stores.observed import ObservedCalls, ObservedSpeeches
from duckline.stores.s3 import S3Sounds
from duckline.stores.secrets import Secrets
from duckline.timeline import FRAME_BYTES, ms_from_frames
from duckline.wav import mulaw_header, pcm16_header
from stream.books import Books
from stream.companding import pcm16
from stream.playing import NotHeld, Playing, Services, Tally
from stream.runtime import StreamedResponse
from stream.sources import Sources

HEADERS = {"Content-Type": "audio/wav", "Cache-Control": "no-store"}
SETTLED_WITHIN_MS = 800
DEADLINE_MARGIN_MS = 5000  # the window is over, and its books are kept, before Lambda ends the function
FIRM = Config(connect_timeout=0.2, read_timeout=0.2, retries={"total_max_attempts": 1}, tcp_keepalive=True)
PATIENT = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 3}, max_pool_connections=10)

log = Logger(service="stream")
meter = Meter(Metrics(namespace=NAMESPACE))
clock = SystemClock()


def warn(message: str, **fields) -> None:
    log.warning(message, extra=fields)


def tell(message: str, **fields) -> None:
    log.info(message, extra=fields)


background = Background(warn)
dynamodb, patient_dynamodb = boto3.client("dynamodb", config=FIRM), boto3.client("dynamodb", config=PATIENT)
storage = Storage.from_environment(os.environ)
calls = ObservedCalls(DynamoCalls(dynamodb, storage.table), meter)
speeches = ObservedSpeeches(DynamoSpeeches(patient_dynamodb, storage.table), tell, meter)
sounds = S3Sounds(boto3.client("s3", config=PATIENT), storage.bucket)
sources = Sources(sounds, clock, background, shipped.frames)
work = SqsWork(cache(lambda: boto3.client("sqs", config=PATIENT)), storage.work_queue_url)
events = EventBridgeEvents(cache(lambda: boto3.client("events", config=PATIENT)), storage.event_bus)
secrets = Secrets(boto3.client("secretsmanager", config=PATIENT), clock.monotonic_ms)
STREAM_KEY = text(os.environ, "DUCKLINE_STREAM_KEY_SECRET")
DELIVERY = Delivery.from_environment(os.environ)
LEAD_MS = number(os.environ, "DUCKLINE_LEAD_SECONDS", low=0.3, high=5, default=1.0) * 1000
FORMAT = choice(os.environ, "DUCKLINE_STREAM_FORMAT", ("mulaw", "pcm16"), default="mulaw")


@log.inject_lambda_context
def handler(event: dict, context) -> StreamedResponse:
    """`GET /stream/<token>.wav` for a window; HEAD has no effect, Range is ignored."""
    try:
        window = _window(event["rawPath"].rpartition("/")[2].removesuffix(".wav"))
        if event["requestContext"]["http"]["method"] == "HEAD":
            return StreamedResponse(200, HEADERS, [])
        playing = Playing(_services(), DELIVERY, lead_ms=LEAD_MS)
        longest_ms = context.get_remaining_time_in_millis() - DEADLINE_MARGIN_MS
        call = playing.open(window.call_sid, window.epoch, uuid.uuid4().hex[:8], longest_ms)
    except NotHeld as reason:
        return _problem(Forbidden(str(reason)))
    except NotReached:
        log.exception("the call's item cannot be reached")
        return _problem(Unavailable("the call cannot be read right now"))
    except DucklineError as error:
        return _problem(error)
    return StreamedResponse(200, HEADERS, _body(playing, call.window_until - call.window_from))


def _window(token: str) -> stream_token.Token:
    """What `token` lets in; a key that has just been rotated is asked for. Raises Forbidden."""
    now_s = clock.now_ms() / 1000
    try:
        return stream_token.read(secrets.values(STREAM_KEY), token, now_s)
    except Forbidden:
        return stream_token.read(secrets.fresh(STREAM_KEY), token, now_s)


def _services() -> Services:
    def books() -> Books:
        return Books(speeches, events, work, background)

    return Services(calls, books, sources, clock, background, warn)


def _body(playing: Playing, frames: int) -> Iterator[bytes]:
    """The header, which tells exactly what is to come, and the window's sound."""
    samples = frames * FRAME_BYTES
    try:
        yield mulaw_header(samples) if FORMAT == "mulaw" else pcm16_header(samples)
        for chunk in playing.audio():
            yield chunk if FORMAT == "mulaw" else pcm16(chunk)
    finally:
        background.settle(SETTLED_WITHIN_MS)
        tell("window over", call_sid=playing.call.call_sid, epoch=playing.hold.epoch, **playing.account())
        measure(playing.tally, frames)
        meter.flush()


def measure(tally: Tally, frames: int) -> None:
    """What a window of `frames` frames came to, for the dashboard."""
    meter("Windows")
    meter("LateMs", tally.late_ms)
    if tally.ended_by == "hang-up":
        meter("OrphanSecondsSaved", ms_from_frames(max(0, frames - tally.frames)) / 1000)


def _problem(error: DucklineError) -> StreamedResponse:
    body = {"title": error.title, "status": error.status, "detail": str(error)}
    return StreamedResponse(error.status, {"Content-Type": "application/problem+json"}, [json.dumps(body).encode()])
