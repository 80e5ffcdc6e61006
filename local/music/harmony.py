"""Pitches, chords and the way from one chord to the next.

A pitch is a MIDI number (60 is C4, 261.6 Hz; 69 is A4, 440 Hz). A pitch class is a pitch modulo 12 (0 is C).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"": 0, "#": 1, "b": -1}

# Semitones above the root. All have four or five tones: beneath that, held music sounds bare after a minute.
QUALITIES = {
    "add9": (0, 2, 4, 7),
    "6": (0, 4, 7, 9),
    "6/9": (0, 4, 7, 9, 14),
    "maj7": (0, 4, 7, 11),
    "maj9": (0, 4, 7, 11, 14),
    "m6": (0, 3, 7, 9),
    "m7": (0, 3, 7, 10),
    "m9": (0, 3, 7, 10, 14),
    "7": (0, 4, 7, 10),
    "9": (0, 4, 7, 10, 14),
    "13": (0, 4, 10, 14, 21),
    "7b9": (0, 4, 7, 10, 13),
    "9sus4": (0, 5, 7, 10, 14),
    "dim7": (0, 3, 6, 9),
}

# Where chords are voiced: C#4 to E5, 277 to 659 Hz. Their second partials lie under 1400 Hz, well inside the
# telephone's band, and the melody has the octave above to itself.
LOWEST, HIGHEST = 61, 76
CENTRE = 67


@dataclass(frozen=True, slots=True)
class Chord:
    """What a chord symbol means: its tones as pitch classes, the root first, and the pitch class of its bass."""

    symbol: str
    tones: tuple[int, ...]
    bass: int

    @property
    def colours(self) -> tuple[int, ...]:
        """The four tones that a player's right hand takes: of five, all but the root, which the bass has anyway."""
        return self.tones[-4:]


Voicing = tuple[int, ...]  # four pitches, lowest first


def pitch(name: str) -> int:
    """The MIDI number of `name`, a letter, an accidental and an octave: "C4" is 60, "Bb4" 70."""
    match = re.fullmatch(r"([A-G])([#b]?)(\d)", name)
    if not match:
        raise ValueError(f"no pitch {name!r}; one looks like C4, F#5 or Bb4")
    letter, accidental, octave = match.groups()
    return 12 * (int(octave) + 1) + LETTERS[letter] + ACCIDENTALS[accidental]


def frequency_hz(midi: float) -> float:
    """Equal temperament at A4 = 440 Hz."""
    return 440.0 * 2.0 ** ((midi - 69) / 12)


def chord(symbol: str) -> Chord:
    """Read a chord symbol: a root, one of QUALITIES and perhaps a bass note ("Gm9", "D6/9", "Gadd9/B")."""
    match = re.fullmatch(r"([A-G][#b]?)(.*?)(?:/([A-G][#b]?))?", symbol)
    if not match or match[2] not in QUALITIES:
        raise ValueError(f"no chord {symbol!r}; one is a root and one of {', '.join(QUALITIES)}")
    root = _pitch_class(match[1])
    tones = tuple((root + interval) % 12 for interval in QUALITIES[match[2]])
    return Chord(symbol, tones, _pitch_class(match[3]) if match[3] else root)


def lead_voices(chords: Sequence[Chord]) -> list[Voicing]:
    """Voice `chords` so that the four voices move as little as they can, the last chord's back into the first's.

    Of all ways round the loop the smoothest is found by dynamic programming: common tones stay, the others step.
    """
    choices = [_voicings(chord) for chord in chords]
    start = min(choices[0], key=_roughness)
    paths: dict[Voicing, tuple[float, list[Voicing]]] = {start: (0.0, [start])}
    for candidates in [*choices[1:], [start]]:
        paths = {
            voicing: min(
                (
                    (cost + _motion(last, voicing) + _roughness(voicing), [*path, voicing])
                    for last, (cost, path) in paths.items()
                ),
                key=lambda found: found[0],
            )
            for voicing in candidates
        }
    return paths[start][1][:-1]


def _pitch_class(name: str) -> int:
    return (LETTERS[name[0]] + ACCIDENTALS[name[1:]]) % 12


def _voicings(chord: Chord) -> list[Voicing]:
    """Every way to lay the chord's four colours between LOWEST and HIGHEST."""
    places = [[p for p in range(LOWEST, HIGHEST + 1) if p % 12 == colour] for colour in chord.colours]
    return sorted(tuple(sorted(pitches)) for pitches in product(*places))


def _motion(before: Voicing, after: Voicing) -> float:
    """Semitones moved, leaps counting more than steps."""
    return sum(abs(b - a) ** 1.5 for a, b in zip(before, after, strict=True))


def _roughness(voicing: Voicing) -> float:
    """What a voicing costs of itself: seconds that grate, holes, and distance from the middle of the register."""
    gaps = [high - low for low, high in pairwise(voicing)]
    semitones = sum(gap == 1 for gap in gaps) + 2 * (gaps[-1] == 1)  # worst on top, where the ear follows
    holes = sum(gap > 7 for gap in gaps)
    return 3.0 * semitones + 2.0 * holes + 0.5 * abs(sum(voicing) / 4 - CENTRE)
