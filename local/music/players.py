"""The players: how a score's text becomes notes with a touch and a timing of their own.

Each is a function of (score, part, rng) that returns notes; `lead` is apart, having no pattern to follow.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from math import inf

import numpy as np

from local.music.harmony import Chord
from local.music.instruments import Instrument
from local.music.score import Change, Note, Part, Score

LOWEST_BASS = 43  # G2, 98 Hz: the basses lie in the octave above it
LATE_MS = 5.0  # standard deviation of a player's timing; 20 ms would be heard as sloppy
STRUM_MS = 14.0  # from one string to the next
NO_PITCH = 0  # a brush has none


def lead(score: Score, rng: np.random.Generator) -> dict[Instrument, list[Note]]:
    """The melody by instrument, leaning a little into long notes and high ones."""
    tune: dict[Instrument, list[Note]] = {}
    for note, instrument in score.melody():
        touch = 0.68 + 0.08 * min(note.beats, 2.0) + 0.008 * (note.pitch - 72)
        tune.setdefault(instrument, []).append(_human(replace(note, velocity=touch), rng))
    return tune


def hold(score: Score, part: Part, rng: np.random.Generator) -> list[Note]:
    """Every chord for its length. A voice that has the same pitch in the next chord is tied over, not struck again."""
    notes = []
    sounding: dict[int, Note] = {}
    for change in score.changes():
        tied = {
            p: replace(sounding[p], beats=sounding[p].beats + change.beats)
            if p in sounding
            else Note(change.start, change.beats, p, 1.0)
            for p in change.voicing
        }
        notes += [note for p, note in sounding.items() if p not in tied]
        sounding = tied
    return notes + list(sounding.values())


def comp(score: Score, part: Part, rng: np.random.Generator) -> list[Note]:
    """The chord's voices as the pattern has them, each ringing until it is struck again or the chord changes."""
    changes = score.changes()
    notes = []
    for character, beat in score.steps(part):
        change = changes[_in_force(changes, beat)]
        stroke = _human(Note(beat, change.start + change.beats - beat, NO_PITCH, 0.8 * _accent(score, beat)), rng)
        voices = change.voicing if character == "*" else [change.voicing[int(character)]]
        notes += [replace(stroke, pitch=p, late_ms=stroke.late_ms + i * STRUM_MS) for i, p in enumerate(voices)]
    next_strike: dict[int, float] = {}
    for i, note in reversed(list(enumerate(notes))):
        notes[i] = replace(note, beats=min(note.beats, next_strike.get(note.pitch, inf) - note.start))
        next_strike[note.pitch] = note.start
    return notes


def walk(score: Score, part: Part, rng: np.random.Generator) -> list[Note]:
    """The bass line: each note until the next. Whatever the pattern says, a chord is entered on its own bass."""
    changes = score.changes()
    steps = list(score.steps(part))
    ends = [beat for _, beat in steps[1:]] + [score.seconds * score.beats_per_minute / 60]
    notes = []
    before = None
    for (character, beat), end in zip(steps, ends, strict=True):
        here = _in_force(changes, beat)
        coming = (here + 1) % len(changes)
        degree = character if here == before else "1"
        played = _bass(changes[coming if degree == "n" else here].chord, degree)
        notes.append(_human(Note(beat, end - beat, played, 0.85 * _accent(score, beat)), rng))
        before = here
    return notes


def sweep(score: Score, part: Part, rng: np.random.Generator) -> list[Note]:
    """Brush strokes: `x` leans, `o` does not."""
    touch = {"x": 0.9, "o": 0.5}
    return [_human(Note(beat, 0.0, NO_PITCH, touch[character]), rng) for character, beat in score.steps(part)]


def _bass(chord: Chord, degree: str) -> int:
    root = LOWEST_BASS + (chord.bass - LOWEST_BASS) % 12
    fifth = root + 7 if (root + 7) % 12 in chord.tones else root + 12
    return {"1": root, "n": root, "5": fifth, "8": root + 12}[degree]


def _in_force(changes: Sequence[Change], beat: float) -> int:
    """The number of the change that is in force at `beat`."""
    return bisect_right(changes, beat, key=lambda change: change.start) - 1


def _accent(score: Score, beat: float) -> float:
    """How heavy a place in the bar is: its first beat, its other beats, what lies between."""
    if beat % score.beats_per_bar == 0:
        return 1.0
    return 0.9 if beat % 1 == 0 else 0.8


def _human(note: Note, rng: np.random.Generator) -> Note:
    late_ms = float(np.clip(rng.normal(0.0, LATE_MS), -3 * LATE_MS, 3 * LATE_MS))
    return replace(note, velocity=note.velocity * float(rng.uniform(0.92, 1.08)), late_ms=late_ms)
