"""What voice tells others: events for the application's own code, and work that somebody has to take up.

It all goes out beside the answer. A caller's music waits for none of it and suffers from none of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from duckline.call import Call
from duckline.records import SpeechStatus

Event = dict[str, Any]


class Work(Protocol):
    """The work queue."""

    def send(self, message: dict[str, Any]) -> None: ...


class Events(Protocol):
    """The event bus. An event is a flat dictionary with a `type`; none has a phone number in it."""

    def publish(self, events: list[Event]) -> None: ...


@dataclass(frozen=True, slots=True)
class Notices:
    """Where the notices go. `background` runs a function apart from the answer, and tells of what fails there."""

    work: Work
    events: Events
    background: Callable[..., Any]

    def publish(self, events: list[Event]) -> None:
        self.background(self.events.publish, events)

    def ask_for_makers(self, call_sid: str) -> None:
        """Has the speeches made that nobody is making."""
        self.background(self.work.send, {"kind": "speak", "call_sid": call_sid})


def call_started(call: Call) -> Event:
    """The call is known; it is `live` once its stream has begun."""
    return {
        "type": "call.started",
        "call_sid": call.call_sid,
        "at_ms": call.started_at_ms,
        "state": "ringing",
        "bed": call.beds[0].name,
    }


def call_ended(call: Call) -> Event:
    return {
        "type": "call.ended",
        "call_sid": call.call_sid,
        "at_ms": call.ended_at_ms,
        "state": "ended",
        "reason": call.end_reason,
        "seconds": round((call.ended_at_ms - call.started_at_ms) / 1000, 3),
    }


def speech_over(call: Call, status: SpeechStatus) -> Event:
    """What became of a speech that was not over when the call was."""
    return {
        "type": f"speech.{status.state}",
        "call_sid": call.call_sid,
        "speech_id": status.speech_id,
        "at_ms": call.ended_at_ms,
        "reason": status.reason,
    }
