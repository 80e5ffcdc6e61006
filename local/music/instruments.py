"""The band: struck and plucked instruments as sums of decaying partials, a pad, a brush. All are mono, at 44.1 kHz.

Each instrument answers `sound(pitch, velocity, seconds, rng)` with float32 samples: the note and its release. Loudness
is the mix's business, so only the notes of one instrument have to agree with each other.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from local.music.harmony import frequency_hz

SAMPLE_RATE_HZ = 44_100
GRAIN_SAMPLES = 256
SHEET_GRAINS = 16
TOP_HZ = 9_000.0  # partials above are left out: no telephone carries them, and none can fold


class Instrument(Protocol):
    """Whatever can sound a note. The motions are played by the mix, in whole cycles of the loop."""

    tremolo_hz: float
    tremolo_depth: float  # of the level: a vibraphone's fans
    sway: float  # from side to side, at the same rate: a stage piano's stereo vibrato, unheard in mono

    def sound(self, pitch: int, velocity: float, seconds: float, rng: np.random.Generator) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class Partial:
    """One mode of a body: its frequency as a multiple of the note's, its level, its time to fall by 60 dB at C5."""

    ratio: float
    level: float
    t60_s: float


@dataclass(frozen=True, slots=True)
class Struck:
    """A string, bar or tine that is struck once and rings: modal synthesis.

    Every partial is a damped rotation, z^n, so any grain of it is the first grain times a power of z. The sum over the
    partials is then one small matrix product, coarse rotations × fine ones, and a note costs about a millisecond.
    """

    partials: tuple[Partial, ...]
    attack_ms: float
    release_ms: float
    chorus_cents: float = 0.0  # each partial is two, so far apart: they beat slowly, as real unisons do
    hardness: float = 0.5  # how much a soft touch takes from the upper partials
    tremolo_hz: float = 0.0
    tremolo_depth: float = 0.0
    sway: float = 0.0

    def sound(self, pitch: int, velocity: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
        """A note held for `seconds` and let go, `velocity` in 0–1."""
        note_hz = frequency_hz(pitch)
        modes = [mode for mode in self.partials if mode.ratio * note_hz < TOP_HZ]
        ratios = np.array([mode.ratio for mode in modes])
        levels = velocity * np.array([mode.level for mode in modes]) * velocity ** (self.hardness * np.log2(ratios))
        decays = np.log(1000.0) / np.array([mode.t60_s for mode in modes]) * np.sqrt(note_hz / 523.25)
        detune = 2.0 ** (self.chorus_cents / 2400.0)
        frequencies = note_hz * np.concatenate([ratios * detune, ratios / detune])
        levels = np.concatenate([0.8 * levels, 0.2 * levels])  # unequal: they beat by 4 dB and never reach silence
        died_away_s = 1.2 * np.log(1000.0) / decays.min()
        samples = round(min(seconds, died_away_s) * SAMPLE_RATE_HZ) + _samples(self.release_ms)
        tone = ring(frequencies, levels, np.concatenate([decays, decays]), samples)
        return _shape(tone, self.attack_ms, self.release_ms)


@dataclass(frozen=True, slots=True)
class Pad:
    """Strings of no particular orchestra: each note is harmonics with a little noise around them (after PADsynth).

    Nasca Octavian Paul's PADsynth draws a spectrum with random phases and transforms it once into a table that loops
    without a seam. Here each harmonic has a strong centre and a soft skirt, so that it shimmers but never drops out,
    and there are two tables: the air is swelled in and out over the body, which sounds as a filter slowly opening.
    """

    attack_ms: float = 320.0
    release_ms: float = 620.0
    air: float = 1.6
    tremolo_hz: float = 0.0
    tremolo_depth: float = 0.0
    sway: float = 0.0

    def sound(self, pitch: int, velocity: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
        body, air = _pad_tables(pitch)
        samples = round(seconds * SAMPLE_RATE_HZ) + _samples(self.release_ms)
        start = rng.integers(body.size)  # anywhere in the table, so that no two entries sound alike
        opening = self.air * np.sin(np.linspace(0.0, np.pi, samples, dtype=np.float32)) ** 2
        tone = np.resize(np.roll(body, -start), samples) + opening * np.resize(np.roll(air, -start), samples)
        return _shape(velocity * tone, self.attack_ms, self.release_ms)


@dataclass(frozen=True, slots=True)
class Brush:
    """A brush or shaker: a breath of noise about 3 kHz, so that a telephone lets much of it through."""

    rise_ms: float = 14.0
    t60_s: float = 0.14
    tremolo_hz: float = 0.0
    tremolo_depth: float = 0.0
    sway: float = 0.0

    def sound(self, pitch: int, velocity: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
        noise = _brush_noise()
        samples = _samples(1000.0 * self.t60_s)
        start = rng.integers(noise.size - samples)
        fall = np.exp(np.linspace(0.0, -np.log(1000.0), samples, dtype=np.float32))
        return velocity * _shape(noise[start : start + samples] * fall, self.rise_ms, 10.0)


def _samples(duration_ms: float) -> int:
    return round(duration_ms * SAMPLE_RATE_HZ / 1000.0)


def ring(frequencies_hz: np.ndarray, levels: np.ndarray, decays: np.ndarray, samples: int) -> np.ndarray:
    """Σ levels · e^(−decay·t) · sin(2πft) over `samples`, as a product of coarse and fine rotations.

    Multiplied sheet by sheet, each too small for a BLAS to share among threads: those would mostly wait for each other.
    """
    exponents = (2j * np.pi * frequencies_hz - decays) / SAMPLE_RATE_HZ
    sheets = -(-samples // (GRAIN_SAMPLES * SHEET_GRAINS))
    grains = sheets * SHEET_GRAINS
    coarse = -1j * levels * np.exp(np.outer(np.arange(grains) * GRAIN_SAMPLES, exponents))
    fine = np.exp(np.outer(exponents, np.arange(GRAIN_SAMPLES)))
    left = np.hstack([coarse.real, -coarse.imag]).astype(np.float32)
    right = np.vstack([fine.real, fine.imag]).astype(np.float32)
    return (left.reshape(sheets, SHEET_GRAINS, -1) @ right).reshape(-1)[:samples]


def _shape(tone: np.ndarray, attack_ms: float, release_ms: float) -> np.ndarray:
    """Raised-cosine ends, in place: a note may begin and stop anywhere without a click."""
    for duration_ms, end in ((attack_ms, slice(None)), (release_ms, slice(None, None, -1))):
        ramp = min(_samples(duration_ms), tone.size)
        tone[end][:ramp] *= 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, ramp, dtype=np.float32))
    return tone


@lru_cache(maxsize=64)
def _pad_tables(pitch: int) -> tuple[np.ndarray, np.ndarray]:
    """Body (harmonics 1 and 2, at an RMS of 1) and air (3 to 8) of one pitch, each 2^17 samples (3 s) that loop."""
    rng = np.random.default_rng(pitch)
    table_samples = 1 << 17
    tables = []
    for harmonics in (range(1, 3), range(3, 9)):
        spectrum = np.zeros(table_samples // 2 + 1, dtype=complex)
        for harmonic in harmonics:
            centre = frequency_hz(pitch) * harmonic * table_samples / SAMPLE_RATE_HZ
            width = centre * (2.0 ** (9.0 / 1200.0) - 1.0)  # nine cents, the spread of a small string section
            bins = np.arange(round(centre - 4 * width), round(centre + 4 * width) + 1)
            skirt = 0.45 * np.exp(-0.5 * ((bins - centre) / width) ** 2) / np.sqrt(width)
            skirt[bins == round(centre)] = 1.0
            spectrum[bins] += harmonic**-1.5 * skirt * np.exp(2j * np.pi * rng.random(bins.size))
        tables.append(np.fft.irfft(spectrum))
    loudness = np.sqrt(np.mean(tables[0] ** 2))
    return tuple((table / loudness).astype(np.float32) for table in tables)


@lru_cache(maxsize=1)
def _brush_noise() -> np.ndarray:
    """Two seconds of noise, shaped in the frequency domain."""
    samples = 2 * SAMPLE_RATE_HZ
    hz = np.fft.rfftfreq(samples, 1.0 / SAMPLE_RATE_HZ)
    colour = (hz / (hz + 1400.0)) ** 4 / (1.0 + (hz / 4200.0) ** 4)
    noise = np.fft.irfft(colour * np.fft.rfft(np.random.default_rng(0).standard_normal(samples)))
    return (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)


# -- the players' cases ------------------------------------------------------------------------------------------------

# A tine piano: a round body whose harmonics die one after another, and the tine's short metallic seventh.
ELECTRIC_PIANO = Struck(
    (
        Partial(1.0, 1.0, 4.2),
        Partial(2.0, 0.45, 2.8),
        Partial(3.0, 0.26, 1.8),
        Partial(4.0, 0.14, 1.2),
        Partial(5.0, 0.08, 0.9),
        Partial(7.13, 0.05, 0.16),
    ),
    attack_ms=5.0,
    release_ms=260.0,
    chorus_cents=5.0,
    tremolo_hz=3.6,
    sway=0.35,
)

# Bars tuned to 1 : 4 : 10, as vibraphone makers do, with the fans turning slowly.
VIBRAPHONE = Struck(
    (Partial(1.0, 1.0, 4.5), Partial(2.0, 0.16, 2.2), Partial(3.98, 0.24, 1.2), Partial(9.9, 0.03, 0.25)),
    attack_ms=4.0,
    release_ms=320.0,
    chorus_cents=3.0,
    tremolo_hz=4.8,
    tremolo_depth=0.22,
)

MARIMBA = Struck(
    (Partial(1.0, 1.0, 1.1), Partial(2.0, 0.14, 0.6), Partial(3.93, 0.42, 0.36), Partial(9.2, 0.06, 0.08)),
    attack_ms=2.5,
    release_ms=180.0,
    chorus_cents=2.0,
)

# A thumb piano: a clamped tongue's second mode lies at about 6.3 in theory and lower on real ones.
KALIMBA = Struck(
    (Partial(1.0, 1.0, 2.0), Partial(2.0, 0.34, 1.3), Partial(3.0, 0.16, 0.9), Partial(5.42, 0.14, 0.16)),
    attack_ms=2.5,
    release_ms=240.0,
    chorus_cents=4.0,
)

# A nylon string plucked at 0.28 of its length, which weakens what has a node near there: partials four and seven.
NYLON = Struck(
    tuple(
        Partial(k * (1.0 + 2e-5 * k * k), abs(np.sin(0.28 * np.pi * k)) / k**0.95, 3.0 / (1.0 + 0.3 * (k - 1)))
        for k in range(1, 11)
    ),
    attack_ms=3.0,
    release_ms=200.0,
    chorus_cents=1.5,
    hardness=0.8,
)

# A bass a telephone can play: its root is at 98 to 185 Hz, under the band, so most of it is in harmonics 2 to 6, from
# which the ear puts the missing fundamental together again.
BASS = Struck(
    tuple(
        Partial(k, level, 5.0 / (1.0 + 0.25 * (k - 1)))
        for k, level in enumerate((0.35, 0.8, 1.0, 0.8, 0.45, 0.25, 0.08, 0.06), start=1)
    ),
    attack_ms=9.0,
    release_ms=140.0,
    chorus_cents=1.5,
    hardness=0.7,
)

PAD = Pad()
BRUSH = Brush()
