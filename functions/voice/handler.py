"""voice's entry: clients and settings, built once, and every webhook led to the switchboard."""

import os
from functools import cache, partial
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from duckline import shipped
from duckline.clock import Background, SystemClock
from duckline.delivery import Delivery
from duckline.meter import NAMESPACE, Meter
from duckline.settings import Storage, Webhooks, choice, number
from duckline.stores.dynamodb import DynamoBeds, DynamoCalls, DynamoSpeeches
from duckline.stores.findings import DynamoFindings
from duckline.stores.messages import EventBridgeEvents, SqsWork
from duckline.stores.observed import ObservedCalls, ObservedSpeeches
from duckline.stores.occupancy import DynamoOccupancy
from duckline.stores.secrets import Secrets
from duckline.timeline import FRAME_BYTES
from duckline.wav import mulaw_header
from voice.answering import Answering
from voice.ending import Ending
from voice.input import LISTENS
from voice.notices import Notices
from voice.room import Room
from voice.switchboard import Switchboard

SETTLED_WITHIN_MS = 500  # a caller waits no longer for what is told to others
PLAIN_GOOD_FOR_S = 300
# Twilio waits 15 s for an answer and Lambda 10 s for us: a service that hangs must be given up before.
PATIENCE = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2, "mode": "standard"})
SIGNED = PATIENCE.merge(Config(signature_version="s3v4"))

storage = Storage.from_environment(os.environ)
webhooks = Webhooks.from_environment(os.environ)
delivery = Delivery.from_environment(os.environ)
MAX_CONCURRENT_CALLS = int(number(os.environ, "DUCKLINE_MAX_CONCURRENT_CALLS", 1, 100_000, default=800))
log = Logger(service="voice")
meter = Meter(Metrics(namespace=NAMESPACE))
clock = SystemClock()
background = Background(log.warning)
dynamodb = boto3.client("dynamodb", config=PATIENCE)


def tell(message: str, **fields: Any) -> None:
    log.info(message, extra=fields)


# What an answer does not need is built when it is first used: a cold start is silence before the music.
@cache
def client(service: str, config: Config = PATIENCE) -> Any:
    return boto3.client(service, config=config)


@cache
def keep_shipped() -> None:
    """Puts the plain copy of the shipped bed where those of the others are: nobody has uploaded it."""
    frames = shipped.playlist().frames
    wav = mulaw_header(frames * FRAME_BYTES) + shipped.frames(0, frames)
    key = f"beds/{shipped.VERSION}/plain.wav"
    client("s3", SIGNED).put_object(Bucket=storage.bucket, Key=key, Body=wav, ContentType="audio/wav")


def plain_url(version: str) -> str | None:
    """An address at which Twilio may fetch the plain copy of a bed; signed here, without asking anybody."""
    if version == shipped.VERSION:
        try:
            keep_shipped()
        except (BotoCoreError, ClientError):
            log.exception("the plain copy of the shipped bed cannot be stored")
            return None
    where = {"Bucket": storage.bucket, "Key": f"beds/{version}/plain.wav"}
    return client("s3", SIGNED).generate_presigned_url("get_object", Params=where, ExpiresIn=PLAIN_GOOD_FOR_S)


calls = ObservedCalls(DynamoCalls(dynamodb, storage.table), meter)
speeches = ObservedSpeeches(DynamoSpeeches(dynamodb, storage.table), tell, meter)
room = Room(DynamoOccupancy(dynamodb, storage.table), MAX_CONCURRENT_CALLS, meter, log)
notices = Notices(
    SqsWork(partial(client, "sqs"), storage.work_queue_url),
    EventBridgeEvents(partial(client, "events"), storage.event_bus),
    background,
)
switchboard = Switchboard(
    Answering(
        calls,
        DynamoBeds(dynamodb, storage.table),
        DynamoFindings(dynamodb, storage.table),
        notices,
        delivery,
        webhooks.default_bed,
        room.is_full,
    ),
    Ending(calls, speeches, notices),
    Secrets(boto3.client("secretsmanager", config=PATIENCE), clock.monotonic_ms),
    webhooks,
    plain_url,
    log,
    choice(os.environ, "DUCKLINE_CALLER_INPUT", tuple(LISTENS), default="off"),
)


@log.inject_lambda_context
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers one webhook; the events and the work that it gave rise to are on their way before it returns."""
    response = switchboard.answer(event, clock.now_ms())
    background.settle(SETTLED_WITHIN_MS)
    meter.flush()
    return response
