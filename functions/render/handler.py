"""Render's entry: the API, and the work queue."""

import hmac
import json
import os
from functools import cache
from typing import Any

import boto3
import urllib3
from aws_lambda_powertools import Logger, Metrics
from botocore.config import Config

from duckline.berth import Manner
from duckline.clock import Background, SystemClock
from duckline.envelope import Ducking
from duckline.errors import DucklineError, NotFound, Unauthorized, Unavailable
from duckline.meter import NAMESPACE, Meter
from duckline.settings import Storage, choice, number, text, url
from duckline.sound.bedmaking import make_bed
from duckline.stores import NotReached
from duckline.stores.dynamodb import DynamoBeds, DynamoCalls, DynamoSpeeches
from duckline.stores.messages import EventBridgeEvents, SqsWork
from duckline.stores.observed import ObservedCalls, ObservedSpeeches
from duckline.stores.s3 import S3Sounds, S3Uploads
from duckline.stores.secrets import Secrets
from render.api import Api, Request
from render.beds import BedChange, BedRoom
from render.engines import ENGINES, choose
from render.limits import JSON_TYPE, PROBLEM_TYPE, RETRY_AFTER_S
from render.outbound import Outbound, asking
from render.silencing import Silencing
from render.speaking import Speaking
from render.studio import Studio
from render.work import Work

CONFIG = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 3}, max_pool_connections=16)
ONCE = Config(connect_timeout=1, read_timeout=10, retries={"total_max_attempts": 1})  # the engine retries by itself
SETTLED_WITHIN_MS = 1000

log = Logger(service="render")
meter = Meter(Metrics(namespace=NAMESPACE))
clock = SystemClock()
storage = Storage.from_environment(os.environ)
API_KEY = text(os.environ, "DUCKLINE_API_KEY_SECRET")


def warn(message: str, **fields: Any) -> None:
    log.warning(message, extra=fields)


def tell(message: str, **fields: Any) -> None:
    log.info(message, extra=fields)


def chosen_ducking() -> Ducking:
    """How far the music goes down under speech, and how fast. Raises SettingMissing."""
    usual = Ducking()
    return Ducking(
        **{
            name: number(os.environ, f"DUCKLINE_DUCK_{name.upper()}", low, high, default=getattr(usual, name))
            for name, (low, high) in Ducking.BOUNDS.items()
        }
    )


def built() -> tuple[Api, Work, Background]:
    """Everything behind the routes, put together."""
    background = Background(warn)
    dynamodb, s3 = (
        boto3.client("dynamodb", config=CONFIG),
        boto3.client("s3", config=CONFIG.merge(Config(signature_version="s3v4"))),
    )
    sounds = S3Sounds(s3, storage.bucket)
    events = EventBridgeEvents(cache(lambda: boto3.client("events", config=CONFIG)), storage.event_bus)
    engine_name = choice(os.environ, "DUCKLINE_SPEECH_ENGINE", ENGINES, default="polly")
    polly = boto3.client("polly", config=ONCE) if engine_name == "polly" else None
    engine = choose(engine_name, voice=text(os.environ, "DUCKLINE_VOICE", default="") or None, polly_client=polly)
    ducking = chosen_ducking()
    studio = Studio(sounds, engine, ducking)
    calls = ObservedCalls(DynamoCalls(dynamodb, storage.table), meter)
    beds = DynamoBeds(dynamodb, storage.table)
    speaking = Speaking(
        calls=calls,
        speeches=ObservedSpeeches(DynamoSpeeches(dynamodb, storage.table), tell, meter),
        studio=studio,
        work=SqsWork(cache(lambda: boto3.client("sqs", config=CONFIG)), storage.work_queue_url),
        events=events,
        clock=clock,
        background=background,
        manner=Manner(down_frames=ducking.down_frames, up_frames=ducking.up_frames, hold_frames=ducking.hold_frames),
    )

    def keep_audio(key: str, body: bytes, content_type: str) -> None:
        sounds.put(key, body, content_type=content_type)

    bed_room = BedRoom(beds, sounds, S3Uploads(s3, storage.bucket), make_bed, events, clock)
    bed_change = BedChange(calls, beds, studio.fade)
    public_url = url(os.environ, "DUCKLINE_PUBLIC_URL", default="")
    api = Api(speaking, Silencing(speaking), bed_room, bed_change, engine, keep_audio, outbound(), public_url)
    return api, Work(speaking, bed_room, warn, speaking.work.show_again), background


def outbound() -> Outbound:
    """How calls go out; without an account none do."""
    return Outbound(
        account_sid=text(os.environ, "DUCKLINE_TWILIO_ACCOUNT_SID", default=""),
        token_secret=text(os.environ, "DUCKLINE_TWILIO_TOKEN_SECRET", default=""),
        api_url=url(os.environ, "DUCKLINE_TWILIO_API_URL", default="https://api.twilio.com"),
        detects_machines=choice(os.environ, "DUCKLINE_MACHINE_DETECTION", ("on", "off"), default="on") == "on",
        tokens=secrets,
        ask=asking(cache(urllib3.PoolManager)),
    )


secrets = Secrets(boto3.client("secretsmanager", config=CONFIG), clock.monotonic_ms)
api, work, background = built()

ROUTES = {
    "GET /calls": api.list_calls,
    "POST /calls": api.place_call,
    "GET /calls/{sid}": api.show_call,
    "DELETE /calls/{sid}": api.end_call,
    "POST /calls/{sid}/speeches": api.speak,
    "DELETE /calls/{sid}/speeches": api.cancel_speeches,
    "GET /calls/{sid}/speeches/{id}": api.show_speech,
    "DELETE /calls/{sid}/speeches/{id}": api.cancel_speech,
    "PUT /calls/{sid}/bed": api.change_bed,
    "GET /beds": api.list_beds,
    "GET /beds/{name}": api.show_bed,
    "POST /beds/{name}": api.upload_bed,
    "GET /openapi.json": api.describe,
}


@log.inject_lambda_context
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    try:
        return work.take(event) if "Records" in event else answered(event)
    finally:
        background.settle(SETTLED_WITHIN_MS)
        meter.flush()


def answered(event: dict[str, Any]) -> dict[str, Any]:
    """One request of the API, answered; an error as application/problem+json."""
    asked_ms = clock.monotonic_ms()
    try:
        authorize(event.get("headers", {}).get("authorization", ""))
        route = ROUTES.get(event["routeKey"])
        if route is None:
            raise NotFound(f"{event['routeKey']} is not served; GET /openapi.json lists what is")
        status, body = route(Request(event))
        if route == api.speak:
            accepted(event["pathParameters"]["sid"], body, clock.monotonic_ms() - asked_ms)
        return _json(status, body, JSON_TYPE)
    except DucklineError as error:
        return problem(error)
    except NotReached as reason:
        call_sid = (event.get("pathParameters") or {}).get("sid", "")
        warn("a service cannot be reached", route=event["routeKey"], call_sid=call_sid, reason=str(reason))
        return problem(
            Unavailable("a service behind the API cannot be reached right now; the same request may be sent again")
        )


def accepted(call_sid: str, speech: dict[str, Any], passed_ms: float) -> None:
    """Tells of a speech that was accepted, `passed_ms` after it was asked for."""
    tell("speech accepted", call_sid=call_sid, **speech)
    if speech["starts_in_ms"] is not None:
        meter("SpeechLatencyMs", round(passed_ms) + speech["starts_in_ms"])


def _bytes(header: str) -> bytes:
    """A header's value as it came, which need not be UTF-8."""
    return header.encode(errors="surrogateescape")


def authorize(header: str) -> None:
    """Raises Unauthorized unless `header` bears one of the keys."""
    scheme, _, key = header.partition(" ")
    if scheme.lower() == "bearer":
        for good in (secrets.values, secrets.fresh):
            if any(hmac.compare_digest(_bytes(key.strip()), value.encode()) for value in good(API_KEY)):
                return
    raise Unauthorized("the Authorization header must be: Bearer, a space, and the API key")


def problem(error: DucklineError) -> dict[str, Any]:
    body = {"title": error.title, "status": error.status, "detail": str(error)}
    response = _json(error.status, body, PROBLEM_TYPE)
    if error.status == 401:
        response["headers"]["WWW-Authenticate"] = "Bearer"
    if error.status in (429, 503):
        response["headers"]["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _json(status: int, body: Any, content_type: str) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"Content-Type": content_type}, "body": json.dumps(body)}
