"""The jitter buffer: bytes in with the times they came, one frame out for every tick.

Nothing here runs on a timer. Which frame is heard at which tick follows from the arrival times and the schedule alone,
so the frames are worked out when it is known what had come by each tick, however late that is: a machine that is busy
makes no gap that the stream did not make. A tick is an under-run only when bytes that came *after* it, or the end of
the body, prove that its frame was not there.
"""

from dataclasses import dataclass

from duckline.timeline import FRAME_BYTES
from local.twilio import g711
from local.twilio.line import Line


@dataclass(frozen=True, slots=True)
class LateChunk:
    """A chunk that came `late_s` after the tick that wanted its first sample."""

    at: float
    late_s: float
    size_bytes: int


class PlayOut:
    """The playing of one body of µ-law on a line.

    It starts at the first tick, `first_tick` or later, at which `start_bytes` are there (None: the whole body). From
    then on every tick takes the next frame, or is an under-run and the frame is taken by a later tick: a gap delays
    what follows, as nothing is thrown away. Arrival times must not go backwards.

    One that is `held` plays nothing until it is released. With `keep`, `body` is all that came, to be played again.
    """

    def __init__(
        self, line: Line, *, start_bytes: int | None, first_tick: int = 0, held: bool = False, keep: bool = False
    ) -> None:
        self._line = line
        self.start_bytes = None if held else start_bytes
        self.held = held
        self.body: bytearray | None = bytearray() if keep else None
        self._first_tick = first_tick
        self._buffer = bytearray()
        self._next_tick = first_tick
        self._dry_since: int | None = None
        self._no_more = False
        self.start_tick: int | None = None
        self.end_tick: int | None = None
        "The tick after the last one that plays, once that is known."
        self.underrun_ticks: list[int] = []
        self.late_chunks: list[LateChunk] = []

    def arrive(self, at: float, mulaw: bytes) -> None:
        """Bytes came at `at`. After `end()` or `stop()` they are dropped."""
        if self._no_more or not mulaw:
            return
        self._settle(at)
        if self._dry_since is not None:
            late_s = at - self._line.time_of(self._dry_since)
            self.late_chunks.append(LateChunk(at, late_s, len(mulaw)))
        self._buffer += mulaw
        if self.body is not None:
            self.body += mulaw
        enough = self.start_bytes is not None and len(self._buffer) >= max(self.start_bytes, FRAME_BYTES)
        if enough and self.start_tick is None:
            self._start(at)

    def end(self, at: float) -> None:
        """The last byte had come by `at`: what is there is played out, and no tick is an under-run any more."""
        if self._no_more:
            return
        self._settle(at)
        self._no_more = True
        self._buffer += g711.SILENCE * (-len(self._buffer) % FRAME_BYTES)
        if not self.held:
            self._plan(at)

    def release(self, at: float, first_tick: int) -> None:
        """Play what was held, from `first_tick` on. Its body must have ended."""
        self.held = False
        self._first_tick = first_tick
        self._plan(at)

    def _plan(self, at: float) -> None:
        """Fix the last tick, and the first if there has been none: no byte will be waited for."""
        if self.start_tick is None:
            self._next_tick = max(self._first_tick, self._line.tick_at(at))
            if self._buffer:
                self._start(at)
        self.end_tick = self._next_tick + len(self._buffer) // FRAME_BYTES

    def play_to(self, at: float) -> None:
        """Write down every frame that is there and whose tick began before `at`."""
        if self.start_tick is not None:
            self._take(self._line.tick_at(at) - self._next_tick)

    def stop(self, at: float) -> None:
        """The caller hears no tick of this that begins at `at` or later."""
        end = self._line.tick_at(at)
        if self._no_more:
            self.play_to(at)
        else:
            self._settle(at)
        self._no_more = True
        self._buffer.clear()
        if self.start_tick is not None:
            self._line.cut(max(end, self._first_tick))
        self.underrun_ticks = [tick for tick in self.underrun_ticks if tick < end]
        self.end_tick = min(self._next_tick, max(end, self._first_tick))

    def _start(self, at: float) -> None:
        self.start_tick = self._next_tick = max(self._first_tick, self._line.tick_at(at))

    def _settle(self, at: float) -> None:
        """Decide the ticks that began before `at`: by then all that had come in time is in the buffer."""
        if self.start_tick is None:
            return
        due = self._line.tick_at(at) - self._next_tick
        missing = due - self._take(due)
        if missing > 0:
            if self._dry_since is None:
                self._dry_since = self._next_tick
            self.underrun_ticks.extend(range(self._next_tick, self._next_tick + missing))
            self._next_tick += missing

    def _take(self, due: int) -> int:
        """Play up to `due` frames; how many there were."""
        frames = min(due, len(self._buffer) // FRAME_BYTES)
        if frames <= 0:
            return 0
        size = frames * FRAME_BYTES
        self._line.write(self._next_tick, bytes(self._buffer[:size]))
        del self._buffer[:size]
        self._next_tick += frames
        self._dry_since = None
        return frames
