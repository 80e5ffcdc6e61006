"""Twilio says what became of a call; where that is its end, the call is over."""

from dataclasses import dataclass

from duckline.ending import end_call
from duckline.stores import Calls, Speeches
from voice.notices import Notices

OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})  # Twilio's CallStatus; the others go on


@dataclass(frozen=True, slots=True)
class Ending:
    """The use case of a status callback, and what it needs."""

    calls: Calls
    speeches: Speeches
    notices: Notices

    def call_over(self, call_sid: str, call_status: str, now_ms: int) -> None:
        """Ends the call if `call_status` says so. A second callback changes nothing. Raises NotReached."""
        if call_status in OVER:
            end_call(self.calls, self.speeches, self.notices.publish, call_sid, reason=call_status, now_ms=now_ms)
