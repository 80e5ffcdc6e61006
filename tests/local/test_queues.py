"""What stands between the work queue and its function, before a queue in memory."""

import asyncio
import queue
from contextlib import asynccontextmanager

import pytest
from botocore.exceptions import EndpointConnectionError

from local import queues
from local.queues import QueuePoller, failures, record
from local.template import QueueSource

ARN = "arn:aws:sqs:us-east-1:123456789012:work"


class Queue:
    """A queue with SQS's two calls; a message that is received is not handed out again."""

    def __init__(self):
        self.waiting, self.deleted, self.closed = queue.Queue(), [], False
        self.faults = []

    def send(self, *names):
        for name in names:
            self.waiting.put({"MessageId": name, "ReceiptHandle": f"r-{name}", "Body": "{}", "MD5OfBody": "0"})

    def receive_message(self, **asked):
        assert asked["WaitTimeSeconds"] == 20
        if self.faults:
            raise self.faults.pop()
        first = self.waiting.get()
        if first is None:
            self.waiting.put(None)
            return {}
        messages = [first]
        while len(messages) < asked["MaxNumberOfMessages"] and not self.waiting.empty():
            messages.append(self.waiting.get())
        return {"Messages": messages}

    def delete_message_batch(self, **asked):
        self.deleted += [entry["ReceiptHandle"] for entry in asked["Entries"]]
        self.on_delete()

    def on_delete(self):
        pass


@asynccontextmanager
async def polled(invoke, *, batch_size=1, max_concurrency=4, reports_failures=True):
    sqs = Queue()
    source = QueueSource("WorkQueue", batch_size, max_concurrency, reports_failures)
    poller = QueuePoller(source, url="http://queue", arn=ARN, sqs=sqs, invoke=invoke)
    poller.start()
    try:
        yield sqs
    finally:
        sqs.waiting.put(None)
        await poller.stop()


async def done_with(sqs, *names):
    """Until these messages, and no others, are deleted."""
    loop, deleted = asyncio.get_running_loop(), asyncio.Event()
    sqs.on_delete = lambda: loop.call_soon_threadsafe(deleted.set)
    while len(sqs.deleted) < len(names):
        await asyncio.wait_for(deleted.wait(), 10)
        deleted.clear()
    assert sorted(sqs.deleted) == sorted(f"r-{name}" for name in names)


def test_a_message_is_worked_on_and_deleted():
    async def story():
        events = []

        async def invoke(event):
            events.append(event)

        async with polled(invoke) as sqs:
            sqs.send("a")
            await done_with(sqs, "a")
        ((received,),) = (event["Records"] for event in events)
        assert (received["messageId"], received["eventSource"], received["eventSourceARN"]) == ("a", "aws:sqs", ARN)

    asyncio.run(story())


def test_only_what_succeeded_is_deleted():
    async def story():
        together = asyncio.Event()

        async def invoke(event):
            ids = [message["messageId"] for message in event["Records"]]
            if len(ids) == 3:
                together.set()
            return {"batchItemFailures": [{"itemIdentifier": name} for name in ids if name == "bad"]}

        source = QueueSource("WorkQueue", 3, 4, True)
        sqs = Queue()
        sqs.send("good", "bad", "fine")
        poller = QueuePoller(source, url="http://queue", arn=ARN, sqs=sqs, invoke=invoke)
        poller.start()
        await asyncio.wait_for(together.wait(), 10)
        await done_with(sqs, "good", "fine")
        sqs.waiting.put(None)
        await poller.stop()

    asyncio.run(story())


def test_a_function_that_raises_keeps_its_message_and_the_next_is_worked_on():
    async def story():
        async def invoke(event):
            if event["Records"][0]["messageId"] == "bad":
                raise RuntimeError("it broke")

        async with polled(invoke) as sqs:
            sqs.send("bad", "good")
            await done_with(sqs, "good")

    asyncio.run(story())


def test_failures_that_were_not_asked_for_are_not_heeded():
    async def story():
        async def invoke(event):
            return {"batchItemFailures": [{"itemIdentifier": "a"}]}

        async with polled(invoke, reports_failures=False) as sqs:
            sqs.send("a")
            await done_with(sqs, "a")

    asyncio.run(story())


def test_no_more_batches_run_at_once_than_are_allowed():
    async def story():
        running, most, two = set(), [], asyncio.Event()
        go_on = asyncio.Event()

        async def invoke(event):
            name = event["Records"][0]["messageId"]
            running.add(name)
            most.append(len(running))
            if len(running) == 2:
                two.set()
            await go_on.wait()
            running.discard(name)

        async with polled(invoke, max_concurrency=2) as sqs:
            sqs.send("a", "b", "c")
            await asyncio.wait_for(two.wait(), 10)
            assert sqs.waiting.qsize() == 1
            go_on.set()
            await done_with(sqs, "a", "b", "c")
        assert max(most) == 2

    asyncio.run(story())


def test_a_queue_that_cannot_be_read_for_a_while_is_read_again(monkeypatch):
    monkeypatch.setattr(queues, "AGAIN_AFTER_S", 0)

    async def story():
        async def invoke(event):
            pass

        sqs = Queue()
        sqs.faults = [EndpointConnectionError(endpoint_url="http://queue")]
        sqs.send("a")
        poller = QueuePoller(QueueSource("W", 1, 1, True), url="http://queue", arn=ARN, sqs=sqs, invoke=invoke)
        poller.start()
        await done_with(sqs, "a")
        sqs.waiting.put(None)
        await poller.stop()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("result", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a"}),
        ({"batchItemFailures": [{"itemIdentifier": "unheard"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"a", "b"}),
        ({"batchItemFailures": [{"id": "a"}]}, {"a", "b"}),
        ({"batchItemFailures": "a"}, {"a", "b"}),
        ("done", {"a", "b"}),
    ],
)
def test_what_a_function_says_it_failed(result, failed):
    assert failures(result, ["a", "b"]) == failed


def test_a_messages_attributes_are_handed_on():
    message = {
        "MessageId": "a",
        "ReceiptHandle": "r",
        "Body": "{}",
        "MD5OfBody": "0",
        "Attributes": {"ApproximateReceiveCount": "2"},
        "MessageAttributes": {"kind": {"StringValue": "bed", "DataType": "String"}},
    }
    made = record(message, ARN)
    assert made["attributes"] == {"ApproximateReceiveCount": "2"}
    assert made["messageAttributes"]["kind"]["stringValue"] == "bed"
    assert made["awsRegion"] == "us-east-1"
