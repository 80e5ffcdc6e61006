"""Render's entry: the API, and the work queue."""

import hmac
import json
import os
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config

from duckline.berth import Manner
from duckline.clock import Background, SystemClock
from duckline.envelope import Ducking
from duckline.errors import DucklineError, NotFound, Unauthorized, Unavailable
from duckline.settings import Storage, choice, text
from duckline.sound.bedmaking import make_bed
from duckline.stores import NotReached
from duckline.stores.dynamodb import DynamoBeds, DynamoCalls, DynamoSpeeches
from duckline.stores.messages import EventBridgeEvents, SqsWork
from duckline.stores.s3 import S3Sounds, S3Uploads
from duckline.stores.secrets import Secrets
from render.api import Api, Request
from render.beds import BedChange, BedRoom
from render.engines import ENGINES, choose
from render.silencing import Silencing
from render.speaking import Speaking
from render.studio import Studio
from render.work import Work

CONFIG = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 3}, max_pool_connections=16)
ONCE = Config(connect_timeout=1, read_timeout=10, retries={"total_max_attempts": 1})  # the engine retries by itself
SETTLED_WITHIN_MS = 1000

log = Logger(service="render")
clock = SystemClock()
storage = Storage.from_environment(os.environ)
API_KEY = text(os.environ, "DUCKLINE_API_KEY_SECRET")


def warn(message: str, **fields: Any) -> None:
    log.warning(message, extra=fields)


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
    studio = Studio(sounds, engine, Ducking())
    calls, beds = DynamoCalls(dynamodb, storage.table), DynamoBeds(dynamodb, storage.table)
    speaking = Speaking(
        calls=calls,
        speeches=DynamoSpeeches(dynamodb, storage.table),
        studio=studio,
        work=SqsWork(cache(lambda: boto3.client("sqs", config=CONFIG)), storage.work_queue_url),
        events=events,
        clock=clock,
        background=background,
        manner=Manner(),
    )

    def keep_audio(key: str, body: bytes, content_type: str) -> None:
        sounds.put(key, body, content_type=content_type)

    bed_room = BedRoom(beds, sounds, S3Uploads(s3, storage.bucket), make_bed, events, clock)
    bed_change = BedChange(calls, beds, studio.fade)
    api = Api(speaking, Silencing(speaking), bed_room, bed_change, engine, keep_audio)
    return api, Work(speaking, bed_room, warn), background


api, work, background = built()
secrets = Secrets(boto3.client("secretsmanager", config=CONFIG), clock.monotonic_ms)

ROUTES = {
    "GET /calls": api.list_calls,
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
}


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    try:
        return work.take(event) if "Records" in event else answered(event)
    finally:
        background.settle(SETTLED_WITHIN_MS)


def answered(event: dict[str, Any]) -> dict[str, Any]:
    """One request of the API, answered; an error as application/problem+json."""
    try:
        authorize(event.get("headers", {}).get("authorization", ""))
        route = ROUTES.get(event["routeKey"])
        if route is None:
            raise NotFound(f"{event['routeKey']} is not served; docs/architecture.md lists what is")
        status, body = route(Request(event))
        return _json(status, body, "application/json")
    except DucklineError as error:
        return problem(error)
    except NotReached as reason:
        warn("a service cannot be reached", route=event["routeKey"], reason=str(reason))
        return problem(Unavailable("a service behind the API cannot be reached right now; nothing was changed"))


def authorize(header: str) -> None:
    """Raises Unauthorized unless `header` bears one of the keys."""
    scheme, _, key = header.partition(" ")
    if scheme.lower() == "bearer":
        for good in (secrets.values, secrets.fresh):
            if any(hmac.compare_digest(key.strip().encode(), value.encode()) for value in good(API_KEY)):
                return
    raise Unauthorized("the Authorization header must be: Bearer, a space, and the API key")


def problem(error: DucklineError) -> dict[str, Any]:
    body = {"title": error.title, "status": error.status, "detail": str(error)}
    response = _json(error.status, body, "application/problem+json")
    if error.status == 401:
        response["headers"]["WWW-Authenticate"] = "Bearer"
    if error.status in (429, 503):
        response["headers"]["Retry-After"] = "1"
    return response


def _json(status: int, body: Any, content_type: str) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"Content-Type": content_type}, "body": json.dumps(body)}
