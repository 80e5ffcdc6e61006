"""Speeches taken back: one or all, before they are heard or while they are."""

from collections.abc import Callable, Iterable
from functools import partial

from duckline import schedule
from duckline.berth import fade_berth
from duckline.call import Call, Part, Speech
from duckline.errors import Conflict, NotFound, Unavailable
from duckline.records import SpeechStatus, status_of
from duckline.stores import Lost, NotReached
from render.speaking import GUARD_FRAMES, GUARD_MOST_FRAMES, LEASE_MS, WRITE_TRIES, Speaking


class Silencing:
    """The use cases that make speeches not heard. Those behind them move up."""

    def __init__(self, speaking: Speaking) -> None:
        self.speaking = speaking

    def cancel(self, call_sid: str, speech_id: str) -> SpeechStatus:
        """Takes one speech out, or fades it out if it is playing. Again is the same. Raises NotFound, Conflict."""
        call = self.speaking._call(call_sid)
        if call.speech(speech_id) is None:
            return self._over(call_sid, speech_id)
        call = self._silence(call, lambda call: [s for s in call.speeches if s.speech_id == speech_id], "cancelled")
        speech = call.speech(speech_id)
        if speech is None:
            return self._over(call_sid, speech_id)
        return _cancelled(status_of(call, speech, self.speaking.clock.now_ms()))

    def cancel_all(self, call_sid: str) -> int:
        """Takes out all that is not heard yet; answers with how many speeches that were."""
        call = self.speaking._call(call_sid)
        before = {speech.speech_id for speech in call.speeches if speech.outcome is None}
        call = self._silence(call, lambda call: [s for s in call.speeches if s.speech_id in before], "cancelled")
        return sum(1 for s in call.speeches if s.speech_id in before and s.outcome == "cancelled")

    def _over(self, call_sid: str, speech_id: str) -> SpeechStatus:
        record = self.speaking.speeches.get(call_sid, speech_id)
        if record is None or not record.order:  # what is neither pending nor over was refused
            raise NotFound(f"call {call_sid} has no speech {speech_id}")
        return _cancelled(record.status)

    def _silence(self, call: Call, which: Callable[[Call], Iterable[Speech]], reason: str) -> Call:
        """Silences those of the call that can still be, in one write, and places what stood behind them."""
        speaking, guard_frames = self.speaking, GUARD_FRAMES
        for _ in range(WRITE_TRIES):
            gone = [speech for speech in which(call) if speech.outcome is None]
            at = call.sealed + guard_frames
            ids = [speech.speech_id for speech in gone]
            silenced = partial(schedule.silence, call, ids, at=at, reason=reason, lease_ms=LEASE_MS)
            after = silenced(None, now_ms=speaking.clock.now_ms())
            place = fade_berth(call, guard_frames=guard_frames, manner=speaking.manner)
            if place is not None and schedule.is_cut(after, at):
                fade = Part(speaking.studio.clip(call, place, None, at), place.duck, place.voice_at)
                after = silenced(fade, now_ms=speaking.clock.now_ms())
            if after == call:
                return call
            try:
                written = speaking.calls.write(call, after)
            except Lost as lost:
                call = speaking._known(lost.current, call.call_sid)
                guard_frames = min(guard_frames + 3, GUARD_MOST_FRAMES)
                continue
            except NotReached:
                call = speaking._call(call.call_sid)
                continue
            self._afterwards(call, written)
            return written
        raise Unavailable(f"the schedule of call {call.call_sid} changes too fast; try again")

    def _afterwards(self, before: Call, after: Call) -> None:
        self.speaking.tell_cancelled(before, after)
        for speech in after.speeches:
            was = before.speech(speech.speech_id)
            if speech.outcome is None and speech.more and was.maker != speech.maker:
                self.speaking.make(after, speech.speech_id)


def _cancelled(status: SpeechStatus) -> SpeechStatus:
    """`status` of a speech that is cancelled. Raises Conflict if it was heard instead."""
    if status.state == "cancelled":
        return status
    raise Conflict(f"speech {status.speech_id} is {status.state}; only one that is not over yet can be cancelled")
