"""What a score is: sections of chords and melody, parts that play patterns, and how its text is read.

Chords: bars between `|`, the chords of a bar sharing it evenly. Melody: `pitch:beats`, `r` rests, and every bar must
add up. Patterns: one character a step, the steps of a string filling one bar; several strings take turns, bar by bar.
    chords  0 1 2 3  one voice of the chord, lowest first · * all four, strummed · . nothing
    bass    1 root · 5 fifth (where the chord has one above its bass, else the octave) · 8 octave
            n root of the chord to come · . nothing
    brush   x accent · o soft · . nothing
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from local.music.harmony import Chord, Voicing, chord, lead_voices, pitch
from local.music.instruments import Instrument


@dataclass(frozen=True, slots=True)
class Note:
    """A note, in beats from the piece's first. `late_ms` is the player's: a strum's spread and a human's timing."""

    start: float
    beats: float
    pitch: int
    velocity: float
    late_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """A chord in force from beat `start` for `beats`, as voiced."""

    start: float
    beats: float
    chord: Chord
    voicing: Voicing


@dataclass(frozen=True, slots=True)
class Section:
    """Some bars of music. `lead` plays the melody."""

    name: str
    lead: Instrument
    chords: str
    melody: str


@dataclass(frozen=True, slots=True)
class Part:
    """One player beside the lead.

    `level_db` is how loud the part is while it plays, the lead being 0; `pan` −1 (left) to 1 (right); `pattern` by
    section name, the entry "" for every section that is not named.
    """

    play: Callable[["Score", "Part", np.random.Generator], list[Note]]
    instrument: Instrument
    level_db: float
    pattern: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pan: float = 0.0
    reverb_db: float = -13.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar as the parts see it: `number` counts from the section's start, `beat` from the piece's."""

    number: int
    beat: float
    section: Section
    chords: str
    melody: str


@dataclass(frozen=True, slots=True)
class Score:
    """A piece that loops."""

    mood: str
    beats_per_bar: int
    beats_per_minute: int
    seed: int
    sections: tuple[Section, ...]
    parts: tuple[Part, ...]

    @property
    def seconds(self) -> int:
        """A whole number, because a bed is one."""
        bars = len(list(self.bars()))
        seconds, rest = divmod(bars * self.beats_per_bar * 60, self.beats_per_minute)
        if rest:
            raise ValueError(f"{self.mood}: {bars} bars at {self.beats_per_minute} a minute do not fill whole seconds")
        return seconds

    def bars(self) -> Iterator[Bar]:
        beat = 0.0
        for section in self.sections:
            pairs = zip(section.chords.split("|"), section.melody.split("|"), strict=True)
            for number, (chords, melody) in enumerate(pairs):
                yield Bar(number, beat, section, chords.strip(), melody.strip())
                beat += self.beats_per_bar

    def changes(self) -> list[Change]:
        """Every chord of the piece, voiced so that the voices lead smoothly all round the loop."""
        symbols = [(bar, bar.chords.split()) for bar in self.bars()]
        chords = [chord(symbol) for _, bar_symbols in symbols for symbol in bar_symbols]
        voicings = iter(zip(chords, lead_voices(chords), strict=True))
        changes = []
        for bar, bar_symbols in symbols:
            beats = self.beats_per_bar / len(bar_symbols)
            changes += [Change(bar.beat + i * beats, beats, *next(voicings)) for i in range(len(bar_symbols))]
        return changes

    def melody(self) -> list[tuple[Note, Instrument]]:
        """The tune as written, each note with the instrument that has the lead; velocities are the player's to add."""
        tune = []
        for bar in self.bars():
            beat = bar.beat
            for token in bar.melody.split():
                name, beats = token.split(":")
                if name != "r":
                    tune.append((Note(beat, float(beats), pitch(name), 1.0), bar.section.lead))
                beat += float(beats)
            if beat != bar.beat + self.beats_per_bar:
                raise ValueError(
                    f"{self.mood}: the bar {bar.melody!r} has {beat - bar.beat:g} beats;"
                    f" {self.beats_per_bar} would be right"
                )
        return tune

    def steps(self, part: Part) -> Iterator[tuple[str, float]]:
        """What `part` plays and on which beat, over the whole piece."""
        for bar in self.bars():
            patterns = part.pattern.get(bar.section.name, part.pattern.get("", ()))
            if not patterns:
                continue
            pattern = patterns[bar.number % len(patterns)]
            for i, character in enumerate(pattern):
                if character != ".":
                    yield character, bar.beat + i * self.beats_per_bar / len(pattern)
