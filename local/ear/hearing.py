"""Listening: everything that the ear can tell of a recording, in one pass from the raw sound to the findings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from duckline.sound.band import band_pass, filtered
from duckline.sound.loudness import active_level_dbov, band_rms_dbov
from duckline.timeline import SAMPLE_RATE_HZ
from local.ear import gaps as gap_search
from local.ear.alignment import Alignment, align
from local.ear.clicks import Click, clicks_against, clicks_alone
from local.ear.ducking import (
    BLOCK_S,
    BLOCK_SAMPLES,
    GainCurve,
    Ramp,
    decibels,
    level_jumps,
    measure_gain,
    ramp,
    usual_gain,
)
from local.ear.gaps import Gap, Jump
from local.ear.path import FRAME_SAMPLES, Stretch, follow, lay, runs_of, short_candidates
from local.ear.recording import at_8_khz, silent_samples, sounding
from local.ear.reference import Reference
from local.ear.speeches import Placed, find_speeches, rendered, speech_speed

LOW_HZ, HIGH_HZ = 250, 3250  # what both ends of any telephone line pass level
LEAST_JUMP_S = 0.010
SAME_JUMP_S = 0.5  # between the places at which music and speech tell of one jump
BLURRED_S = 0.03  # around a fault, in which a click is part of it
WHOLE = 0.96  # of a speech's telling frames; a hole of 20 ms is a gap and not a speech cut short
RAMP_BEFORE_S, RAMP_AFTER_S = 1.5, 2.0  # how far from a speech its ramps are looked for
NEAR_S = 4.0
EDGE_S = 0.05  # at which filters and MP3 ring
RAMPING_S = 0.1  # around a ramp, in which a change of the music's level is told as such
SAME_LEVEL_DB = 1.5
USUAL_RAMP_S = 0.8  # where it couldn't be measured
STRANGE = 0.5  # the part of a moment's energy that neither bed nor speech explains
STRANGE_S = 0.06


@dataclass(frozen=True, slots=True)
class HeardSpeech:
    """One speech as it was heard. Times are seconds from the recording's start; None is what can't be known.

    `heard_at_s` is the first sample that is heard, `begins_at_s` where the speech's own first sample fell. `heard` is
    the part of the speech that was heard, `whole` whether that was all of it. `duck_db` is how far the music lay below
    its usual level, `ramp_down_ahead_ms` how long before the first sample it had come down (negative: after it).
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
    at_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class MusicGain:
    """The music's gain in dB against its usual level, every 5 ms."""

    times_s: np.ndarray
    gain_db: np.ndarray


@dataclass(frozen=True, slots=True)
class Heard:
    """What is heard in a recording. Times are seconds from its start; None is what can't be known.

    `gaps` lie between the first and the last sound. `drift_ppm` is how much faster than the recording's clock the music
    ran; `bed_gain_db` the bed's level in the recording against the bed as it is stored. `unexplained` is sound that is
    neither the bed nor one of the speeches.
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


def listen(
    recording: np.ndarray,
    *,
    bed: np.ndarray | None = None,
    speeches: Mapping[str, np.ndarray] | None = None,
    rate_hz: int = SAMPLE_RATE_HZ,
) -> Heard:
    """What a caller heard whose line was recorded.

    `recording` is int16 or float, one channel or (samples, channels), at `rate_hz`. `bed` is the looping music and
    `speeches` are what was said over it, in the order in which it was asked for; both one channel at 8 kHz, int16 or
    float. The recording may begin anywhere in the bed, be softer or louder, have run through µ-law again, another
    sample rate or MP3, and its clock may be off by up to 0.3 %.
    """
    sound = at_8_khz(recording, rate_hz)
    bounds = sounding(sound)
    if bounds is None:
        silent = tuple(HeardSpeech(name) for name in speeches or {})
        return Heard(len(sound) / SAMPLE_RATE_HZ, None, None, (), 0.0, (), silent, None if not silent else False)
    known = {name: Reference(_band(at_8_khz(pcm))) for name, pcm in (speeches or {}).items()}
    return _Listener(sound, bounds, known, None if bed is None else at_8_khz(bed)).heard()


class _Listener:
    """The stages of listening to one recording, each from what those before it found."""

    def __init__(
        self, sound: np.ndarray, bounds: tuple[int, int], speeches: Mapping[str, Reference], bed: np.ndarray | None
    ) -> None:
        self.bounds = bounds
        self.speeches = speeches
        banded = _band(sound)
        looped = Reference(_band_of_loop(bed), looping=True) if bed is not None else None
        self.alignment: Alignment | None = align(banded, looped) if looped is not None else None
        polarity = self.alignment.polarity if self.alignment else 1
        self.sound, self.banded = polarity * sound, polarity * banded
        self.silent = silent_samples(self.sound)
        self.stretches: list[Stretch] = []
        self.curve: GainCurve | None = None
        self.usual: float | None = None
        self.laid = self.music = np.zeros(len(sound))
        self.placed: dict[str, Placed] = {}
        self.ramps: list[Ramp] = []
        self.voice = np.zeros(len(sound))
        if self.alignment is None:
            self.speed = speech_speed(self.banded, speeches) if speeches else 1.0
            self._place_speeches()
        else:
            self.speed = self.alignment.speed
            self._follow_music(looped)
            if speeches:
                self._place_speeches()
                self._follow_music(looped)
            self._full_music = lay(Reference(bed, looping=True), self.stretches, self.speed, len(sound))

    def _follow_music(self, bed: Reference) -> None:
        """The music's path and gain, in the recording without the voice as far as that is known."""
        rest = self.banded - np.where(self.silent, 0, self.voice)  # a hole in the line has no voice to take out
        candidates = list(self.alignment.candidates)
        self.stretches = follow(rest, bed, candidates, self.speed)
        extra = short_candidates(rest, self.voice, bed, self.stretches, self.speed)
        if extra:
            self.stretches = follow(rest, bed, candidates + extra, self.speed)
        self.laid = lay(bed, self.stretches, self.speed, len(rest))
        self.curve = measure_gain(rest, self.laid)
        self.usual = usual_gain(self.curve, self._free_blocks())
        self.music = self.curve.by_sample(len(rest)) * self.laid

    def _place_speeches(self) -> None:
        self.placed = find_speeches(self.banded - self.music, self.speeches, self.speed)
        self.voice = rendered(self.placed, self.speeches, self.speed, len(self.banded))

    def _free_blocks(self) -> np.ndarray:
        """Blocks with sound that no speech is near."""
        blocks = -(-len(self.sound) // BLOCK_SAMPLES)
        free = np.zeros(blocks, bool)
        free[self.bounds[0] // BLOCK_SAMPLES : self.bounds[1] // BLOCK_SAMPLES] = True
        for found in self.placed.values():
            free[max(found.start // BLOCK_SAMPLES - 60, 0) : found.end // BLOCK_SAMPLES + 200] = False
        return free

    def heard(self) -> Heard:
        gaps = self._gaps()
        said = tuple(self._speech(name, gaps) for name in self.speeches)
        repeats = skips = jumps = None
        clicks: list[Click] = []
        unexplained = None
        faults = [(gap.at_s, gap.at_s + gap.duration_s) for gap in gaps]
        if self.curve is not None and self.usual is not None:
            repeats, skips = self._jumps(gaps)
            faults += [(jump.at_s, jump.at_s) for jump in (*repeats, *skips)]
            edges = [(self.bounds[0] / SAMPLE_RATE_HZ,) * 2, (self.bounds[1] / SAMPLE_RATE_HZ,) * 2]
            near = [(start - 0.3, end + 0.3) for start, end in faults + edges]
            near += [(ramp.start_s - RAMPING_S, ramp.end_s + RAMPING_S) for ramp in self.ramps]
            jumps = tuple(LevelJump(at, change) for at, change in level_jumps(self.curve, near))
            residual = self.banded - self.music - self.voice
            strange = self._strange(residual)
            explained = ~np.repeat(strange, FRAME_SAMPLES)[: len(residual)]
            clicks = clicks_against(residual, self.music + self.voice, explained, self.usual)
            faults += [(jump.at_s, jump.at_s) for jump in jumps]
            unexplained = tuple(self._spans(strange, faults))
        else:
            clicks = clicks_alone(self.sound)
        starts = [speech.heard_at_s for speech in said if speech.heard_at_s is not None]
        return Heard(
            duration_s=len(self.sound) / SAMPLE_RATE_HZ,
            starts_at_s=self.bounds[0] / SAMPLE_RATE_HZ,
            ends_at_s=self.bounds[1] / SAMPLE_RATE_HZ,
            gaps=tuple(gaps),
            seconds_without_sound=sum(gap.duration_s for gap in gaps),
            clicks=tuple(click for click in clicks if not self._excused(click, faults)),
            speeches=said,
            in_order=(starts == sorted(starts) and len(starts) == len(said)) if said else None,
            repeats=repeats,
            skips=skips,
            level_jumps=jumps,
            unexplained=unexplained,
            drift_ppm=(self.speed - 1) * 1e6 if self.alignment or self.placed else None,
            bed_gain_db=decibels(self.usual) if self.usual else None,
            bed_level_dbov=self._bed_level(),
            music_gain=self._music_gain(),
        )

    def _gaps(self) -> list[Gap]:
        if self.curve is None or self.usual is None:
            found = gap_search.gaps_alone(self.sound)
        else:
            gain = self.curve.by_sample(len(self.sound))
            ducked = min([self._held(found.start, found.end) for found in self.placed.values()], default=self.usual)
            found = gap_search.gaps_against(self.sound, self._full_music, gain, self.voice, self.usual, ducked)
        return self._within(found)

    def _jumps(self, gaps: Sequence[Gap]) -> tuple[tuple[Jump, ...], tuple[Jump, ...]]:
        """(repeats, skips), told by the music, or by a speech where the music beneath it rests."""
        kinds = gap_search.jumps(self.sound, self.stretches, gaps, LEAST_JUMP_S)
        for found in self.placed.values():
            said = gap_search.jumps(self.sound, found.stretches, gaps, LEAST_JUMP_S)
            for known, jumps in zip(kinds, said, strict=True):
                known += [
                    jump
                    for jump in jumps
                    if found.start < jump.at_s * SAMPLE_RATE_HZ < found.end
                    and not any(abs(jump.at_s - other.at_s) < SAME_JUMP_S for other in known)
                ]
        repeats, skips = (sorted(self._within(kind), key=lambda jump: jump.at_s) for kind in kinds)
        return tuple(repeats), tuple(skips)

    def _within(self, findings: Sequence) -> list:
        """Those well between the first sound and the last: a beginning or an end is no fault."""
        first, last = (bound / SAMPLE_RATE_HZ for bound in self.bounds)
        return [f for f in findings if first + EDGE_S <= f.at_s and f.at_s + f.duration_s < last - EDGE_S]

    def _excused(self, click: Click, faults: Sequence[tuple[float, float]]) -> bool:
        """Whether the click is the edge of a fault that is told by itself, or of the recording."""
        edges = (self.bounds[0] / SAMPLE_RATE_HZ, self.bounds[1] / SAMPLE_RATE_HZ)
        at_edge = click.at_s < edges[0] + EDGE_S or click.at_s > edges[1] - EDGE_S
        return at_edge or any(start - BLURRED_S <= click.at_s <= end + BLURRED_S for start, end in faults)

    def _strange(self, residual: np.ndarray) -> np.ndarray:
        """The frames (10 ms) of which more than STRANGE is unexplained."""
        frames = -(-len(residual) // FRAME_SAMPLES)
        left, whole = (
            np.convolve(
                np.pad(x * x, (0, frames * FRAME_SAMPLES - len(x))).reshape(frames, -1).sum(axis=1), np.ones(3), "same"
            )
            for x in (residual, self.banded)
        )
        return (left > STRANGE * whole) & (whole > 3 * FRAME_SAMPLES * 1e-5)

    def _spans(self, strange: np.ndarray, faults: Sequence[tuple[float, float]]) -> list[Span]:
        spans = []
        for first, last in runs_of(strange):
            start, end = first * FRAME_SAMPLES / SAMPLE_RATE_HZ, last * FRAME_SAMPLES / SAMPLE_RATE_HZ
            if end - start >= STRANGE_S and not any(a - 0.05 <= end and start <= b + 0.05 for a, b in faults):
                spans.append(Span(start, end - start))
        return spans

    def _speech(self, name: str, gaps: Sequence[Gap]) -> HeardSpeech:
        found = self.placed.get(name)
        if found is None:
            return HeardSpeech(name)
        here = slice(found.start, found.end)
        voice = found.gain * lay(self.speeches[name], found.stretches, self.speed, len(self.sound))[here]
        beneath = self.music[here] if self.curve is not None else (self.banded - self.voice)[here]
        speech_dbov = active_level_dbov(voice).level_dbov
        start_s, end_s = found.start / SAMPLE_RATE_HZ, found.end / SAMPLE_RATE_HZ
        return HeardSpeech(
            speech_id=name,
            heard_at_s=start_s,
            begins_at_s=found.begins / SAMPLE_RATE_HZ,
            ended_at_s=end_s,
            heard=found.heard,
            whole=found.heard >= WHOLE,
            speech_dbov=speech_dbov,
            speech_to_bed_db=speech_dbov - band_rms_dbov(beneath),
            **self._duck(found.start, found.end, gaps),
        )

    def _held(self, start: int, end: int) -> float:
        """The music's mean gain beneath a voice from sample `start` to `end`, its first and last 50 ms left out."""
        first, last = start // BLOCK_SAMPLES + 10, end // BLOCK_SAMPLES - 10
        core = slice(first, max(last, first + 1))
        weight = self.curve.weight[core]
        return float(np.average(self.curve.gain[core], weights=weight)) if weight.sum() > 0 else self.usual

    def _duck(self, start: int, end: int, gaps: Sequence[Gap]) -> dict[str, float]:
        """How far and by which ramps the music made way for the speech from sample `start` to `end`."""
        if self.curve is None or self.usual is None:
            return {}
        held = self._held(start, end)
        start_s, end_s = start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ
        usual = self._usual_near(start_s, end_s)
        measured: dict[str, float] = {"duck_db": decibels(usual) - decibels(held)}
        others = [(f.start / SAMPLE_RATE_HZ, f.end / SAMPLE_RATE_HZ) for f in self.placed.values()]
        others += [(gap.at_s, gap.at_s + gap.duration_s) for gap in gaps]
        before = max((end for _, end in others if end <= start_s), default=self.bounds[0] / SAMPLE_RATE_HZ)
        after = min((start for start, _ in others if start >= end_s), default=self.bounds[1] / SAMPLE_RATE_HZ)
        down = ramp(self.curve, max(start_s - RAMP_BEFORE_S, before), min(start_s + 0.6, end_s))
        up = ramp(self.curve, max(end_s - 0.4, start_s), min(end_s + RAMP_AFTER_S, after))
        if down and not (down.to_gain < down.from_gain and abs(decibels(down.from_gain / usual)) < SAME_LEVEL_DB):
            down = None
        if up and not (up.to_gain > up.from_gain and abs(decibels(up.to_gain / usual)) < SAME_LEVEL_DB):
            up = None
        self.ramps.append(down or Ramp(start_s - USUAL_RAMP_S, start_s, usual, held))
        self.ramps.append(up or Ramp(end_s, end_s + USUAL_RAMP_S, held, usual))
        if down:
            measured |= {"ramp_down_ms": down.length_ms, "ramp_down_ahead_ms": (start_s - down.end_s) * 1000}
        if up:
            measured["ramp_up_ms"] = up.length_ms
        return measured

    def _usual_near(self, start_s: float, end_s: float) -> float:
        """The music's gain when nobody speaks, in the seconds before, else after, else anywhere."""
        free = self._free_blocks()
        at = (np.arange(len(free)) + 0.5) * BLOCK_S
        for span in (free & (at > start_s - NEAR_S) & (at < start_s), free & (at > end_s) & (at < end_s + NEAR_S)):
            if span.sum() * BLOCK_S > 0.5:
                return usual_gain(self.curve, span) or self.usual
        return self.usual

    def _bed_level(self) -> float | None:
        """The level, between 300 and 3400 Hz, of all that sounds between the speeches."""
        free = np.repeat(self._free_blocks(), BLOCK_SAMPLES)[: len(self.sound)]
        return band_rms_dbov(self.sound[free]) if free.sum() > SAMPLE_RATE_HZ // 2 else None

    def _music_gain(self) -> MusicGain | None:
        if self.curve is None or self.usual is None:
            return None
        gain_db = 20 * np.log10(np.maximum(self.curve.gain / self.usual, 1e-3))
        return MusicGain((np.arange(len(gain_db)) + 0.5) * BLOCK_S, gain_db)


def _taps() -> np.ndarray:
    return band_pass(LOW_HZ, HIGH_HZ)


def _band(sound: np.ndarray) -> np.ndarray:
    return np.concatenate(list(filtered([sound], _taps())))


def _band_of_loop(bed: np.ndarray) -> np.ndarray:
    """The same filter, round the loop."""
    margin = len(_taps())
    whole = np.pad(bed, margin, "wrap")
    return _band(whole)[margin:-margin]
