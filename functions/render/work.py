"""The work queue: uploads that become beds, and speeches that somebody has to go on with."""

import json
from collections.abc import Callable
from typing import Any

from duckline.errors import DucklineError, Unavailable
from duckline.stores import NotReached
from render.beds import BedRoom
from render.speaking import Speaking

AGAIN_AFTER_S = (2, 10, 50, 250)  # by how often a message has come; the queue's own 330 s suit work that takes long


class Work:
    """One method a kind of message. What fails is left in the queue, and in the end in the dead-letter queue.

    `show_again` lets the message of a receipt come again after so many seconds.
    """

    def __init__(
        self,
        speaking: Speaking,
        bed_room: BedRoom,
        log: Callable[..., None],
        show_again: Callable[[str, int], None],
    ) -> None:
        self.speaking, self.bed_room, self.log, self.show_again = speaking, bed_room, log, show_again

    def take(self, event: dict[str, Any]) -> dict[str, Any]:
        """Does what the messages of an SQS event ask for; answers with those that are to come again."""
        failed = []
        for record in event["Records"]:
            try:
                self._do(json.loads(record["body"]))
            except Exception as error:  # noqa: BLE001 - whatever it is, the message must not be lost
                self.log("work failed", message_id=record["messageId"], error=repr(error))
                failed.append({"itemIdentifier": record["messageId"]})
                self._hasten(record)
        return {"batchItemFailures": failed}

    def _hasten(self, record: dict[str, Any]) -> None:
        """A caller waits for most work: it is tried again soon, and later each time."""
        came = int(record["attributes"]["ApproximateReceiveCount"])
        try:
            self.show_again(record["receiptHandle"], AGAIN_AFTER_S[min(came, len(AGAIN_AFTER_S)) - 1])
        except NotReached as reason:
            self.log("work comes again late", message_id=record["messageId"], reason=str(reason))

    def _do(self, message: dict[str, Any]) -> None:
        if message.get("detail-type") == "Object Created":
            self.bed_room.render(message["detail"]["object"]["key"])
            return
        try:
            if message["kind"] == "go_on":
                self.speaking.go_on(message["call_sid"], message["speech_id"], message["maker"])
            elif message["kind"] == "speak":
                self.speaking.take_up(message["call_sid"])
            else:
                raise ValueError(f"no work of kind {message['kind']!r} is known; go_on or speak would be right")
        except Unavailable:  # such as a synthesiser that is busy
            raise
        except DucklineError as reason:  # the speech has failed, or its call is over: nothing is left to do
            self.log("work dropped", kind=message["kind"], call_sid=message["call_sid"], reason=str(reason))
