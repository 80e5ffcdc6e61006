"""The three pieces, as a person would write them on a lead sheet (how it is read: `score.py`).

All is composed for a band of 300 to 3400 Hz: melodies lie between A4 and D6 (440 to 1175 Hz), so that their second and
mostly their third partials still pass. The form is A A' B A, because a song form is the shortest one that an ear does
not tire of, and every last bar is a dominant that wants the first.
"""

from local.music.instruments import BASS, BRUSH, ELECTRIC_PIANO, KALIMBA, MARIMBA, NYLON, PAD, VIBRAPHONE
from local.music.players import comp, hold, sweep, walk
from local.music.score import Part, Score, Section

# -- calm: a slow waltz in F, broken chords under a bell-like piano, strings behind ------------------------------------
# The colour is the borrowed Bbm6 in the last A (F major's minor subdominant) and Eb in the bridge.

CALM = Score(
    mood="calm",
    beats_per_bar=3,
    beats_per_minute=64,
    seed=1888,
    sections=(
        Section(
            "A",
            ELECTRIC_PIANO,
            "Fmaj9 | Dm9 | Bbmaj9 | C9sus4 | Am7 | Dm9 | Gm9 | C9sus4",
            "A5:2 G5:1 | F5:1.5 E5:.5 C5:1 | D5:3 | r:1 D5:1 F5:1 | E5:2 G5:1 | A5:1.5 G5:.5 F5:1 | F5:1 D5:2 | r:3",
        ),
        Section(
            "A'",
            ELECTRIC_PIANO,
            "Fmaj9 | Dm9 | Bbmaj9 | C9sus4 | Am7 | Dm9 | Gm9 C13 | F6/9",
            "A5:2 G5:1 | F5:1.5 E5:.5 C5:1 | D5:2 F5:1 | G5:3 | C6:1.5 A5:.5 G5:1 | A5:1.5 F5:.5 E5:1 "
            "| D5:1.5 E5:1.5 | G5:2 r:1",
        ),
        Section(
            "B",
            VIBRAPHONE,
            "Bbmaj9 | Am7 | Gm9 | Fmaj9/A | Ebmaj9 | Dm9 | Gm9 | C9sus4",
            "r:1 D5:1 F5:1 | G5:2 E5:1 | r:1 A5:1 F5:1 | E5:2 C5:1 | r:1 G5:1 Bb5:1 | A5:2 F5:1 | Bb5:1.5 A5:.5 F5:1 "
            "| G5:2 r:1",
        ),
        Section(
            "A",
            ELECTRIC_PIANO,
            "Fmaj9 | Dm9 | Bbmaj9 | Bbm6 | Am7 | Dm9 | Gm9 | C9sus4 C7",
            "A5:2 G5:1 | F5:1.5 E5:.5 C5:1 | D5:3 | r:1 Db5:1 F5:1 | E5:2 G5:1 | F5:2 E5:1 | D5:2 r:1 | r:3",
        ),
    ),
    parts=(
        Part(hold, PAD, -4.5, reverb_db=-9.0),
        Part(comp, NYLON, -2.5, {"": ("021321",), "A'": ("021323",), "B": ("013231",)}, pan=-0.3),
        Part(walk, BASS, -6.0, {"": ("1.....", "1...5.")}, reverb_db=-24.0),
    ),
)

# -- warm: a bossa nova in D, guitar and shaker, a vibraphone to sing, electric piano in the bridge --------------------

_BOSSA = ("*..*..*.", "..*..*..")  # the guitar's thumb is the bass player's part here

WARM = Score(
    mood="warm",
    beats_per_bar=4,
    beats_per_minute=120,
    seed=1958,
    sections=(
        Section(
            "A",
            VIBRAPHONE,
            "Dmaj9 | Dmaj9 | Em9 | A13 | F#m7 | B7b9 | Em9 | A9sus4",
            "r:.5 A4:.5 D5:.5 E5:.5 F#5:1.5 E5:.5 | E5:.5 C#5:1.5 r:2 | r:.5 B4:.5 E5:.5 F#5:.5 G5:1.5 F#5:.5 "
            "| E5:.5 F#5:1.5 r:2 | A5:1.5 F#5:.5 E5:1 C#5:1 | A5:.5 F#5:1.5 D#5:1 C5:1 | B4:2 D5:1 E5:1 | B4:3 r:1",
        ),
        Section(
            "A'",
            VIBRAPHONE,
            "Dmaj9 | Dmaj9 | Em9 | A13 | F#m7 B7b9 | Em9 A13 | D6/9 | Am9 D13",
            "r:.5 A4:.5 D5:.5 E5:.5 F#5:1.5 E5:.5 | E5:.5 C#5:1.5 r:2 | r:.5 B4:.5 E5:.5 F#5:.5 G5:1.5 F#5:.5 "
            "| E5:.5 F#5:1.5 A5:1 B5:1 | A5:1.5 E5:.5 D#5:1.5 C5:.5 | B4:1.5 D5:.5 C#5:1.5 F#5:.5 | E5:3 r:1 | r:4",
        ),
        Section(
            "B",
            ELECTRIC_PIANO,
            "Gmaj9 | Gm6 | F#m7 | B7b9 | Em9 | Gm7 C9 | F#m7 Fdim7 | Em9 A13",
            "r:.5 D5:.5 G5:.5 A5:.5 B5:2 | Bb5:3 G5:1 | r:.5 C#5:.5 E5:.5 F#5:.5 A5:2 | A5:1.5 F#5:.5 D#5:2 "
            "| r:.5 B4:.5 E5:.5 F#5:.5 G5:2 | F5:1.5 D5:.5 E5:2 | E5:1.5 C#5:.5 D5:1.5 B4:.5 | D5:1 B4:1 C#5:1 E5:1",
        ),
        Section(
            "A'",
            VIBRAPHONE,
            "Dmaj9 | Dmaj9 | Em9 | A13 | F#m7 B7b9 | Em9 A13 | D6/9 | D6/9 B7b9",
            "r:.5 A4:.5 D5:.5 E5:.5 F#5:1.5 E5:.5 | E5:.5 C#5:1.5 r:2 | r:.5 B4:.5 E5:.5 F#5:.5 G5:1.5 F#5:.5 "
            "| E5:.5 F#5:1.5 A5:1 B5:1 | A5:1.5 E5:.5 D#5:1.5 C5:.5 | B4:1.5 D5:.5 C#5:1.5 F#5:.5 | E5:3 r:1 | r:4",
        ),
        Section(  # the guitar has the room to itself; the piano answers in fragments and the turnaround leads home
            "tag",
            ELECTRIC_PIANO,
            "Em9 | A13 | F#m7 | B7b9 | Em9 | A13 | Dmaj9 B7b9 | Em9 A13",
            "r:.5 G5:.5 F#5:.5 D5:.5 B4:2 | r:4 | r:.5 A5:.5 E5:.5 C#5:.5 A4:2 | r:2 C5:1 D#5:1 "
            "| r:.5 G5:.5 F#5:.5 D5:.5 B4:2 | C#5:1 E5:1 F#5:1.5 B4:.5 | A4:2 r:2 | r:4",
        ),
    ),
    parts=(
        Part(hold, PAD, -6.5, reverb_db=-9.0),
        Part(comp, NYLON, -2.0, {"": _BOSSA, "B": ("*..*..*.", "..*..*.*"), "tag": ("0.213.2.", "0.213.12")}, pan=-0.3),
        Part(walk, BASS, -4.0, {"": ("1..55..n",)}, reverb_db=-24.0),
        Part(sweep, BRUSH, -16.0, {"": ("xooxooxo", "ooxooxoo")}, pan=0.35),
    ),
)

# -- bright: marimba figures in G, a thumb piano's tune, a shaker, major colours throughout ----------------------------

BRIGHT = Score(
    mood="bright",
    beats_per_bar=4,
    beats_per_minute=96,
    seed=1973,
    sections=(
        Section(
            "A",
            KALIMBA,
            "Gadd9 | Dadd9/F# | Em9 | Cmaj9 | Gadd9/B | Cmaj9 | Am9 | D9sus4",
            "D5:.5 G5:.5 A5:.5 B5:1.5 A5:.5 G5:.5 | A5:1.5 F#5:.5 D5:1 r:1 | B4:.5 E5:.5 F#5:.5 G5:1.5 F#5:.5 E5:.5 "
            "| D5:2 r:2 | D5:.5 G5:.5 A5:.5 B5:1.5 D6:1 | B5:1.5 G5:.5 E5:2  "
            "| r:.5 E5:.5 G5:.5 A5:.5 B5:1 C6:1 | A5:3 r:1",
        ),
        Section(
            "A'",
            KALIMBA,
            "Gadd9 | Dadd9/F# | Em9 | Cmaj9 | Gadd9/B | Cmaj9 | Am9 D9 | Gadd9",
            "D5:.5 G5:.5 A5:.5 B5:1.5 A5:.5 G5:.5 | A5:1.5 F#5:.5 D5:1 r:1 | B4:.5 E5:.5 F#5:.5 G5:1.5 F#5:.5 E5:.5 "
            "| D5:2 r:2 | D5:.5 G5:.5 A5:.5 B5:1.5 D6:1 | B5:1 A5:.5 G5:.5 E5:2 "
            "| C6:1 B5:.5 G5:.5 A5:1 F#5:1 | G5:3 r:1",
        ),
        Section(
            "B",
            VIBRAPHONE,
            "Em9 | Bm7 | Cmaj9 | Gadd9/B | Am9 | Bm7 | Cmaj9 | D9sus4 D9",
            "r:1 E5:.5 G5:.5 B5:2 | A5:1.5 F#5:.5 D5:2 | r:1 E5:.5 G5:.5 B5:1.5 A5:.5 | G5:1 D5:2 r:1 "
            "| r:1 C5:.5 E5:.5 G5:1.5 B5:.5 | A5:1 F#5:1 D5:2 | r:1 E5:1 G5:1 B5:1 | A5:2 F#5:1 r:1",
        ),
        Section(
            "A",
            KALIMBA,
            "Gadd9 | Dadd9/F# | Em9 | Cmaj9 | Gadd9/B | Cmaj9 | Am9 | D9sus4 D9",
            "D5:.5 G5:.5 A5:.5 B5:1.5 A5:.5 G5:.5 | A5:1.5 F#5:.5 D5:1 r:1 | B4:.5 E5:.5 F#5:.5 G5:1.5 F#5:.5 E5:.5 "
            "| D5:2 r:2 | D5:.5 G5:.5 A5:.5 B5:1.5 D6:1 | B5:1 A5:.5 G5:.5 E5:2 | r:.5 E5:.5 G5:.5 A5:.5 C6:1 B5:1 "
            "| A5:2 r:2",
        ),
    ),
    parts=(
        Part(hold, PAD, -6.5, reverb_db=-9.0),
        Part(
            comp, MARIMBA, -4.0, {"": ("0213021302130213", "0213021303120312"), "B": ("0.2.1.3.0.2.1.32",)}, pan=-0.35
        ),
        Part(comp, ELECTRIC_PIANO, -6.5, {"": ("*..*....",), "B": ("*..*..*.",)}, pan=0.25),
        Part(walk, BASS, -5.0, {"": ("1..1..5.",), "B": ("1...1..n",)}, reverb_db=-24.0),
        Part(sweep, BRUSH, -17.0, {"": ("x.oox.oox.oox.oo",), "B": ("o.x.o.x.o.x.o.xo",)}, pan=0.4),
    ),
)

SCORES = {score.mood: score for score in (CALM, WARM, BRIGHT)}
