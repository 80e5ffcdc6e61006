"""Messages that leave: work for the queue, events for the user's own code."""

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from duckline.stores import NotReached

SOURCE = "duckline"
AT_ONCE = 10  # entries that one PutEvents takes


class SqsWork:
    """The work queue. `client` makes the SQS client when it is first needed."""

    def __init__(self, client: Callable[[], Any], queue_url: str) -> None:
        self.client, self.queue_url = client, queue_url

    def send(self, message: dict[str, Any], delay_s: int = 0) -> None:
        """Raises NotReached."""
        body = json.dumps(message)
        try:
            self.client().send_message(QueueUrl=self.queue_url, MessageBody=body, DelaySeconds=delay_s)
        except (ClientError, BotoCoreError) as error:
            raise NotReached(f"the work queue: {error}") from error

    def show_again(self, receipt: str, after_s: int) -> None:
        """Lets a message that was received come again after so many seconds. Raises NotReached."""
        try:
            self.client().change_message_visibility(
                QueueUrl=self.queue_url, ReceiptHandle=receipt, VisibilityTimeout=after_s
            )
        except (ClientError, BotoCoreError) as error:
            raise NotReached(f"the work queue: {error}") from error


class EventBridgeEvents:
    """The event bus. An event is a flat dictionary whose `type` becomes the detail-type."""

    def __init__(self, client: Callable[[], Any], bus: str) -> None:
        self.client, self.bus = client, bus

    def publish(self, events: list[dict[str, Any]]) -> None:
        """Raises RuntimeError if the bus refuses one of them."""
        for at in range(0, len(events), AT_ONCE):
            entries = [
                {
                    "Source": SOURCE,
                    "DetailType": event["type"],
                    "Detail": json.dumps({name: value for name, value in event.items() if name != "type"}),
                    "EventBusName": self.bus,
                }
                for event in events[at : at + AT_ONCE]
            ]
            answer = self.client().put_events(Entries=entries)
            if answer["FailedEntryCount"]:
                refused = [entry["ErrorMessage"] for entry in answer["Entries"] if "ErrorMessage" in entry]
                raise RuntimeError(f"the event bus refused {answer['FailedEntryCount']} of {len(entries)}: {refused}")
