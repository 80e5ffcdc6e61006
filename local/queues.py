"""The work queue's end: what Lambda's event source mapping does between SQS and a function.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html, and for the batch's failures
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.template import QueueSource

WAIT_S = 20  # the longest that SQS holds a request open; moto answers as soon as a message is there
AGAIN_AFTER_S = 1.0

log = logging.getLogger("local.queues")

Invoke = Callable[[dict[str, Any]], Awaitable[Any]]


class QueuePoller:
    """Takes messages from one queue to one function for as long as it runs.

    `sqs` is a boto3 client that does not retry by itself. A message that the function did not fail is deleted; the
    others come back when their visibility timeout is over, as often as the queue's redrive policy lets them.
    """

    def __init__(self, source: QueueSource, *, url: str, arn: str, sqs: Any, invoke: Invoke) -> None:
        self._source, self._url, self._arn, self._sqs, self._invoke = source, url, arn, sqs, invoke
        self._slots = asyncio.Semaphore(source.max_concurrency)
        self._batches: set[asyncio.Task[None]] = set()
        self._polling: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._polling = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        """Take no more; what is being worked on is left, and its messages with it."""
        tasks = [task for task in (self._polling, *self._batches) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _poll(self) -> None:
        while True:
            await self._slots.acquire()
            messages = await self._receive()
            if not messages:
                self._slots.release()
                continue
            batch = asyncio.create_task(self._work(messages))
            self._batches.add(batch)
            batch.add_done_callback(self._done)

    def _done(self, batch: asyncio.Task[None]) -> None:
        self._batches.discard(batch)
        self._slots.release()

    async def _receive(self) -> list[dict[str, Any]]:
        try:
            received = await asyncio.to_thread(
                self._sqs.receive_message,
                QueueUrl=self._url,
                MaxNumberOfMessages=min(10, self._source.batch_size),
                WaitTimeSeconds=WAIT_S,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        except (BotoCoreError, ClientError) as error:
            log.warning("the queue %s cannot be read: %s", self._url, error)
            await asyncio.sleep(AGAIN_AFTER_S)
            return []
        return received.get("Messages", [])

    async def _work(self, messages: Sequence[Mapping[str, Any]]) -> None:
        ids = [message["MessageId"] for message in messages]
        try:
            result = await self._invoke({"Records": [record(message, self._arn) for message in messages]})
            failed = failures(result, ids) if self._source.reports_failures else set()
        except Exception as error:  # noqa: BLE001 - whatever the function did, its messages stay in the queue
            log.warning("work failed: %s", error)
            failed = set(ids)
        done = [message for message in messages if message["MessageId"] not in failed]
        if not done:
            return
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(done)
        ]
        try:
            await asyncio.to_thread(self._sqs.delete_message_batch, QueueUrl=self._url, Entries=entries)
        except (BotoCoreError, ClientError) as error:
            log.warning("work that is done could not be deleted, and will be done again: %s", error)


def record(message: Mapping[str, Any], queue_arn: str) -> dict[str, Any]:
    """A message as a function sees it."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {
            name: {
                "stringValue": attribute.get("StringValue"),
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": attribute["DataType"],
            }
            for name, attribute in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }


def failures(result: Any, ids: Sequence[str]) -> set[str]:
    """Which of a batch's messages a function says it failed.

    None, an empty answer and a null or empty list of failures mean none; what is not understood means all.
    """
    if result is None:
        return set()
    listed = result.get("batchItemFailures") or [] if isinstance(result, Mapping) else None
    if not isinstance(listed, list):
        return set(ids)
    failed = {item.get("itemIdentifier") if isinstance(item, Mapping) else None for item in listed}
    return failed if failed <= set(ids) else set(ids)
