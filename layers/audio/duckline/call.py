"""A call as the table holds it: whose window it is, how far it is promised, and what is to be heard.

These are plain values. `duckline.schedule` says how one call becomes the next; the stores carry them. A call is one
small item, so that the seal, written four times a second, costs one write unit and brings the whole schedule back.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from duckline.envelope import Duck, gain_after
from duckline.timeline import FRAME_MS


@dataclass(frozen=True, slots=True)
class Part:
    """One clip of a speech, placed: music and voice already mixed, over the frames of its `duck`.

    The voice sounds from frame `voice_at` to `duck.up_at`. A part whose `voice_at` is `duck.up_at` carries no voice of
    its own: it is the fade-out of a speech that was silenced. One that is `cut_at` a frame is not heard from there on,
    whatever becomes of the clip that takes over.
    """

    clip: str
    duck: Duck
    voice_at: int
    cut_at: int | None = None

    @property
    def start(self) -> int:
        return self.duck.start

    @property
    def voice_end(self) -> int:
        return self.duck.up_at if self.cut_at is None else min(self.duck.up_at, self.cut_at)

    @property
    def end(self) -> int:
        return self.duck.end if self.cut_at is None else min(self.duck.end, self.cut_at)


@dataclass(frozen=True, slots=True)
class Speech:
    """One accepted request to speak, in its place in the order.

    While `more` is true somebody still owes parts: the maker numbered `maker`, until `lease_until_ms`. `outcome` is
    `cancelled` or `failed` once the speech will not be heard (whole). `again` counts how often it had to be spoken
    again. Once it `had_place` it only waits for another in the order, even if it came to interrupt.
    """

    speech_id: str
    order: int
    parts: tuple[Part, ...] = ()
    more: bool = True
    maker: int = 1
    lease_until_ms: int = 0
    again: int = 0
    had_place: bool = False
    outcome: str | None = None
    reason: str | None = None

    @property
    def is_placed(self) -> bool:
        """Whether nothing of it is owed any more."""
        return not self.more or self.outcome is not None

    @property
    def spoken_parts(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.voice_at < part.voice_end)

    @property
    def said_frames(self) -> int:
        """How much of its voice is placed."""
        return sum(part.voice_end - part.voice_at for part in self.spoken_parts)

    @property
    def voice_end(self) -> int:
        """The frame at which its voice is over, or begins to fade, as far as it is placed; 0 if nothing of it is."""
        return max((part.voice_end for part in self.spoken_parts), default=0)

    @property
    def silenced_at(self) -> int | None:
        """The frame from which it is not heard on, if it was cut short."""
        return min((part.cut_at for part in self.parts if part.cut_at is not None), default=None)


@dataclass(frozen=True, slots=True)
class BedSpan:
    """From frame `start` on the bed `version` plays, its frame 0 being at call frame `origin`.

    `fade` is the clip of `fade_frames` frames in which it takes over from the bed before; the first span has none.
    """

    start: int
    version: str
    name: str
    origin: int = 0
    fade: str = ""
    fade_frames: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    call_sid: str
    beds: tuple[BedSpan, ...]
    revision: int = 1
    started_at_ms: int = 0
    # The window: whose it is, where it began and where it is to end.
    epoch: int = 1
    holder: str = ""
    window_from: int = 0
    window_until: int = 0
    grid_frames: int = 42_000
    paced: bool = True  # bytes keep pace with the ear; otherwise a window is sent at once and heard later
    opening_at_ms: int = 0  # when voice gave the window out
    opened_at_ms: int = 0  # when its stream began; 0 until then
    done: int = 0  # the last epoch whose stream said that it had sent all
    # The promise: frames below it are decided.
    sealed: int = 0
    sealed_at_ms: int = 0
    # What is to be heard.
    next_order: int = 1
    speeches: tuple[Speech, ...] = ()  # in order
    ended_at_ms: int = 0
    end_reason: str = ""

    @property
    def ended(self) -> bool:
        return self.ended_at_ms > 0

    def speech(self, speech_id: str) -> Speech | None:
        return next((speech for speech in self.speeches if speech.speech_id == speech_id), None)

    def with_speech(self, changed: Speech) -> "Call":
        """This call with the speech of the same id replaced, or added at the end of the order."""
        if self.speech(changed.speech_id) is None:
            return replace(self, speeches=(*self.speeches, changed))
        kept = (changed if speech.speech_id == changed.speech_id else speech for speech in self.speeches)
        return replace(self, speeches=tuple(kept))

    @property
    def pending(self) -> tuple[Speech, ...]:
        """The speeches that are not over yet, as far as has been sealed."""
        return tuple(s for s in self.speeches if s.outcome is None and (s.more or s.voice_end > self.sealed))

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts in order of their start."""
        return tuple(sorted((part for s in self.speeches for part in s.parts), key=lambda part: part.start))


def heard_before(call: Call, frame: int) -> Part | None:
    """The part that is heard just before `frame` and has more to say or to raise there, even if it is cut there."""
    begun = [part for part in call.parts if part.start < frame]
    if not begun or begun[-1].duck.end <= frame:
        return None
    return begun[-1] if begun[-1].end >= frame else None


def music_gain(call: Call, frame: int) -> float:
    """The linear gain of the music at `frame`: the part that started last decides, until it is cut."""
    begun = [part for part in call.parts if part.start <= frame]
    is_cut = bool(begun) and begun[-1].end <= frame
    return 1.0 if is_cut else gain_after([part.duck for part in begun], frame)


@dataclass(frozen=True, slots=True)
class Clip:
    """An object of sound of `frames` frames that takes the bed's place over the frames [start, end).

    One that is cut is heard to its `end` only, and holds more.
    """

    clip: str
    start: int
    end: int
    frames: int

    @property
    def whole_end(self) -> int:
        """Where it would end if nothing cut it."""
        return self.start + self.frames


def spoken_clips(call: Call) -> tuple[Clip, ...]:
    """The clips of the speeches, by start."""
    return tuple(Clip(part.clip, part.start, part.end, part.duck.end - part.start) for part in call.parts)


def fade_clips(call: Call) -> tuple[Clip, ...]:
    """The clips in which one bed takes over from another, by start."""
    return tuple(
        Clip(span.fade, span.start, span.start + span.fade_frames, span.fade_frames) for span in call.beds if span.fade
    )


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames [start, end) come from one source: a clip, or a bed when `clip` is None."""

    start: int
    end: int
    clip: Clip | None
    bed: BedSpan


def stretches(call: Call, start: int, end: int) -> Iterator[Stretch]:
    """What is heard in frames [start, end).

    Among the speeches' clips a later one wins from its start, and an earlier one never resumes. Where none speaks, the
    fade from bed to bed is heard, and elsewhere the bed.
    """
    layers = (spoken_clips(call), fade_clips(call))
    edges = {edge for layer in layers for clip in layer for edge in (clip.start, clip.end)}
    edges |= {span.start for span in call.beds} | {end}
    for edge in sorted(edges):
        if start < edge <= end:
            heard = (_latest(layer, start) for layer in layers)
            yield Stretch(start, edge, next((clip for clip in heard if clip), None), bed_at(call, start))
            start = edge


def _latest(layer: tuple[Clip, ...], frame: int) -> Clip | None:
    begun = [clip for clip in layer if clip.start <= frame]
    return begun[-1] if begun and begun[-1].end > frame else None


def bed_at(call: Call, frame: int) -> BedSpan:
    return [span for span in call.beds if span.start <= frame or span is call.beds[0]][-1]


def is_past(span: BedSpan, call: Call) -> bool:
    """Whether `span` has been followed by another, so that dropping it changes nothing that is to come."""
    return any(span.start < other.start and other.start + other.fade_frames <= call.sealed for other in call.beds)


def standing_beds(call: Call) -> tuple[BedSpan, ...]:
    """The beds that another change of bed leaves: what is heard, and what speech has been mixed over already."""
    last_spoken = max((part.end for part in call.parts), default=0)
    is_due = max(call.sealed, last_spoken - 1)
    return tuple(span for span in call.beds if not is_past(span, call) and span.start <= is_due)


def playhead(call: Call, now_ms: float) -> int:
    """The frame that the caller hears about now, by the time that has passed since the window's stream began."""
    if not call.opened_at_ms:
        return call.window_from
    until_ms = min(now_ms, call.ended_at_ms) if call.ended else now_ms
    passed = math.floor((until_ms - call.opened_at_ms) / FRAME_MS)
    return max(call.window_from, min(call.sealed, call.window_from + passed))


def surely_heard(call: Call, now_ms: float, margin_ms: float) -> int:
    """The frame below which the caller has heard all that was sent, even if the line buffers up to `margin_ms`.

    A stream that has not sealed since may have died then, so time counts only up to its last sign of life.
    """
    if not call.paced:
        return call.window_from
    until_ms = min(now_ms, call.ended_at_ms) if call.ended else now_ms
    return playhead(call, min(until_ms - margin_ms, call.sealed_at_ms))
