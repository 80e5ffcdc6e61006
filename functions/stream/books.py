"""What the holder of a window owes to others: history and events of speeches, and work that somebody has to take up.

All of it goes out in the background; the stream never waits for it.
"""

from collections.abc import Callable
from typing import Any

from duckline import schedule
from duckline.call import Call, Speech, playhead
from duckline.records import status_of
from duckline.stores import NotReached, Speeches
from duckline.timeline import ms_from_frames

TOLD_AGAIN_AFTER_MS = 3000  # work that nobody has taken up by then is told to the queue once more
CLOCKS_DIFFER_MS = 200  # a lease is over when it is over by everybody's clock


class Books:
    """The books of one call, kept by one window. Times of events are wall-clock milliseconds."""

    def __init__(self, speeches: Speeches, events: Any, work: Any, background: Callable[..., Any]) -> None:
        self.speeches, self.events, self.work, self.background = speeches, events, work, background
        self.closing: dict[str, Any] = {}
        self.told: set[tuple[str, str, int]] = set()
        self.asked_at_ms: dict[tuple[str, int], float] = {}

    def keep(self, call: Call, heard: int, now_ms: int) -> tuple[str, ...]:
        """Writes what has come to pass; answers with the speeches whose history is written: the seal may drop them."""
        self._tell(call, now_ms)
        self._ask_for_makers(call, now_ms)
        for speech in schedule.over(call, heard):
            if speech.speech_id not in self.closing:
                status = status_of(call, speech, now_ms)
                self.closing[speech.speech_id] = self.background(
                    self.speeches.close, call.call_sid, status, speech.order
                )
        return tuple(s.speech_id for s in call.speeches if self._is_closed(s.speech_id))

    def settle(self, call: Call, heard: int, clock: Any, until_ms: float) -> None:
        """Waits for the history that can be written now, so that the last seal can drop what it tells of."""
        self.keep(call, heard, clock.now_ms())
        for task in list(self.closing.values()):
            clock.wait(task, until_ms)

    def _is_closed(self, speech_id: str) -> bool:
        task = self.closing.get(speech_id)
        if task is None or not task.done():
            return False
        try:
            task.result()
        except NotReached:
            del self.closing[speech_id]  # it is written at the next step
            return False
        return True

    def _tell(self, call: Call, now_ms: int) -> None:
        heard = playhead(call, now_ms)
        for speech in call.speeches:
            spoken = speech.spoken_parts
            if spoken and spoken[0].voice_at <= heard and speech.outcome is None:
                self._event("speech.started", call, speech, spoken[0].voice_at)
            if spoken and speech.is_placed and speech.outcome is None and speech.voice_end <= heard:
                self._event("speech.finished", call, speech, speech.voice_end)

    def _event(self, kind: str, call: Call, speech: Speech, frame: int) -> None:
        mark = (kind, speech.speech_id, speech.again)
        if mark in self.told:
            return
        self.told.add(mark)
        self.background(
            self.events.publish,
            [
                {
                    "type": kind,
                    "call_sid": call.call_sid,
                    "speech_id": speech.speech_id,
                    "at_ms": call.opened_at_ms + ms_from_frames(frame - call.window_from),
                    "position_ms": ms_from_frames(frame),
                }
            ],
        )

    def _ask_for_makers(self, call: Call, now_ms: int) -> None:
        for speech in schedule.abandoned(call, now_ms - CLOCKS_DIFFER_MS):
            mark = (speech.speech_id, speech.maker)
            if now_ms >= self.asked_at_ms.get(mark, 0) + TOLD_AGAIN_AFTER_MS:
                self.asked_at_ms[mark] = now_ms
                self.background(self.work.send, {"kind": "speak", "call_sid": call.call_sid})
                return
