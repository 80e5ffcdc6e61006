"""What the page draws of a call: the schedule and the music's gain, as plain values that JSON can hold.

Pure: a call and a time in, dictionaries out. Positions are frames of the call; `Line.offset_ticks` leads from them to
the ticks of the caller's line, which the page counts in.
"""

from dataclasses import asdict, dataclass
from typing import Any

from duckline.call import Call, Part, music_gain
from duckline.records import status_of
from duckline.timeline import FRAME_BYTES, FRAME_MS
from duckline.wav import mulaw_header
from local.twilio import Window

HEADER_BYTES = len(mulaw_header(0))


@dataclass(frozen=True, slots=True)
class Line:
    """How the sound of a window lies on the caller's line, in ticks of 20 ms since the answer.

    Frame f of the call is heard at tick f + `offset_ticks`; sound has come in up to `arrived_tick`.
    """

    offset_ticks: int
    arrived_tick: int

    def lead_ms(self, now_tick: float) -> float:
        """How much sound the caller has in hand."""
        return max(0.0, (self.arrived_tick - now_tick) * FRAME_MS)


def line_of(window: Window, window_from: int) -> Line | None:
    """The line under `window`, whose first frame is the call's frame `window_from`; None before it is heard."""
    start_tick = window.play_out.start_tick
    if start_tick is None or window.format is None:
        return None
    first_tick = start_tick + len(window.play_out.underrun_ticks)
    came_frames = (window.received_bytes - HEADER_BYTES) // (FRAME_BYTES * window.format.bytes_per_sample)
    return Line(offset_ticks=first_tick - window_from, arrived_tick=first_tick + came_frames)


def schedule(call: Call, now_ms: float) -> dict[str, Any]:
    """What is to be heard, in the order of the speeches, and where each stands."""
    return {
        "state": "ended" if call.ended else "live",
        "epoch": call.epoch,
        "sealed": call.sealed,
        "window_until": call.window_until,
        "beds": [{"start": span.start, "name": span.name, "fade_frames": span.fade_frames} for span in call.beds],
        "speeches": [
            {**asdict(status_of(call, speech, now_ms)), "more": speech.more, "parts": [_part(part) for part in parts]}
            for speech in call.speeches
            for parts in [speech.spoken_parts]
        ],
    }


def gain_points(call: Call) -> list[tuple[int, float]]:
    """The music's linear gain as [frame, gain], to be joined by straight lines; it is 1 before the first and after.

    Every frame of a ramp has its point, and so has both sides of every step that a cut makes.
    """
    frames: set[int] = set()
    for part in call.parts:
        duck = part.duck
        frames.update(range(duck.start - 1, min(duck.start + duck.down, duck.up_at) + 1))
        frames.update(range(duck.up_at, duck.end + 1))
        if part.cut_at is not None:
            frames.update((part.cut_at - 1, part.cut_at))
    return [(frame, round(music_gain(call, frame), 4)) for frame in sorted(frames)]


def _part(part: Part) -> dict[str, int]:
    return {"start": part.start, "voice_at": part.voice_at, "voice_end": part.voice_end, "end": part.end}
