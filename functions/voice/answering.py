"""A call comes in, and its windows follow one another.

Twilio may send every webhook twice, late, or before it has heard our answer to the last. So the same webhook gets the
same turn again: the table's conditional writes say which of two was first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from duckline import shipped
from duckline.call import BedSpan, Call, Speech
from duckline.delivery import Delivery, Finding
from duckline.records import greeting_id
from duckline.schedule import abandoned
from duckline.stores import Beds, Calls, Lost, NotReached
from duckline.stores.findings import Findings
from duckline.window import open_window, window_end
from voice.notices import Notices, call_started, speech_scheduled, speeches_cancelled

OPEN_TRIES = 8  # a stream that lives on behind a broken line seals up to ten times a second
REST_MS = 2000  # between two tries to open a window that would not open


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be heard next: the call's window, a pass of its bed's plain copy, nothing for a while, or no more.

    `full` is a pass of the plain copy for a call that is not kept, because there is no room for its stream.
    """

    call: Call
    kind: Literal["music", "plain", "full", "pause", "over"]


@dataclass(frozen=True, slots=True)
class Answering:
    """The use cases of a call that goes on, and what they need. Times are wall-clock milliseconds.

    `is_full` tells, at a time, whether there is no room for another call.
    """

    calls: Calls
    beds: Beds
    findings: Findings
    notices: Notices
    delivery: Delivery
    default_bed: str
    is_full: Callable[[int], bool] = lambda now_ms: False

    def call_in(self, call_sid: str, bed_name: str, now_ms: int, *, greeted: bool = False) -> Turn:
        """The first window of a call, over the bed `bed_name`, the default one, or the one that is shipped.

        One that is `greeted` begins with a speech that somebody has to make: its record is kept already.
        A call that is known already gets its current window, and one that ended before it began gets none. One for
        which there is no room hears the plain copy, and is as new when it comes back. Raises NotReached.
        """
        if self.is_full(now_ms):
            kept = self.calls.get(call_sid)
            refused = Call(call_sid, beds=(self._bed(bed_name),), started_at_ms=now_ms, window_until=0)
            return Turn(refused, "full") if kept is None else _current(kept)
        shape = self.delivery.shape(self._known(), now_ms=now_ms, first=True)
        call = Call(
            call_sid,
            beds=(self._bed(bed_name),),
            started_at_ms=now_ms,
            window_until=window_end(0, shape.grid_frames),
            grid_frames=shape.grid_frames,
            paced=shape.paced,
            opening_at_ms=now_ms,
            next_order=2 if greeted else 1,
            speeches=(Speech(greeting_id(call_sid), order=1),) if greeted else (),
        )
        kept = self.calls.create(call)
        if kept == call:
            self.notices.publish([call_started(call), *(speech_scheduled(call, speech) for speech in call.speeches)])
            if greeted:
                self.notices.ask_for_makers(call_sid)
        return _current(kept)

    def next_window(
        self,
        call_sid: str,
        epoch: int | None,
        now_ms: int,
        *,
        rested: bool,
        bed_name: str,
        greeted: bool = False,
        asked_ms: int | None = None,
        cut_at_ms: int | None = None,
    ) -> Turn:
        """What follows the window `epoch`: the next one, or a rest if that one could not be opened at all.

        Where another window than `epoch` is the current one, this has been answered already, and the current one is the
        answer again. None means the current one, whichever it is. A call that the table has lost begins anew.
        `asked_ms` is when this was first asked, if it had to be asked again, `cut_at_ms` when the caller's own input
        cut the window short, if it did. Raises NotReached.
        """
        call = self.calls.get(call_sid)
        if call is None:
            return self.call_in(call_sid, bed_name, now_ms, greeted=greeted)
        over = call.epoch if epoch is None else epoch
        for _ in range(OPEN_TRIES):
            if call is None or call.ended or call.epoch != over:
                break
            if not call.opened_at_ms and (kind := _rest(call, now_ms, rested=rested)):
                return Turn(call, kind)
            try:
                call = self._opened(call, now_ms, now_ms if asked_ms is None else asked_ms, cut_at_ms)
            except Lost as lost:
                call = lost.current
        if call is None or (call.epoch == over and not call.ended):
            raise NotReached(f"call {call_sid} changes too fast for window {over + 1} to be opened")
        if abandoned(call, now_ms) and not call.ended:
            self.notices.ask_for_makers(call_sid)
        return _current(call)

    def _opened(self, call: Call, now_ms: int, asked_ms: int, cut_at_ms: int | None) -> Call:
        known = self._known()
        # A window that the caller cut short says nothing of Twilio.
        learnt = self.delivery.learnt(known, call, asked_ms) if cut_at_ms is None else known
        cut = {} if cut_at_ms is None else {"cut_at_ms": cut_at_ms}
        shape = self.delivery.shape(learnt, now_ms=now_ms)
        following = open_window(
            call,
            now_ms=now_ms,
            asked_ms=asked_ms,
            margin_ms=self.delivery.margin_ms(call),
            grid_frames=shape.grid_frames,
            paced=shape.paced,
            **cut,
        )
        written = self.calls.write(call, following, exact=True)
        if cut:
            self.notices.publish(speeches_cancelled(call, written, now_ms))
        if learnt is not None and learnt is not known:
            self.notices.background(self.findings.keep, learnt)
        return written

    def _known(self) -> Finding | None:
        if not self.delivery.is_learning:
            return None
        try:
            return self.findings.get()
        except NotReached:
            return None  # a probe is music too, and shows what is not known

    def _bed(self, asked: str) -> BedSpan:
        for name in filter(None, (asked, self.default_bed)):
            record = self.beds.get(name)
            if record is not None and record.version:
                return BedSpan(start=0, version=record.version, name=record.name)
        return shipped.SPAN


def _current(call: Call) -> Turn:
    return Turn(call, "over" if call.ended else "music")


def _rest(call: Call, now_ms: int, *, rested: bool) -> Literal["plain", "pause"] | None:
    """What the caller gets before another try, for a window that nobody could open; None when it is time to try.

    One that comes back from its rest too soon has not heard the plain copy either.
    """
    if not rested:
        return "plain"
    return None if rested and now_ms >= call.opening_at_ms + REST_MS else "pause"
