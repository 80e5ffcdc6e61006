"""What the ear can find, as plain values. Times are seconds from the recording's start; None is what can't be known."""

from dataclasses import asdict, dataclass, field

import numpy as np

from local.ear.clicks import Click
from local.ear.gaps import Gap, Jump

__all__ = ["Click", "Gap", "Heard", "HeardSpeech", "Jump", "LevelJump", "MusicGain", "Span"]


@dataclass(frozen=True, slots=True)
class HeardSpeech:
    """One speech as it was heard.

    `heard_at_s` is the first sample that is heard, `begins_at_s` where the speech's own first sample fell. `heard` is
    the part of the speech that was heard, `whole` whether that was all of it. `speech_to_bed_db` is the speech's active
    level (ITU-T P.56) over the RMS of the music beneath it, both between 300 and 3400 Hz. `duck_db` is how far the
    music lay below its usual level, `ramp_down_ahead_ms` how long before the first sample it had come down (negative:
    after it). There is no ramp where the music was held down between two speeches.
    """

    speech_id: str
    heard_at_s: float | None = None
    begins_at_s: float | None = None
    ended_at_s: float | None = None
    heard: float = 0.0
    whole: bool = False
    speech_dbov: float | None = None
    speech_to_bed_db: float | None = None
    duck_db: float | None = None
    ramp_down_ms: float | None = None
    ramp_up_ms: float | None = None
    ramp_down_ahead_ms: float | None = None


@dataclass(frozen=True, slots=True)
class LevelJump:
    """At `at_s` the music's level changed by `change_db` at one stroke."""

    at_s: float
    change_db: float


@dataclass(frozen=True, slots=True)
class Span:
    """`duration_s` of sound from `at_s` on."""

    at_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class MusicGain:
    """The music's gain in dB against its usual level, every 5 ms."""

    times_s: np.ndarray
    gain_db: np.ndarray


@dataclass(frozen=True, slots=True)
class Heard:
    """What is heard in a recording.

    `gaps` lie between the first and the last sound. `drift_ppm` is how much faster than the recording's clock the music
    ran; `bed_gain_db` the bed's level in the recording against the bed as it is stored; `bed_level_dbov` that level
    itself, between the speeches. `unexplained` is sound that is neither the bed nor one of the speeches.
    """

    duration_s: float
    starts_at_s: float | None
    ends_at_s: float | None
    gaps: tuple[Gap, ...]
    seconds_without_sound: float
    clicks: tuple[Click, ...]
    speeches: tuple[HeardSpeech, ...]
    in_order: bool | None
    repeats: tuple[Jump, ...] | None = None
    skips: tuple[Jump, ...] | None = None
    level_jumps: tuple[LevelJump, ...] | None = None
    unexplained: tuple[Span, ...] | None = None
    drift_ppm: float | None = None
    bed_gain_db: float | None = None
    bed_level_dbov: float | None = None
    music_gain: MusicGain | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict:
        """All of it but the curve of the music's gain, as plain data."""
        fields = asdict(self)
        del fields["music_gain"]
        return fields
