"""The music's gain at every frame of a call: a pure function of the ducks that are placed.

A duck is what one clip does to the music: down ahead of the speech, held beneath it, up again after it. Of several the
one that started last decides, and it starts at the gain which the one before had reached, so the curve has no step
wherever one cuts into another. Ramps are raised cosines: over 14 dB in 200 ms these splatter at −101 dB, a straight
line at −82 dB, a step at −17 dB.

`duckline.sound.mix.gain_curve` is the same curve by the sample.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from duckline.timeline import frames_from_ms

DOWN_FRAMES = 6  # 120 ms, over at the first sound
UP_FRAMES = 30  # 600 ms, the usual release of ducking under a voice
HOLD_FRAMES = 50  # the music stays down in a gap shorter than this second: it would pump
FADE_OUT_FRAMES = 7  # 140 ms for a voice that is cut off: no click, and over within 150 ms
MINIMUM_RAMP_FRAMES = 3  # 50 ms, in whole frames

RATIO_DB = 20.0  # speech over music: WCAG 1.4.7 (AAA); STOI 0.984 through µ-law
FLOOR_DB = -30.0  # the music never vanishes, or the line would seem dead between two words

_SAME_GAIN = 1e-6


@dataclass(frozen=True, slots=True)
class Duck:
    """One clip's hold on the music, over the frames [start, end).

    The ramp down begins at `start`, the clip's first frame, from the gain `gain_in` (1, or what the curve before had
    there) and takes `down` frames. `depth` holds until `up_at`, where the speech ends; then `up` frames lead back to 1.
    The first sound comes `down` frames after `start` or later. `up_at` may lie inside the ramp down: the ramp up then
    begins from where that had come. A clip that only lets the music return has no ramp down (`down` is 0) and
    `depth` equal to `gain_in`.

    Raises ValueError if the curve would step, or ramp faster than 50 ms.
    """

    start: int
    down: int
    up_at: int
    up: int
    depth: float
    gain_in: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.depth <= 1 and 0 < self.gain_in <= 1):
            raise ValueError(f"{self}: depth and gain_in are linear gains above 0, at most 1")
        if self.up_at < self.start:
            raise ValueError(f"{self}: up_at must not lie before start")
        if self.down == 0 and abs(self.depth - self.gain_in) > _SAME_GAIN:
            raise ValueError(f"{self}: without a ramp down, depth must be gain_in")
        if 0 != self.down < MINIMUM_RAMP_FRAMES or self.up < MINIMUM_RAMP_FRAMES:
            raise ValueError(f"{self}: a ramp takes {MINIMUM_RAMP_FRAMES} frames or more")

    @property
    def end(self) -> int:
        """The frame from which the music is itself again."""
        return self.up_at + self.up


def gain_at(duck: Duck, frame: float) -> float:
    """The linear gain that `duck` gives the music at `frame`; a fraction is a place within the frame."""
    fallen = duck.gain_in + (duck.depth - duck.gain_in) * ease(min(frame, duck.up_at) - duck.start, duck.down)
    return fallen + (1 - fallen) * ease(frame - duck.up_at, duck.up)


def gain_after(ducks: Sequence[Duck], frame: float) -> float:
    """The music's gain at `frame` under `ducks`, in order of their starts: the latest to have started decides."""
    for duck in reversed(ducks):
        if duck.start <= frame:
            return gain_at(duck, frame)
    return 1.0


def ease(passed: float, length: float) -> float:
    """The raised cosine from 0 to 1 over `length`, flat at both ends; a step up at 0 if `length` is 0."""
    if passed >= length:
        return 1.0
    return 0.5 - 0.5 * math.cos(math.pi * passed / length) if passed > 0 else 0.0


def depth_for(speech_dbov: float, bed_dbov: float, ratio_db: float = RATIO_DB, floor_db: float = FLOOR_DB) -> float:
    """The linear gain under which a bed of `bed_dbov` lies `ratio_db` below speech of `speech_dbov`.

    Speech is measured by ITU-T P.56, the bed by its RMS between 300 and 3400 Hz. Music that is soft enough keeps its
    level, and none sinks by more than `floor_db` (negative). Speech at −22 dBov over a bed at −28 gives −14 dB.
    """
    depth_db = speech_dbov - ratio_db - bed_dbov
    return 10 ** (max(min(depth_db, 0.0), floor_db) / 20)


@dataclass(frozen=True, slots=True)
class Ducking:
    """The ducking's settings, each within bounds. Times are rounded up to whole frames.

    Raises ValueError, naming the setting, what came and what is allowed.
    """

    down_ms: float = 120
    up_ms: float = 600
    hold_ms: float = 1000
    ratio_db: float = RATIO_DB
    floor_db: float = FLOOR_DB

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "down_ms": (50, 1000),  # longer would keep a caller waiting for the first word
        "up_ms": (50, 5000),
        "hold_ms": (0, 5000),
        "ratio_db": (6, 30),  # below 6 dB one word in ten is lost; 30 dB needs music nobody hears
        "floor_db": (-40, -6),
    }

    def __post_init__(self) -> None:
        for name, (low, high) in self.BOUNDS.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must lie between {low} and {high}")

    @property
    def down_frames(self) -> int:
        return frames_from_ms(self.down_ms)

    @property
    def up_frames(self) -> int:
        return frames_from_ms(self.up_ms)

    @property
    def hold_frames(self) -> int:
        return frames_from_ms(self.hold_ms)

    def depth(self, speech_dbov: float, bed_dbov: float) -> float:
        return depth_for(speech_dbov, bed_dbov, self.ratio_db, self.floor_db)
