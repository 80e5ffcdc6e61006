"""A call is over: it is marked, and what was still to be said in it is accounted for.

Whoever finds out first ends it: Twilio's callback, or the application through the API. Either way it is told of once.
"""

from collections.abc import Callable
from typing import Any

from duckline.call import Call
from duckline.records import SpeechStatus, status_of
from duckline.schedule import end
from duckline.stores import Calls, Lost, NotReached, Speeches

TRIES = 4

Event = dict[str, Any]


def end_call(
    calls: Calls,
    speeches: Speeches,
    publish: Callable[[list[Event]], Any],
    call_sid: str,
    *,
    reason: str,
    now_ms: int,
) -> Call:
    """The call, ended; the first end counts, and only that is published and written into the speeches' history.

    A call that nobody knows yet gets a tombstone, which a late /voice finds. Raises NotReached.
    """
    call, is_mine = _ended(calls, call_sid, reason, now_ms)
    if is_mine:
        events = [call_ended(call)]
        for speech in call.speeches:
            status = status_of(call, speech, now_ms)
            speeches.close(call_sid, status, speech.order)
            if speech.outcome is None:
                events.append(speech_over(call, status))
        publish(events)
    return call


def _ended(calls: Calls, call_sid: str, reason: str, now_ms: int) -> tuple[Call, bool]:
    """The call as it ended, and whether it is on us to tell of it."""
    silence = NotReached(f"call {call_sid} changes too fast to be ended")
    is_unanswered = False  # a write of ours, which may have happened
    for _ in range(TRIES):
        try:
            call = calls.get(call_sid)
            if call is None:
                tombstone = Call(call_sid, (), started_at_ms=now_ms, ended_at_ms=now_ms, end_reason=reason)
                if calls.create(tombstone) == tombstone:
                    return tombstone, False
                continue
            if call.ended:
                return call, is_unanswered and (call.ended_at_ms, call.end_reason) == (now_ms, reason)
            return calls.write(call, end(call, now_ms=now_ms, reason=reason)), True
        except Lost:
            continue
        except NotReached as error:
            silence, is_unanswered = error, True
    raise silence


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
