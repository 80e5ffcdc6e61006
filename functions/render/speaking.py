"""A request to speak, from its reservation to its place in the call.

Reserve a place in the order; make the sound; find where it goes; mix it with that stretch of music; store the clip;
publish. Who loses the race for the schedule places and mixes again. The maker of a speech is whoever holds its lease:
the request itself at first, the work queue when that one cannot go on.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from duckline import schedule
from duckline.berth import Berth, Interruption, Manner, berth, interruption, is_next, longest_voice_frames
from duckline.call import Call, Part, Speech, playhead
from duckline.errors import Conflict, DucklineError, KeyReused, NotFound, Unavailable
from duckline.records import SpeechRecord, SpeechStatus, status_of
from duckline.stores import Calls, Lost, NotReached, Speeches
from duckline.timeline import frames_from_ms, ms_from_frames

LEASE_MS = 15_000
POLL_MS = 100  # how often a maker looks whether it is its turn
PATIENCE_MS = 20_000  # for its turn; API Gateway gives up at 30 s
GUARD_FRAMES = 5  # the stream's short step: what it seals while a clip is mixed and stored
GUARD_MOST_FRAMES = 25
LONG_GUARD_MOST_FRAMES = 500
WRITE_TRIES = 20
TRIED_FOR_MS = 30_000  # how long a synthesiser may be busy before an accepted speech is given up


@dataclass(frozen=True, slots=True)
class Voice:
    """A stretch of ready speech: `frames` frames from frame `first` of the object `key`."""

    key: str
    first: int
    frames: int
    level_dbov: float


class Studio(Protocol):
    """Whatever makes sound of words and clips of sound."""

    def lines(self, record: SpeechRecord) -> list[str]:
        """What is to be said, in the pieces in which it is made; one for what is one sound."""

    def voice(self, record: SpeechRecord, line: str) -> Voice:
        """One piece made ready. Raises DucklineError, NotReached."""

    def fitting(self, voice: Voice, longest_frames: int) -> Voice:
        """As much from the beginning of `voice` as is not longer than that, cut at a pause if it is not all."""

    def depth(self, call: Call, voice: Voice) -> Callable[[int], float]:
        """How far the music goes down under this voice, as a gain, by the frame at which the voice begins."""

    def clip(self, call: Call, place: Berth, voice: Voice | None, cut_at: int | None = None) -> str:
        """Mixes and stores the clip of `place`; answers with its id. Voices that sound at `cut_at` fade out in it."""

    def warm(self, call: Call) -> None:
        """Fetches the music around the seal, so that it is there when the words are."""


class Superseded(Exception):
    """The speech is no longer this maker's: it was cancelled, or another has taken it over."""


class Speaking:
    """The use cases around one speech."""

    def __init__(
        self,
        *,
        calls: Calls,
        speeches: Speeches,
        studio: Studio,
        work: Any,
        events: Any,
        clock: Any,
        background: Callable[..., Any],
        manner: Manner,
    ) -> None:
        self.calls, self.speeches, self.studio = calls, speeches, studio
        self.work, self.events, self.clock, self.background = work, events, clock, background
        self.manner = manner

    def accept(self, record: SpeechRecord) -> SpeechStatus:
        """Reserves a place for `record`, places its first part, and leaves the others to the work queue.

        The same record again finds its own reservation. A record that is refused leaves nothing behind. Raises
        NotFound, Conflict, TooManyPending, KeyReused, and what the studio has against the words or the sound.
        """
        call = self._call(record.call_sid)
        kept = self.speeches.keep(record)
        if kept.fingerprint != record.fingerprint and not kept.order:
            call = self._call(record.call_sid)
            if call.speech(record.speech_id) is None:  # that request was refused: it has not used up its key
                kept = self.speeches.keep(record, instead_of=kept)
        if kept.fingerprint != record.fingerprint:
            raise KeyReused("this Idempotency-Key came with another body before; a new speech needs a new key")
        if kept.order:  # over already: the retry of a request whose answer was lost
            return kept.status
        if call.speech(record.speech_id) is None:
            call = self._change(
                call,
                lambda call: schedule.reserve(call, record.speech_id, now_ms=self.clock.now_ms(), lease_ms=LEASE_MS),
            )
            self.background(self.studio.warm, call)
            return self._first_part(call, kept)
        return status_of(call, call.speech(record.speech_id), self.clock.now_ms())

    def _first_part(self, call: Call, record: SpeechRecord) -> SpeechStatus:
        maker = call.speech(record.speech_id).maker
        try:
            call = next(self._parts(call, record, maker))
            if call.speech(record.speech_id).more:
                self._hand_over(record, maker)
        except Conflict:  # the call is over, and its end has accounted for the speech
            raise
        except DucklineError:
            self._change(self._call(record.call_sid), lambda call: schedule.withdraw(call, record.speech_id, maker))
            raise
        except NotReached:
            self._hand_over(record, maker)  # accepted is accepted: the queue goes on with it
        except Superseded:
            call = self._call(record.call_sid)
        speech = call.speech(record.speech_id)
        if speech is None:
            return self.speeches.get(record.call_sid, record.speech_id).status
        status = status_of(call, speech, self.clock.now_ms())
        self._told("speech.scheduled", call, status)
        return status

    def go_on(self, call_sid: str, speech_id: str, maker: int) -> None:
        """Makes what is still owed of a speech, as its maker `maker`."""
        record, call = self.speeches.get(call_sid, speech_id), self._call(call_sid)
        if record is None:
            reason = f"nothing is kept of speech {speech_id} of call {call_sid}"
            self._fail(call, speech_id, reason)  # or those behind it would wait for ever
            raise NotFound(reason)
        try:
            for _ in self._parts(call, record, maker):
                pass
        except Superseded:
            return
        except Conflict:
            raise
        except DucklineError as error:
            self._not_made(self._call(call_sid), record, error)
            raise

    def take_up(self, call_sid: str) -> None:
        """Takes over every speech whose maker's lease has run out, in order, and places it."""
        while True:
            call = self.calls.get(call_sid)
            if call is None or call.ended:
                return
            owed = schedule.abandoned(call, self.clock.now_ms())
            if not owed:
                return
            taken = owed[0].speech_id
            try:
                call = self.calls.write(
                    call, schedule.take_over(call, taken, now_ms=self.clock.now_ms(), lease_ms=LEASE_MS)
                )
            except Lost:
                continue
            self.make(call, taken)

    def make(self, call: Call, speech_id: str) -> None:
        """Places all that is owed of a speech whose lease the caller has just taken."""
        try:
            self.go_on(call.call_sid, speech_id, call.speech(speech_id).maker)
        except DucklineError as error:
            if call.ended or isinstance(error, Conflict):
                return
            raise

    # -- the parts ------------------------------------------------------------------------------------

    def _parts(self, call: Call, record: SpeechRecord, maker: int) -> Iterator[Call]:
        """Places one part after the other, and hands out the call after each.

        What is said already is counted in frames of voice: where a long voice is cut depends on the window.
        """
        lines, line_from = self.studio.lines(record), 0
        for number, line in enumerate(lines):
            voice = self.studio.voice(record, line)
            call = self._call(record.call_sid)  # the seal went on meanwhile, and a stale one loses the race
            said = line_from
            while said < line_from + voice.frames:
                rest = replace(voice, first=said - line_from, frames=line_from + voice.frames - said)
                call = self._place(call, record, maker, said, rest, is_last=number == len(lines) - 1)
                yield call
                said = call.speech(record.speech_id).said_frames
            line_from += voice.frames

    def _not_made(self, call: Call, record: SpeechRecord, error: DucklineError) -> None:
        """Gives the speech up, unless the error may pass and there is time to try again."""
        passes = isinstance(error, Unavailable) and self.clock.now_ms() < record.requested_at_ms + TRIED_FOR_MS
        if not passes:
            self._fail(call, record.speech_id, str(error))

    def _place(self, call: Call, record: SpeechRecord, maker: int, said: int, voice: Voice, *, is_last: bool) -> Call:
        """Places as much of `voice` as a window holds, behind the `said` frames that are placed already.

        Raises Superseded, Conflict, NotReached when its turn does not come.
        """
        give_up_at_ms = self.clock.monotonic_ms() + PATIENCE_MS
        guard_frames = GUARD_FRAMES
        for _ in range(WRITE_TRIES):
            call, speech = self._turn(call, record, maker, said, give_up_at_ms)
            if speech.said_frames > said:
                return call  # placed before, by a write whose answer was lost or by a maker who died after it
            at_once, began_ms = _interrupts(record, speech), self.clock.monotonic_ms()
            piece = self.studio.fitting(voice, longest_voice_frames(call.grid_frames))
            more = not is_last or piece.frames < voice.frames
            after = self._placed(call, speech, piece, more=more, guard_frames=guard_frames, at_once=at_once)
            try:
                written = self.calls.write(call, after)
                self.tell_cancelled(call, written)
                return written
            except Lost as lost:
                call = self._known(lost.current, record.call_sid)
                taken_frames = frames_from_ms(self.clock.monotonic_ms() - began_ms)
                guard_frames = min(guard_frames + 3, GUARD_MOST_FRAMES)
                if taken_frames > GUARD_MOST_FRAMES:  # so much is sealed while minutes of audio are mixed and stored
                    guard_frames = min(taken_frames + GUARD_MOST_FRAMES, LONG_GUARD_MOST_FRAMES)
            except NotReached:
                self.clock.sleep_until(self.clock.monotonic_ms() + POLL_MS)
                call = self._call(record.call_sid)
        raise NotReached(f"the schedule of call {record.call_sid} changes too fast")

    def _turn(
        self, call: Call, record: SpeechRecord, maker: int, said: int, give_up_at_ms: float
    ) -> tuple[Call, Speech]:
        """Waits until all that was reserved before has its place."""
        while True:
            speech = call.speech(record.speech_id)
            if speech is None or speech.maker != maker or speech.outcome is not None:
                raise Superseded(record.speech_id)
            if call.ended:
                raise Conflict(f"call {call.call_sid} is over: {call.end_reason}")
            if _interrupts(record, speech) or speech.said_frames > said or is_next(call, speech):
                return call, speech
            if self.clock.monotonic_ms() > give_up_at_ms:
                raise NotReached(f"speech {record.speech_id} waits for those before it")
            self.clock.sleep_until(self.clock.monotonic_ms() + POLL_MS)
            call = self._call(record.call_sid)
            if speech.lease_until_ms < self.clock.now_ms() + LEASE_MS / 2:
                call = self._renewed(call, record.speech_id, maker)

    def _renewed(self, call: Call, speech_id: str, maker: int) -> Call:
        speech = call.speech(speech_id)
        if speech is None or speech.maker != maker or speech.outcome is not None:
            return call
        try:
            return self.calls.write(
                call, schedule.renew(call, speech_id, now_ms=self.clock.now_ms(), lease_ms=LEASE_MS)
            )
        except Lost as lost:
            return self._known(lost.current, call.call_sid)

    def _placed(
        self, call: Call, speech: Speech, voice: Voice, *, more: bool, guard_frames: int, at_once: bool
    ) -> Call:
        """The call with `voice` in its place, its clip stored."""
        depth = self.studio.depth(call, voice)
        if not at_once:
            place = berth(call, speech, voice.frames, depth, guard_frames=guard_frames, manner=self.manner)
            part = Part(self.studio.clip(call, place, voice), place.duck, place.voice_at)
            return schedule.place(call, speech.speech_id, part, more=more)
        cut = interruption(call, speech, voice.frames, depth, guard_frames=guard_frames, manner=self.manner)
        part = self._interrupting(call, cut, voice)
        fade = None
        if cut.fade is not None:
            fade = Part(self.studio.clip(call, cut.fade, None, cut.at), cut.fade.duck, cut.fade.voice_at)
        return schedule.interrupt(call, speech.speech_id, part, fade, at=cut.at, more=more)

    def _interrupting(self, call: Call, cut: Interruption, voice: Voice) -> Part:
        cut_at = cut.at if cut.fade is None else None
        return Part(self.studio.clip(call, cut.berth, voice, cut_at), cut.berth.duck, cut.berth.voice_at)

    # -- the call -------------------------------------------------------------------------------------

    def _fail(self, call: Call, speech_id: str, reason: str) -> None:
        call = self._change(call, lambda call: schedule.fail(call, speech_id, reason))
        speech = call.speech(speech_id)
        if speech is not None:
            self._told("speech.failed", call, status_of(call, speech, self.clock.now_ms()))

    def _change(self, call: Call, change: Callable[[Call], Call]) -> Call:
        """`change` written, tried again on the call as it is whenever somebody else was first."""
        for _ in range(WRITE_TRIES):
            after = change(call)
            if after == call:
                return call
            try:
                return self.calls.write(call, after)
            except Lost as lost:
                call = self._known(lost.current, call.call_sid)
            except NotReached:
                call = self._call(call.call_sid)
        raise Unavailable(f"the schedule of call {call.call_sid} changes too fast; try again")

    def _call(self, call_sid: str) -> Call:
        return self._known(self.calls.get(call_sid), call_sid)

    def _known(self, call: Call | None, call_sid: str) -> Call:
        if call is None:
            raise NotFound(f"there is no call {call_sid}")
        return call

    def _hand_over(self, record: SpeechRecord, maker: int) -> None:
        """Leaves what is still owed to the work queue. Should that fail, the lease runs out and the stream asks."""
        rest = {"kind": "go_on", "call_sid": record.call_sid, "speech_id": record.speech_id, "maker": maker}
        with contextlib.suppress(NotReached):
            self.work.send(rest)

    def tell_cancelled(self, before: Call, after: Call) -> None:
        """Publishes what one write has cancelled."""
        for speech in after.speeches:
            was = before.speech(speech.speech_id)
            if speech.outcome == "cancelled" and was is not None and was.outcome is None:
                self._told("speech.cancelled", after, status_of(after, speech, self.clock.now_ms()))

    def _told(self, kind: str, call: Call, status: SpeechStatus) -> None:
        event = {
            "type": kind,
            "call_sid": call.call_sid,
            "speech_id": status.speech_id,
            "at_ms": self.clock.now_ms(),
            "starts_at_ms": status.starts_at_ms,
            "duration_ms": status.duration_ms,
            "reason": status.reason,
        }
        self.background(self.events.publish, [event])


def _interrupts(record: SpeechRecord, speech: Speech) -> bool:
    """Whether the next part goes in front of all that waits: once, when the first is placed."""
    return record.when == "now" and not speech.parts and not speech.had_place


def starts_in_ms(call: Call, status: SpeechStatus, now_ms: float) -> int | None:
    """How long from now until the caller hears the first sound of a speech."""
    if status.starts_at_ms is None:
        return None
    return max(0, status.starts_at_ms - ms_from_frames(playhead(call, now_ms)))
