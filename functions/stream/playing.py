"""One window of a call, played: seal a step, read the schedule that comes back, send the sound of that step.

The loop sleeps between steps. It goes on with what it last knew while the table cannot be reached, ends when the call
or its hold does, and has whatever it could not play spoken again.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from duckline import schedule
from duckline.berth import EDGE_FRAMES
from duckline.call import Call, Stretch, stretches, surely_heard
from duckline.delivery import Delivery
from duckline.stores import Calls, Hold, Lost, NotReached
from duckline.timeline import FRAME_BYTES, FRAME_MS
from duckline.window import take_hold
from stream.books import Books
from stream.companding import blended, echoed, faded
from stream.pace import SHORT_FOR_MS, SHORT_STEP_FRAMES, STEP_FRAMES, Pace
from stream.sources import Music, Sources

CHUNK_FRAMES = 12  # 240 ms at the most in one chunk
FORGOTTEN_MS = 6000  # a speech stays in the call's item that much longer: a broken line may be told of late
HOLD_TRIES = 8
PATIENCE = 0.4  # of what the caller still has to hear: so long a step waits for the table, and again for the bucket
FIRST_PATIENCE_MS = 500  # for the first music of a window, before which the caller hears nothing
SPLICE_FRAMES = 8  # an unplanned change of source is blended over 160 ms


class NotHeld(Exception):
    """The window is not to be had: the call is unknown or over, or another window has its place."""


@dataclass(slots=True)
class Tally:
    """What a window came to, for its line in the log and its metrics."""

    frames: int = 0
    late_ms: float = 0.0
    unsealed_steps: int = 0
    missed_speeches: int = 0
    ended_by: str = "sent"


@dataclass(frozen=True, slots=True)
class Services:
    """What a window is played with. `background` runs a function and hands back its task."""

    calls: Calls
    books: Callable[[], Books]
    sources: Sources
    clock: Any
    background: Callable[..., Any]
    log: Callable[..., None]
    faded: Callable[..., bytes] = faded
    blended: Callable[[bytes, bytes], bytes] = blended
    echoed: Callable[[bytes], bytes] = echoed


class Playing:
    """One fetch of one window."""

    def __init__(self, services: Services, delivery: Delivery, *, lead_ms: float) -> None:
        self.delivery = delivery
        self.calls, self.sources, self.clock = services.calls, services.sources, services.clock
        self.background, self.log, self.books = services.background, services.log, services.books()
        self.faded, self.blended, self.echoed = services.faded, services.blended, services.echoed
        self.lead_frames = round(lead_ms / FRAME_MS)
        self.tally = Tally()
        self.sealing: Any = None
        self.owing: Any = None  # the last write by which missed speeches were to be spoken again
        self.begun: set[str] = set()  # clips that were sent from their first frame
        self.left_out_until = -1  # the end of what could not be had; what follows without a gap is left out too
        self.last: Stretch | None = None
        self.is_substitute = False  # whether the last music was the bed shipped with the function
        self.tail = b""  # the last of what was played, without the window's fades
        self.waiting_since_ms = 0

    def open(self, call_sid: str, epoch: int, holder: str, longest_ms: float) -> Call:
        """Takes the hold of the window. Raises NotHeld, NotReached."""
        self.hold = Hold(epoch, holder)
        call = self.calls.get(call_sid)
        self.waiting_since_ms = self.clock.now_ms()
        for _ in range(HOLD_TRIES):
            if call is None or call.ended or call.epoch != epoch:
                raise NotHeld(f"window {epoch} of call {call_sid} is not open")
            if call.holder == holder:
                break
            try:
                call = self.calls.write(call, self._held(call, longest_ms), exact=True)
            except Lost as lost:
                call = lost.current
        else:
            raise NotReached(f"window {epoch} of call {call_sid} changes too fast to be held")
        self.call = call
        self.sources.want(call, call.window_from)
        return call

    def _held(self, call: Call, longest_ms: float) -> Call:
        longest_frames = int(longest_ms // FRAME_MS)
        return take_hold(
            call,
            self.hold.holder,
            now_ms=self.clock.now_ms(),
            margin_ms=self.delivery.margin_ms(call),
            first_frames=self.delivery.head_frames(call, self.lead_frames) + STEP_FRAMES,
            longest_frames=longest_frames,
        )

    def audio(self) -> Iterator[bytes]:
        """The window's frames as chunks of µ-law, each when it is due."""
        call, sent = self.call, self.call.window_from
        self.pace = pace = Pace(sent, self.clock.monotonic_ms(), self.delivery.head_frames(call, self.lead_frames))
        to = call.sealed
        while True:
            yield from _chunks(self._sound(sent, to))
            self.tally.frames += to - sent
            sent = to
            if sent >= self.call.window_until:
                break
            step = self._step()
            self.clock.sleep_until(pace.due_ms(sent))
            to = min(self.call.window_until, max(sent + step, pace.target(self.clock.monotonic_ms())))
            if not self._seal(sent, to):
                return  # ended, or another fetch goes on
            late_ms = pace.late_ms(sent, self.clock.monotonic_ms())
            if late_ms > 0:
                self.tally.late_ms += late_ms
                self.pace = pace = pace.after_stall(late_ms)
        self._finish(sent)

    def _finish(self, sent: int) -> None:
        """Says that all has been sent, while the caller still hears the lead."""
        self.books.settle(self.call, self._heard(self.clock.now_ms()), self.clock, self._patient_until(sent))
        give_up_at_ms = self.clock.monotonic_ms() + self.lead_frames * FRAME_MS
        while self._seal(sent, sent, done=True) and self.call.done != self.hold.epoch:
            if self.clock.monotonic_ms() >= give_up_at_ms:
                self.tally.ended_by = "sent, not said"
                return
            self.clock.sleep_until(self.clock.monotonic_ms() + 50)

    def account(self) -> dict[str, Any]:
        """What the window came to."""
        return {**asdict(self.tally), "substituted_frames": self.sources.substituted_frames}

    # -- the seal -------------------------------------------------------------------------------------

    def _step(self) -> int:
        now_ms = self.clock.now_ms()
        waiting = any(
            s.outcome is None and s.more and not s.parts and now_ms < s.lease_until_ms for s in self.call.speeches
        )
        if not waiting:
            self.waiting_since_ms = now_ms
        return SHORT_STEP_FRAMES if waiting and now_ms < self.waiting_since_ms + SHORT_FOR_MS else STEP_FRAMES

    def _seal(self, sent: int, to: int, *, done: bool = False) -> bool:
        """Promises the frames below `to`. False if the window is no longer ours."""
        if self.sealing is not None and not self.sealing.done():
            self.tally.unsealed_steps += 1
            return True
        now_ms = self.clock.now_ms()
        over = self.books.keep(self.call, self._heard(now_ms), now_ms)
        self.sealing = self.background(self._sealed, to, now_ms, done, over)
        self.clock.wait(self.sealing, self._patient_until(sent))
        if not self.sealing.done():
            self.tally.unsealed_steps += 1
            return True
        answer = self.sealing.result()
        if isinstance(answer, Lost):
            self.tally.ended_by = "hang-up" if answer.current is None or answer.current.ended else "another window"
            return False
        if isinstance(answer, NotReached):
            self.tally.unsealed_steps += 1
            self.log("the table cannot be reached", call_sid=self.call.call_sid, reason=str(answer))
            return True
        self._learn(answer, sent)
        return True

    def _sealed(self, to: int, now_ms: int, done: bool, over: tuple[str, ...]) -> Call | Lost | NotReached:
        """The seal's answer, whatever it is: in the background an exception would count as a fault."""
        try:
            return self.calls.seal(self.call.call_sid, self.hold, to, now_ms=now_ms, done=done, over=over)
        except (Lost, NotReached) as answer:
            return answer

    def _heard(self, now_ms: int) -> int:
        return surely_heard(self.call, now_ms, self.delivery.margin_ms(self.call) + self.tally.late_ms + FORGOTTEN_MS)

    def _learn(self, learned: Call, sent: int) -> None:
        """Takes over the schedule as it is; what should have begun before `sent` and did not is spoken again."""
        late = [
            speech.speech_id
            for speech in learned.speeches
            if speech.outcome is None
            and any(
                part.start < sent and part.voice_end > learned.window_from and part.clip not in self.begun
                for part in speech.spoken_parts
            )
        ]
        if late:
            learned = self._again(learned, late, sent)
        elif self.owing is not None:
            self.owing = None
            self.left_out_until = -1  # what comes next is placed and mixed without what was left out
        self.call = learned
        self.sources.want(learned, sent)

    def _again(self, learned: Call, late: list[str], sent: int) -> Call:
        """The call without what was missed, as it is played from here on; the table is told in the background.

        If that fails the next seal brings the same finding back.
        """
        again = schedule.speak_again(learned, late, sent=sent)
        if self.owing is None or self.owing.done():
            self.tally.missed_speeches += len(late) if self.owing is None else 0
            self.log("speeches missed, to be spoken again", call_sid=learned.call_sid, speech_ids=late)
            self.owing = self.background(self._owed, learned, again)
        return again

    def _owed(self, learned: Call, again: Call) -> None:
        try:
            self.calls.write(learned, again, exact=True)
        except (Lost, NotReached) as reason:
            self.log("not yet owed again", call_sid=learned.call_sid, reason=str(reason))

    def _patient_until(self, sent: int) -> float:
        """How long a step may wait without the caller running dry."""
        now_ms = self.clock.monotonic_ms()
        if sent == self.pace.first:
            return now_ms + FIRST_PATIENCE_MS
        return now_ms + PATIENCE * max(0.0, self.pace.dry_ms(sent) - now_ms)

    # -- the sound ------------------------------------------------------------------------------------

    def _sound(self, start: int, end: int) -> bytes:
        until_ms = self._patient_until(start)
        sound = b"".join(self._stretch(stretch, until_ms) for stretch in stretches(self.call, start, end))
        return self._edges(sound, start)

    def _stretch(self, stretch: Stretch, until_ms: float) -> bytes:
        sound = self._clip(stretch, until_ms) if stretch.clip is not None else None
        if sound is None:
            stretch = replace(stretch, clip=None)
            sound = b"".join(map(self._piece, self.sources.pieces(stretch, until_ms)))
        else:
            self.is_substitute = False
        if self.last is not None and not _is_planned(self.last, stretch):
            sound = self._spliced(sound, stretch, until_ms)
        self.last = stretch
        self.tail = (self.tail + sound)[-SPLICE_FRAMES * FRAME_BYTES :]
        return sound

    def _piece(self, music: Music) -> bytes:
        """A piece of bed, led over from what was heard before where one bed stands in for another."""
        changes = self.last is not None and music.is_substitute != self.is_substitute
        self.is_substitute = music.is_substitute
        sound = self._led_over(music.sound) if changes else music.sound
        self.tail = (self.tail + sound)[-SPLICE_FRAMES * FRAME_BYTES :]
        return sound

    def _led_over(self, sound: bytes) -> bytes:
        """`sound` blended in from an echo of what was heard last: what would have followed that is not to be had."""
        echo = self.echoed(self.tail)[: len(sound)]
        return self.blended(echo, sound[: len(echo)]) + sound[len(echo) :]

    def _clip(self, stretch: Stretch, until_ms: float) -> bytes | None:
        """The clip's frames; None if they cannot be had, or if its beginning or what it follows could not."""
        clip, sound = stretch.clip, None
        is_joined = clip.clip in self.begun
        opens = stretch.start == max(clip.start, self.call.window_from) and clip.start > self.left_out_until
        if is_joined or opens:
            sound = self.sources.clip(self.call.call_sid, clip, stretch.start, stretch.end, until_ms)
        if sound is None:
            if clip.end > self.left_out_until:
                self.log("clip left out", call_sid=self.call.call_sid, clip=clip.clip, frame=stretch.start)
            self.left_out_until = max(self.left_out_until, clip.end)
        else:
            self.begun.add(clip.clip)
        return sound

    def _spliced(self, sound: bytes, stretch: Stretch, until_ms: float) -> bytes:
        """`sound` blended in from what was heard before, where the schedule did not foresee the change."""
        end = min(stretch.start + SPLICE_FRAMES, stretch.end)
        turn = end if self.last.clip is None else min(max(self.last.clip.whole_end, stretch.start), end)
        old = b""
        if self.last.clip is not None and turn > stretch.start:
            call_sid = self.call.call_sid
            old = self.sources.clip(call_sid, self.last.clip, stretch.start, turn, until_ms) or b""
        covered = stretch.start + len(old) // FRAME_BYTES
        if covered < end:
            old += self.sources.bed(replace(self.last, start=covered, end=end), until_ms)
        return self.blended(old, sound[: len(old)]) + sound[len(old) :]

    def _edges(self, sound: bytes, start: int) -> bytes:
        """`sound` under the fades with which every window begins and ends."""
        end = start + len(sound) // FRAME_BYTES
        first, until = self.call.window_from, self.call.window_until
        if start < first + EDGE_FRAMES:
            split = (first + EDGE_FRAMES - start) * FRAME_BYTES
            sound = self.faded(sound[:split], start - first, EDGE_FRAMES, rising=True) + sound[split:]
        if end > until - EDGE_FRAMES:
            split = max(until - EDGE_FRAMES - start, 0) * FRAME_BYTES
            passed = max(start - (until - EDGE_FRAMES), 0)
            sound = sound[:split] + self.faded(sound[split:], passed, EDGE_FRAMES, rising=False)
        return sound


def _is_planned(last: Stretch, following: Stretch) -> bool:
    """Whether the schedule itself leads from one source to the other at this frame, and so without a step."""
    if following.clip is not None:
        goes_on = last.clip is not None and following.clip.clip == last.clip.clip
        return goes_on or following.start == following.clip.start
    if last.clip is not None:
        return last.clip.whole_end <= following.start
    return following.bed == last.bed


def _chunks(sound: bytes) -> Iterator[bytes]:
    """`sound` in chunks of at most 240 ms, the last of them a single frame.

    What hands the chunks on may hold the last one back until the next is written: then it holds back 20 ms.
    """
    head, tail = sound[:-FRAME_BYTES], sound[-FRAME_BYTES:]
    for at in range(0, len(head), CHUNK_FRAMES * FRAME_BYTES):
        yield head[at : at + CHUNK_FRAMES * FRAME_BYTES]
    if tail:
        yield tail
