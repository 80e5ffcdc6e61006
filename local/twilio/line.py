"""The caller's end of the line: one frame of sound for every 20 ms tick since the call was answered.

Tick n begins 20·n ms after the answer, always: the schedule is counted from the answer and not from the tick before,
so it cannot drift, and it does not matter when the simulator got round to writing a frame down.
"""

import io
import math
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from duckline.timeline import FRAME_BYTES, FRAMES_PER_SECOND, SAMPLE_RATE_HZ
from local.twilio import g711

_ROUNDING = 1e-6  # of a tick: what binary fractions of a second are off


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened, `at_s` seconds after the call was answered."""

    at_s: float
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """What the caller heard, from the answer on: 8 kHz µ-law, whole frames.

    `answered_at` is the answer by the simulator's clock (`time.monotonic()` unless it is virtual): a moment t of that
    clock is `t - answered_at` seconds into the recording.
    """

    mulaw: bytes
    marks: tuple[Mark, ...]
    answered_at: float

    @property
    def pcm(self) -> np.ndarray:
        """The sound as int16 samples."""
        return g711.decode(self.mulaw)

    @property
    def seconds(self) -> float:
        return len(self.mulaw) / SAMPLE_RATE_HZ

    def to_wav(self) -> bytes:
        """A WAV file of 16-bit PCM."""
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(SAMPLE_RATE_HZ)
            writer.writeframes(self.pcm.astype("<i2").tobytes())
        return file.getvalue()

    def save(self, path: Path) -> None:
        path.write_bytes(self.to_wav())


class Line:
    def __init__(self, answered_at: float) -> None:
        self.answered_at = answered_at
        self.taken_to_tick = 0
        "The first tick after all sound written so far."
        self._sound = bytearray()
        self._marks: list[Mark] = []

    def tick_at(self, time: float) -> int:
        """The first tick that begins at `time` or after it."""
        return math.ceil((time - self.answered_at) * FRAMES_PER_SECOND - _ROUNDING)

    def time_of(self, tick: int) -> float:
        return self.answered_at + tick / FRAMES_PER_SECOND

    def next_free_tick(self, time: float) -> int:
        """The first tick, from `time` on, that nothing has been written to."""
        return max(self.tick_at(time), self.taken_to_tick)

    def write(self, tick: int, mulaw: bytes) -> None:
        """Let the caller hear whole frames of `mulaw` from `tick` on; silence fills the ticks between."""
        start = tick * FRAME_BYTES
        self._sound += g711.SILENCE * (start - len(self._sound))
        self._sound[start : start + len(mulaw)] = mulaw
        self.taken_to_tick = max(self.taken_to_tick, tick + len(mulaw) // FRAME_BYTES)

    def cut(self, tick: int) -> None:
        """Take back what was to be heard from `tick` on."""
        del self._sound[max(0, tick) * FRAME_BYTES :]
        self.taken_to_tick = min(self.taken_to_tick, tick)

    def mark(self, time: float, kind: str, detail: str = "") -> None:
        self._marks.append(Mark(time - self.answered_at, kind, detail))

    def recording(self, until: float, more: "list[Mark] | None" = None) -> Recording:
        """All ticks that began before `until`, with the line's marks and `more` in order of time."""
        length = max(0, self.tick_at(until)) * FRAME_BYTES
        sound = bytes(self._sound[:length])
        marks = sorted([*self._marks, *(more or [])], key=lambda mark: mark.at_s)
        return Recording(sound + g711.SILENCE * (length - len(sound)), tuple(marks), self.answered_at)
