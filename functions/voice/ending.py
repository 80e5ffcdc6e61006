"""A call is over: it is marked, and what was still to be said in it is accounted for."""

from dataclasses import dataclass

from duckline.call import Call
from duckline.records import status_of
from duckline.schedule import end
from duckline.stores import Calls, Lost, NotReached, Speeches
from voice.notices import Notices, call_ended, speech_over

OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})  # Twilio's CallStatus; the others go on
TRIES = 4


@dataclass(frozen=True, slots=True)
class Ending:
    """The use case of a call that has ended, and what it needs."""

    calls: Calls
    speeches: Speeches
    notices: Notices

    def call_over(self, call_sid: str, call_status: str, now_ms: int) -> None:
        """Ends the call if `call_status` says so. A second callback changes nothing. Raises NotReached."""
        if call_status not in OVER:
            return
        call = self._ended(call_sid, call_status, now_ms)
        if call is None:
            return
        events = [call_ended(call)]
        for speech in call.speeches:
            status = status_of(call, speech, now_ms)
            self.speeches.close(call_sid, status, speech.order)
            if speech.outcome is None:
                events.append(speech_over(call, status))
        self.notices.publish(events)

    def _ended(self, call_sid: str, reason: str, now_ms: int) -> Call | None:
        """The call as this callback ended it; None if there was nothing to end.

        A callback that comes before the call is known leaves a tombstone, which a late /voice finds.
        """
        silence = NotReached(f"call {call_sid} changes too fast to be ended")
        for _ in range(TRIES):
            try:
                call = self.calls.get(call_sid)
                if call is None:
                    tombstone = Call(call_sid, (), started_at_ms=now_ms, ended_at_ms=now_ms, end_reason=reason)
                    if self.calls.create(tombstone) == tombstone:
                        return None
                    continue
                if call.ended:
                    mine = (call.ended_at_ms, call.end_reason) == (now_ms, reason) and call.beds
                    return call if mine else None
                return self.calls.write(call, end(call, now_ms=now_ms, reason=reason))
            except Lost:
                continue
            except NotReached as error:
                silence = error
        raise silence
