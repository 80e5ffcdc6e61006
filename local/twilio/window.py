"""One `<Play>` of a call: how its body came and how it was heard."""

import asyncio
import itertools
from dataclasses import dataclass

from local.twilio.line import Line, Mark
from local.twilio.playback import LateChunk, PlayOut
from local.twilio.wav import WavFormat


@dataclass(frozen=True, slots=True)
class Arrival:
    """Bytes of the body (the WAV header among them) that came in one go."""

    at: float
    size_bytes: int


class Window:
    """Times are by the simulator's clock, sizes in bytes of the body.

    Attributes:
        arrivals: every piece of the body as it reached the player.
        stream_ended_at: when the server had ended the body or dropped the connection; None if it never did.
        closed_by: who ended the request: `server`, `limit` (15 s), `player` (all was played, or a key stopped it),
            `caller` (hang-up), or `` while it is open.
        truncated: fewer bytes came than the header declared, or the connection broke off.
        failed: nothing could be played; the call's `errors` say why.
        problems: what is wrong with the header but can be lived with.
        left_over_bytes: what came after the audio that the header declares.
        longest_wait_in_socket_s: how long bytes lay in the kernel before the simulator read them, at most. While it is
            well below the stream's lead, no gap can be the simulator's own.
    """

    def __init__(self, url: str, line: Line, play_out: PlayOut, asked_at: float) -> None:
        self.url = url
        self.asked_at = asked_at
        self.arrivals: list[Arrival] = []
        self.received_bytes = 0
        self.format: WavFormat | None = None
        self.problems: list[str] = []
        self.failed = False
        self.stream_ended_at: float | None = None
        self.closed_by = ""
        self.truncated = False
        self.left_over_bytes = 0
        self.longest_wait_in_socket_s = 0.0
        self.play_out = play_out
        self.all_there = asyncio.Event()
        "Set once no more bytes will be played than have come."
        self._line = line

    @property
    def started_at(self) -> float | None:
        """When its first frame was heard."""
        start = self.play_out.start_tick
        return None if start is None else self._line.time_of(start)

    @property
    def ended_at(self) -> float | None:
        """When its last frame had been heard."""
        end = self.play_out.end_tick
        return None if end is None else self._line.time_of(end)

    @property
    def underruns(self) -> list[float]:
        """The times of the ticks that wanted a frame and had none."""
        return [self._line.time_of(tick) for tick in self.play_out.underrun_ticks]

    @property
    def late_chunks(self) -> list[LateChunk]:
        return self.play_out.late_chunks

    def marks(self) -> list[Mark]:
        found = []
        if self.started_at is not None:
            found.append(Mark(self.started_at - self._line.answered_at, "play.started", self.url))
        for first, count in _runs(self.play_out.underrun_ticks):
            at_s = self._line.time_of(first) - self._line.answered_at
            found.append(Mark(at_s, "play.underrun", f"{count * 20} ms"))
        if self.ended_at is not None and self.started_at is not None:
            found.append(
                Mark(self.ended_at - self._line.answered_at, "play.ended", "truncated" if self.truncated else "")
            )
        return found


@dataclass(frozen=True, slots=True)
class Join:
    """The time between the last frame of one window and the first of the next."""

    at: float
    gap_ms: int


def joins(windows: list[Window], line: Line) -> list[Join]:
    heard = [window.play_out for window in windows if window.play_out.start_tick is not None]
    found = []
    for before, after in itertools.pairwise(heard):
        if before.end_tick is not None and after.start_tick is not None:
            found.append(Join(line.time_of(before.end_tick), (after.start_tick - before.end_tick) * 20))
    return found


def _runs(ticks: list[int]) -> list[tuple[int, int]]:
    """Consecutive ticks as (first, how many)."""
    runs: list[tuple[int, int]] = []
    for tick in ticks:
        if runs and tick == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((tick, 1))
    return runs
