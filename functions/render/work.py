"""The work queue: uploads that become beds, and speeches that somebody has to go on with."""

import json
from collections.abc import Callable
from typing import Any

from duckline.errors import DucklineError
from render.beds import BedRoom
from render.speaking import Speaking


class Work:
    """One method a kind of message. What fails is left in the queue, and in the end in the dead-letter queue."""

    def __init__(self, speaking: Speaking, bed_room: BedRoom, log: Callable[..., None]) -> None:
        self.speaking, self.bed_room, self.log = speaking, bed_room, log

    def take(self, event: dict[str, Any]) -> dict[str, Any]:
        """Does what the messages of an SQS event ask for; answers with those that are to come again."""
        failed = []
        for record in event["Records"]:
            try:
                self._do(json.loads(record["body"]))
            except Exception as error:  # noqa: BLE001 - whatever it is, the message must not be lost
                self.log("work failed", message_id=record["messageId"], error=repr(error))
                failed.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failed}

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
        except DucklineError as reason:  # the speech has failed, or its call is over: nothing is left to do
            self.log("work dropped", kind=message["kind"], call_sid=message["call_sid"], reason=str(reason))
