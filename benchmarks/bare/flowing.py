"""A stream that asks the services for what Duckline's asks, as often, and knows nothing else.

Before its first byte: a secret, the call's item, one write of it, a playlist and a segment. From then on one write for
every step of 260 ms, and one segment every four seconds; bytes in chunks of 240 ms at most, one lead ahead.
"""

import os
import time
from collections.abc import Iterator

import boto3

from stream.runtime import StreamedResponse

STEP_FRAMES, SEGMENT_FRAMES, LEAD_S = 13, 200, 1.0
TABLE, BUCKET = os.environ["DUCKLINE_TABLE"], os.environ["DUCKLINE_BUCKET"]
table, bucket = boto3.client("dynamodb"), boto3.client("s3")
secrets = boto3.client("secretsmanager")


def handler(event: dict, context: object) -> StreamedResponse:
    """`event` names the call under `bare`: its `sid`, `bed` and how many `frames` to send."""
    asked = event["bare"]
    secrets.get_secret_value(SecretId=os.environ["DUCKLINE_STREAM_KEY_SECRET"])
    table.get_item(TableName=TABLE, Key=_key(asked["sid"]), ConsistentRead=True)
    _seal(asked["sid"], 0)
    bucket.get_object(Bucket=BUCKET, Key=f"beds/{asked['bed']}/playlist.json")["Body"].read()
    return StreamedResponse(200, {"Content-Type": "audio/wav"}, _body(asked))


def _body(asked: dict) -> Iterator[bytes]:
    began, sent, segment = time.monotonic(), 0, b""
    while sent < asked["frames"]:
        if sent % SEGMENT_FRAMES < STEP_FRAMES:
            segment = bucket.get_object(Bucket=BUCKET, Key=f"beds/{asked['bed']}/00000.ulaw")["Body"].read()
        first = sent % (SEGMENT_FRAMES - STEP_FRAMES)
        yield segment[first * 160 : (first + STEP_FRAMES) * 160]
        sent += STEP_FRAMES
        time.sleep(max(0.0, began + sent / 50 - LEAD_S - time.monotonic()))
        _seal(asked["sid"], sent)


def _seal(sid: str, to: int) -> None:
    table.update_item(
        TableName=TABLE,
        Key=_key(sid),
        UpdateExpression="SET sealed = :to",
        ConditionExpression="attribute_exists(pk) AND sealed <= :to",
        ExpressionAttributeValues={":to": {"N": str(to)}},
        ReturnValues="ALL_NEW",
    )


def _key(sid: str) -> dict:
    return {"pk": {"S": sid}, "sk": {"S": "CALL"}}
