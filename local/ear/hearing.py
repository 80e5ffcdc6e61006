"""Listening: from a recording to all that the ear can tell of it."""

from collections.abc import Mapping, Sequence

import numpy as np

from duckline.sound.loudness import active_level_dbov, band_rms_dbov
from duckline.timeline import SAMPLE_RATE_HZ
from local.ear.clicks import clicks_against, clicks_alone
from local.ear.ducking import BLOCK_S, BLOCK_SAMPLES, Ramp, decibels, level_jumps, ramp, usual_gain
from local.ear.explanation import Explanation
from local.ear.findings import Click, Gap, Heard, HeardSpeech, Jump, LevelJump, MusicGain, Span
from local.ear.gaps import gaps_against, gaps_alone, jumps
from local.ear.path import FRAME_SAMPLES, runs_of
from local.ear.recording import at_8_khz, sounding
from local.ear.speeches import Placed

LEAST_JUMP_S = 0.010
SAME_JUMP_S = 0.5  # between the places at which music and speech tell of one jump
WHOLE = 0.96  # of a speech's telling frames; a hole of 20 ms is a gap and not a speech cut short
SOFTEST_DBOV = -96.0  # of music that is as good as none
EDGE_S = 0.05  # of a recording, at which filters and MP3 ring
BLURRED_S = 0.03  # around a fault, in which a click is part of it
SETTLED_S = 0.3  # around a fault, in which the music's level isn't looked at
RAMP_BEFORE_S, RAMP_AFTER_S = 1.5, 2.0  # how far from a speech its ramps are looked for
RAMPING_S = 0.1  # around a ramp, in which a change of the music's level is told as such
USUAL_RAMP_S = 0.8  # where it couldn't be measured
SAME_LEVEL_DB = 1.5
NEAR_S = 4.0
STRANGE = 0.5  # the part of a moment's energy that neither bed nor speech explains
STRANGE_S = 0.06
AUDIBLE = 1e-5  # mean square (−50 dBov) of sound worth explaining

Spans = list[tuple[float, float]]  # seconds from, to


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
    asked = {name: at_8_khz(pcm) for name, pcm in (speeches or {}).items()}
    bounds = sounding(sound)
    if bounds is None:
        unheard = tuple(HeardSpeech(name) for name in asked)
        return Heard(len(sound) / SAMPLE_RATE_HZ, None, None, (), 0.0, (), unheard, False if unheard else None)
    return _Listener(Explanation(sound, bounds, asked, None if bed is None else at_8_khz(bed))).heard()


class _Listener:
    """Tells what is to be told of one recording, each thing once.

    What is found first excuses what would only be its shadow: a hole has edges that click, a ramp changes the level.
    """

    def __init__(self, known: Explanation) -> None:
        self.known = known
        self.starts_s, self.ends_s = (bound / SAMPLE_RATE_HZ for bound in known.bounds)
        self.gaps = self._gaps()
        self.ramps: list[Ramp] = []
        self.speeches = tuple(self._speech(name) for name in known.speeches)

    def heard(self) -> Heard:
        known = self.known
        starts = [speech.heard_at_s for speech in self.speeches if speech.heard_at_s is not None]
        in_order = starts == sorted(starts) and len(starts) == len(self.speeches)
        return Heard(
            duration_s=len(known.sound) / SAMPLE_RATE_HZ,
            starts_at_s=self.starts_s,
            ends_at_s=self.ends_s,
            gaps=tuple(self.gaps),
            seconds_without_sound=sum(gap.duration_s for gap in self.gaps),
            speeches=self.speeches,
            in_order=in_order if self.speeches else None,
            drift_ppm=(known.speed - 1) * 1e6 if known.has_music or known.placed else None,
            bed_level_dbov=self._bed_level(),
            **(self._against_music() if known.has_music else self._alone()),
        )

    def _alone(self) -> dict:
        faults = [(gap.at_s, gap.at_s + gap.duration_s) for gap in self.gaps]
        return {"clicks": self._clean(clicks_alone(self.known.sound, self.known.full_voice), faults)}

    def _against_music(self) -> dict:
        """What can only be told where the bed is known."""
        known = self.known
        repeats, skips = self._jumps()
        faults = [(gap.at_s, gap.at_s + gap.duration_s) for gap in self.gaps]
        faults += [(jump.at_s, jump.at_s) for jump in (*repeats, *skips)]
        changes = self._level_jumps(faults)
        faults += [(change.at_s, change.at_s) for change in changes]
        strange = self._strange()
        explained = ~np.repeat(strange, FRAME_SAMPLES)[: len(known.sound)]
        clicks = clicks_against(known.residual, known.music + known.voice, explained, known.usual)
        gain_db = 20 * np.log10(np.maximum(known.curve.gain / known.usual, 1e-3))
        return {
            "repeats": tuple(repeats),
            "skips": tuple(skips),
            "level_jumps": tuple(changes),
            "clicks": self._clean(clicks, faults),
            "unexplained": tuple(self._spans(strange, faults)),
            "bed_gain_db": decibels(known.usual),
            "music_gain": MusicGain((np.arange(len(gain_db)) + 0.5) * BLOCK_S, gain_db),
        }

    def _gaps(self) -> list[Gap]:
        known = self.known
        if not known.has_music:
            return self._inside(gaps_alone(known.sound))
        gain = known.curve.by_sample(len(known.sound))
        ducked = min((known.gain_beneath(found) for found in known.placed.values()), default=known.usual)
        return self._inside(gaps_against(known.sound, known.full_music, gain, known.voice, known.usual, ducked))

    def _jumps(self) -> tuple[list[Jump], list[Jump]]:
        """(repeats, skips), told by the music, or by a speech where the music beneath it rests."""
        known = self.known
        kinds = jumps(known.sound, known.stretches, self.gaps, LEAST_JUMP_S)
        for found in known.placed.values():
            said = jumps(known.sound, found.stretches, self.gaps, LEAST_JUMP_S)
            for kind, told in zip(kinds, said, strict=True):
                kind += [
                    jump
                    for jump in told
                    if found.start < jump.at_s * SAMPLE_RATE_HZ < found.end
                    and not any(abs(jump.at_s - other.at_s) < SAME_JUMP_S for other in kind)
                ]
        first, last = self.starts_s + EDGE_S, self.ends_s - EDGE_S
        repeats, skips = (
            sorted((jump for jump in kind if first <= jump.at_s < last), key=lambda jump: jump.at_s) for kind in kinds
        )
        return repeats, skips

    def _level_jumps(self, faults: Spans) -> list[LevelJump]:
        edges = [(self.starts_s, self.starts_s), (self.ends_s, self.ends_s)]
        excused = [(start - SETTLED_S, end + SETTLED_S) for start, end in faults + edges]
        excused += [(ramp.start_s - RAMPING_S, ramp.end_s + RAMPING_S) for ramp in self.ramps]
        return [LevelJump(at_s, change_db) for at_s, change_db in level_jumps(self.known.curve, excused)]

    def _inside(self, gaps: Sequence[Gap]) -> list[Gap]:
        """Those well between the first sound and the last: a beginning or an end is no fault."""
        first, last = self.starts_s + EDGE_S, self.ends_s - EDGE_S
        return [gap for gap in gaps if first <= gap.at_s and gap.at_s + gap.duration_s < last]

    def _clean(self, clicks: Sequence[Click], faults: Spans) -> tuple[Click, ...]:
        """The clicks that are not the edge of a fault that is told by itself, or of the recording."""
        first, last = self.starts_s + EDGE_S, self.ends_s - EDGE_S
        return tuple(
            click
            for click in clicks
            if first <= click.at_s <= last
            and not any(start - BLURRED_S <= click.at_s <= end + BLURRED_S for start, end in faults)
        )

    def _strange(self) -> np.ndarray:
        """The frames (10 ms) of which more than STRANGE is neither music nor voice."""
        left, whole = (_energy_around(sound) for sound in (self.known.residual, self.known.banded))
        return (left > STRANGE * whole) & (whole > AUDIBLE)

    def _spans(self, strange: np.ndarray, faults: Spans) -> list[Span]:
        spans = []
        for first, last in runs_of(strange):
            start_s, end_s = first * FRAME_SAMPLES / SAMPLE_RATE_HZ, last * FRAME_SAMPLES / SAMPLE_RATE_HZ
            near = any(start - EDGE_S <= end_s and start_s <= end + EDGE_S for start, end in faults)
            if end_s - start_s >= STRANGE_S and not near:
                spans.append(Span(start_s, end_s - start_s))
        return spans

    def _speech(self, name: str) -> HeardSpeech:
        known = self.known
        found = known.placed.get(name)
        if found is None:
            return HeardSpeech(name)
        beneath = (known.music if known.has_music else known.residual)[found.start : found.end]
        speech_dbov = active_level_dbov(known.voice_of(found)).level_dbov
        return HeardSpeech(
            speech_id=name,
            heard_at_s=found.start / SAMPLE_RATE_HZ,
            begins_at_s=found.begins / SAMPLE_RATE_HZ,
            ended_at_s=found.end / SAMPLE_RATE_HZ,
            heard=found.heard,
            whole=found.heard >= WHOLE,
            speech_dbov=speech_dbov,
            speech_to_bed_db=speech_dbov - max(band_rms_dbov(beneath), SOFTEST_DBOV),
            **(self._duck(found) if known.has_music else {}),
        )

    def _duck(self, found: Placed) -> dict[str, float]:
        """How far and by which ramps the music made way for a speech."""
        known, curve = self.known, self.known.curve
        start_s, end_s = found.start / SAMPLE_RATE_HZ, found.end / SAMPLE_RATE_HZ
        held, usual = known.gain_beneath(found), self._usual_near(start_s, end_s)
        others = [(other.start / SAMPLE_RATE_HZ, other.end / SAMPLE_RATE_HZ) for other in known.placed.values()]
        others += [(gap.at_s, gap.at_s + gap.duration_s) for gap in self.gaps]
        before_s = max((end for _, end in others if end <= start_s), default=self.starts_s)
        after_s = min((start for start, _ in others if start >= end_s), default=self.ends_s)
        down = ramp(curve, max(start_s - RAMP_BEFORE_S, before_s), min(start_s + 0.6, end_s))
        if down and not (down.to_gain < down.from_gain and abs(decibels(down.from_gain / usual)) < SAME_LEVEL_DB):
            down = None
        up = ramp(curve, max(end_s - 0.4, start_s), min(end_s + RAMP_AFTER_S, after_s))
        if up and not (up.to_gain > up.from_gain and abs(decibels(up.to_gain / usual)) < SAME_LEVEL_DB):
            up = None
        self.ramps.append(down or Ramp(start_s - USUAL_RAMP_S, start_s, usual, held))
        self.ramps.append(up or Ramp(end_s, end_s + USUAL_RAMP_S, held, usual))
        measured = {"duck_db": decibels(usual) - decibels(held)}
        if down:
            measured |= {"ramp_down_ms": down.length_ms, "ramp_down_ahead_ms": (start_s - down.end_s) * 1000}
        if up:
            measured["ramp_up_ms"] = up.length_ms
        return measured

    def _usual_near(self, start_s: float, end_s: float) -> float:
        """The music's gain when nobody speaks, in the seconds before, else after, else anywhere."""
        free = self.known.free_blocks()
        at = (np.arange(len(free)) + 0.5) * BLOCK_S
        for span in (free & (at > start_s - NEAR_S) & (at < start_s), free & (at > end_s) & (at < end_s + NEAR_S)):
            if span.sum() * BLOCK_S > 0.5:
                return usual_gain(self.known.curve, span) or self.known.usual
        return self.known.usual

    def _bed_level(self) -> float | None:
        """The level, between 300 and 3400 Hz, of all that sounds between the speeches."""
        free = np.repeat(self.known.free_blocks(), BLOCK_SAMPLES)[: len(self.known.sound)]
        return band_rms_dbov(self.known.sound[free]) if free.sum() > SAMPLE_RATE_HZ // 2 else None


def _energy_around(sound: np.ndarray) -> np.ndarray:
    """The mean square of each frame of 10 ms and its two neighbours."""
    frames = -(-len(sound) // FRAME_SAMPLES)
    padded = np.pad(sound, (0, frames * FRAME_SAMPLES - len(sound)))
    return np.convolve((padded.reshape(frames, FRAME_SAMPLES) ** 2).mean(axis=1), np.full(3, 1 / 3), "same")
