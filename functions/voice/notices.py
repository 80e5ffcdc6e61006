"""What voice tells others: events for the application's own code, and work that somebody has to take up.

It all goes out beside the answer. A caller's music waits for none of it and suffers from none of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from duckline.call import Call, Speech

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


def call_answered(call_sid: str, answered_by: str, now_ms: int) -> Event:
    """Who answered a call that went out: `human`, `machine_start`, `fax` or `unknown`, as Twilio heard it."""
    return {"type": "call.answered", "call_sid": call_sid, "at_ms": now_ms, "answered_by": answered_by}


def call_started(call: Call) -> Event:
    """The call is known; it is `live` once its stream has begun."""
    return {
        "type": "call.started",
        "call_sid": call.call_sid,
        "at_ms": call.started_at_ms,
        "state": "ringing",
        "bed": call.beds[0].name,
    }


def speech_scheduled(call: Call, speech: Speech) -> Event:
    """A speech is accepted; when it is heard shows once its words are made."""
    return {
        "type": "speech.scheduled",
        "call_sid": call.call_sid,
        "speech_id": speech.speech_id,
        "at_ms": call.started_at_ms,
        "starts_at_ms": None,
        "duration_ms": None,
        "reason": None,
    }


def speeches_cancelled(before: Call, after: Call, now_ms: int) -> list[Event]:
    """What one write has cancelled."""
    was_open = {speech.speech_id for speech in before.speeches if speech.outcome is None}
    gone = [s for s in after.speeches if s.outcome == "cancelled" and s.speech_id in was_open]
    return [
        {
            "type": "speech.cancelled",
            "call_sid": after.call_sid,
            "speech_id": speech.speech_id,
            "at_ms": now_ms,
            "reason": speech.reason,
        }
        for speech in gone
    ]
