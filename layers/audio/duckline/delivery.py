"""How a call's windows reach Twilio: how long each is, and whether it is sent in real time or at once.

Nobody has shown what `<Play>` does with a body that keeps flowing. It may (a) play while it downloads, (b) do so but
cut every request at 15 s, or (c) download first and play then. There is a way for each: `stream`, `short` and `burst`.
Where it is not known, `auto` gives out a probe and learns from when Twilio comes back for the next window. A window may
contradict what was learnt before, and is then believed.

Pure: what was found comes in and goes out as a value, and so does the time.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from duckline.call import Call
from duckline.settings import choice, number
from duckline.timeline import FRAMES_PER_SECOND, frames_from_ms, ms_from_frames

LONGEST_S = {
    "stream": 840,  # Lambda ends a function after 900 s
    "short": 13,  # Twilio ends a webhook's request after 15 s, and perhaps a <Play>'s
    "burst": 10,  # a speech waits for the next window, so by as much at the most
}
MODES = ("auto", *LONGEST_S)

HEARD_MARGIN_MS = 2000  # what a phone line may hold back: its jitter buffer and a start buffer of 8 kB
# A request that is cut at 15 s comes back within these: later by the lead, of up to 5 s, and by a start buffer.
CUT_MS = (12_000, 22_000)
SLACK_MS = 1000  # a webhook, a fetch and a start take some tenths of a second; less than this says nothing
CHECKED_AFTER_MS = 24 * 3600 * 1000  # a finding that might show its error late or never is tried anew once a day


@dataclass(frozen=True, slots=True)
class Shape:
    """What `window.open_window` is to be told of a window."""

    grid_frames: int
    paced: bool


# Eight seconds, half of them sent at once, so that (a) comes back after eight and (c) after twelve.
PROBE = Shape(grid_frames=8 * FRAMES_PER_SECOND, paced=True)
PROBE_HEAD_FRAMES = PROBE.grid_frames // 2


@dataclass(frozen=True, slots=True)
class Finding:
    """What the windows have shown of `<Play>`: the mode that suits it, by what evidence, and since when."""

    mode: str
    evidence: str
    found_at_ms: int


@dataclass(frozen=True, slots=True)
class Observation:
    """How a window went: `passed_ms` from its stream's beginning to the request for the next.

    `head_ms` of its `length_ms` were sent at once. `done`: its stream said that it had sent all.
    """

    length_ms: int
    head_ms: int
    passed_ms: int
    paced: bool
    done: bool


def shown(seen: Observation) -> str | None:
    """The mode that suits what was observed; None if it suits several."""
    if not seen.paced:
        return None  # what is sent at once comes back after its length, whatever Twilio does
    is_long = seen.length_ms > 2 * CUT_MS[1]
    if not seen.done:
        return "short" if is_long and CUT_MS[0] <= seen.passed_ms <= CUT_MS[1] else None
    # Played while it downloads, a window takes its length; downloaded first, as long again but for its head.
    undecided_ms = (seen.length_ms - seen.head_ms) / 2
    if undecided_ms < SLACK_MS:
        return None
    if seen.passed_ms > seen.length_ms + undecided_ms:
        return "burst"
    in_time = seen.passed_ms > seen.length_ms - undecided_ms
    return "stream" if in_time and (is_long or seen.head_ms) else None


@dataclass(frozen=True, slots=True)
class Delivery:
    """The setting: one of `MODES`, and the longest that a window may be."""

    mode: str = "stream"
    window_seconds: float = 840

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> "Delivery":
        """Raises SettingMissing for a mode that there is not and for a length out of bounds."""
        return cls(
            mode=choice(env, "DUCKLINE_DELIVERY", MODES, default="auto"),
            window_seconds=number(env, "DUCKLINE_WINDOW_SECONDS", 5, 840, default=840),
        )

    @property
    def is_learning(self) -> bool:
        return self.mode == "auto"

    def shape(self, known: Finding | None, *, now_ms: int, first: bool = False) -> Shape:
        """The shape of the next window. `first`: a call begins with it, and a finding that is old is tried anew."""
        mode = self.mode
        if self.is_learning:
            if known is None:
                return PROBE
            if first and _is_old(known, now_ms):
                return PROBE
            mode = known.mode
        seconds = min(LONGEST_S[mode], self.window_seconds)
        return Shape(frames_from_ms(seconds * 1000), paced=mode != "burst")

    def learnt(self, known: Finding | None, call: Call, now_ms: int) -> Finding | None:
        """What is known now that the next window of `call` is asked for: `known` itself, or what this one has shown."""
        if not self.is_learning or not call.opened_at_ms:
            return known
        seen = self.observation(call, now_ms)
        mode = shown(seen)
        if mode is None:
            return known
        if known is not None and not _is_old(known, now_ms):
            # A probe is over before a request would be cut, so it cannot tell against short windows.
            is_blind = known.mode == "short" and mode == "stream" and seen.head_ms > 0
            if is_blind or mode == known.mode:
                return known
        return Finding(mode, _evidence(seen), now_ms)

    def observation(self, call: Call, now_ms: int) -> Observation:
        length_frames = call.window_until - call.window_from
        return Observation(
            length_ms=ms_from_frames(length_frames),
            head_ms=ms_from_frames(min(PROBE_HEAD_FRAMES, length_frames)) if self._is_probe(call) else 0,
            passed_ms=now_ms - call.opened_at_ms,
            paced=call.paced,
            done=call.done == call.epoch,
        )

    def head_frames(self, call: Call, lead_frames: int) -> int:
        """How many frames of its window the stream sends at once, where `lead_frames` is the usual lead."""
        if not call.paced:
            return call.window_until - call.window_from
        return max(lead_frames, PROBE_HEAD_FRAMES) if self._is_probe(call) else lead_frames

    def margin_ms(self, call: Call) -> int:
        """How far the caller's ear may lie behind real time in this window."""
        return HEARD_MARGIN_MS + (ms_from_frames(PROBE_HEAD_FRAMES) if self._is_probe(call) else 0)

    def _is_probe(self, call: Call) -> bool:
        return self.is_learning and Shape(call.grid_frames, call.paced) == PROBE


def _is_old(known: Finding, now_ms: int) -> bool:
    return now_ms >= known.found_at_ms + CHECKED_AFTER_MS


def _evidence(seen: Observation) -> str:
    sent = f"{seen.head_ms / 1000:g} s of it at once" if seen.head_ms else "in real time"
    said = "all sent" if seen.done else "broken off"
    return f"a window of {seen.length_ms / 1000:g} s, {sent}, {said}, was followed after {seen.passed_ms / 1000:.1f} s"
