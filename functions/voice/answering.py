"""A call comes in, and its windows follow one another.

Twilio may send every webhook twice, late, or before it has heard our answer to the last. So the same webhook gets the
same turn again: the table's conditional writes say which of two was first.
"""

from dataclasses import dataclass
from typing import Literal

from duckline import shipped
from duckline.call import BedSpan, Call, bed_at
from duckline.delivery import Delivery, Finding
from duckline.schedule import abandoned
from duckline.stores import Beds, Calls, Lost, NotReached
from duckline.stores.findings import Findings
from duckline.window import open_window, window_end
from voice.notices import Notices, call_started

OPEN_TRIES = 8  # a stream that lives on behind a broken line seals up to ten times a second
REST_MS = 2000  # between two tries to open a window that would not open


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be heard next: the call's window, a pass of its bed's plain copy, nothing for a while, or no more."""

    call: Call
    kind: Literal["music", "plain", "pause", "over"]


@dataclass(frozen=True, slots=True)
class Answering:
    """The use cases of a call that goes on, and what they need. Times are wall-clock milliseconds."""

    calls: Calls
    beds: Beds
    findings: Findings
    notices: Notices
    delivery: Delivery
    default_bed: str

    def call_in(self, call_sid: str, bed_name: str, now_ms: int) -> Turn:
        """The first window of a call, over the bed `bed_name`, the default one, or the one that is shipped.

        A call that is known already gets its current window, and one that ended before it began gets none.
        Raises NotReached.
        """
        shape = self.delivery.shape(self._known(), now_ms=now_ms, first=True)
        call = Call(
            call_sid,
            beds=(self._bed(bed_name),),
            started_at_ms=now_ms,
            window_until=window_end(0, shape.grid_frames),
            grid_frames=shape.grid_frames,
            paced=shape.paced,
            opening_at_ms=now_ms,
        )
        kept = self.calls.create(call)
        if kept == call:
            self.notices.publish([call_started(call)])
        return _current(kept)

    def next_window(
        self,
        call_sid: str,
        epoch: int | None,
        now_ms: int,
        *,
        rested: bool,
        bed_name: str,
        asked_ms: int | None = None,
    ) -> Turn:
        """What follows the window `epoch`: the next one, or a rest if that one could not be opened at all.

        Where another window than `epoch` is the current one, this has been answered already, and the current one is the
        answer again. None means the current one, whichever it is. A call that the table has lost begins anew.
        `asked_ms` is when this was first asked, if it had to be asked again. Raises NotReached.
        """
        call = self.calls.get(call_sid)
        if call is None:
            return self.call_in(call_sid, bed_name, now_ms)
        over = call.epoch if epoch is None else epoch
        for _ in range(OPEN_TRIES):
            if call is None or call.ended or call.epoch != over:
                break
            if not call.opened_at_ms and (kind := _rest(call, now_ms, rested=rested)):
                return Turn(call, kind)
            try:
                call = self._opened(call, now_ms, now_ms if asked_ms is None else asked_ms)
            except Lost as lost:
                call = lost.current
        if call is None or (call.epoch == over and not call.ended):
            raise NotReached(f"call {call_sid} changes too fast for window {over + 1} to be opened")
        if abandoned(call, now_ms) and not call.ended:
            self.notices.ask_for_makers(call_sid)
        return _current(call)

    def _opened(self, call: Call, now_ms: int, asked_ms: int) -> Call:
        known = self._known()
        learnt = self.delivery.learnt(known, call, asked_ms)
        shape = self.delivery.shape(learnt, now_ms=now_ms)
        following = open_window(
            call,
            now_ms=now_ms,
            asked_ms=asked_ms,
            margin_ms=self.delivery.margin_ms(call),
            grid_frames=shape.grid_frames,
            paced=shape.paced,
        )
        written = self.calls.write(call, following, exact=True)
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
    if not rested and bed_at(call, call.sealed).version != shipped.VERSION:
        return "plain"
    return None if rested and now_ms >= call.opening_at_ms + REST_MS else "pause"
