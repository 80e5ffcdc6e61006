"""Music, voices and telephone lines to listen to, all made here from a seed."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soxr

from duckline.sound import mulaw
from duckline.sound.band import band_pass, filtered
from duckline.sound.loudness import band_rms_dbov

RATE_HZ = 8000
BED_SECONDS = 20
BED_DBOV, DEPTH_DB = -28.0, -14.0
DOWN_S, UP_S = 0.12, 0.6
ORIGIN = 71_234
SENTENCES = {
    "greeting": "Thank you for calling. Your order has left the warehouse.",
    "place": "You are number three in the queue.",
    "offer": "If you would like us to call you back, please press one now.",
}
STARTS_S = {"greeting": 2.0, "place": 6.7, "offer": 9.3}
SECONDS = 14.0


def through_mulaw(sound: np.ndarray) -> np.ndarray:
    return mulaw.decode(mulaw.encode(np.asarray(sound, np.float32))).astype(np.float64)


def tonal(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Held chords that change every second or two, a melody above them, and a slow swell."""
    sound = np.zeros(len(t))
    at = 0.0
    while at < t[-1]:
        length, root = rng.choice([1.0, 1.5, 2.0]), 220 * 2 ** (rng.integers(0, 12) / 12)
        envelope = np.clip(np.minimum((t - at) / 0.08, (at + length + 0.3 - t) / 0.4), 0, 1)
        for interval in (0, rng.choice([3, 4]), 7, rng.choice([10, 11, 12])):
            pitch = root * 2 ** (interval / 12)
            for harmonic in range(1, 6):
                sound += envelope * np.sin(2 * np.pi * harmonic * pitch * t + rng.uniform(0, 6)) / harmonic**1.5
        at += length
    for beat in np.arange(0, t[-1], 0.5):
        pitch = 440 * 2 ** (rng.integers(0, 13) / 12)
        sound += 1.5 * (t >= beat) * np.sin(2 * np.pi * pitch * t) * np.exp(-np.clip(t - beat, 0, None) * 5)
    return sound * (1 + 0.3 * np.sin(2 * np.pi * 0.1 * t))


def percussive(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Drums and a plucked bass, with real rests between the strokes."""
    sound = np.zeros(len(t))
    for step in np.arange(0, t[-1] - 0.5, 0.125):
        at, length = int(step * RATE_HZ), 3200
        decay = np.exp(-np.arange(length) / rng.uniform(150, 700))
        stroke = rng.random()
        if stroke < 0.35:
            sound[at : at + length] += rng.uniform(0.3, 1) * rng.normal(size=length) * decay
        elif stroke < 0.6:
            sound[at : at + length] += 2 * np.sin(rng.uniform(0.15, 0.7) * np.arange(length)) * decay
    return sound


def rushing(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Noise, as of rain."""
    return rng.normal(size=len(t))


def barred(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """One bar over and over, but for where the bed begins anew: its length is no whole number of bars."""
    return np.resize(tonal(rng, t[:13_600]), len(t))


def sustained(_rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """A chord of sines held for ever, with a tremolo: like itself every 18 ms, and the same every quarter second."""
    chord = sum(np.sin(2 * np.pi * pitch_hz * t) for pitch_hz in (220, 275, 330, 440, 660))
    return chord * (1 + 0.3 * np.sin(2 * np.pi * 4 * t))


MUSIC = {"tonal": tonal, "percussive": percussive, "rushing": rushing, "barred": barred, "sustained": sustained}


@cache
def make_bed(kind: str, seed: int) -> np.ndarray:
    music = MUSIC[kind]
    raw = music(np.random.default_rng(seed), np.arange(BED_SECONDS * RATE_HZ) / RATE_HZ)
    banded = np.concatenate(list(filtered([raw], band_pass(200, 3400))))
    return through_mulaw(banded * 10 ** ((BED_DBOV - band_rms_dbov(banded)) / 20))


@dataclass
class Call:
    """What one caller hears before any line: a bed, with speeches laid over it where `starts_s` has them."""

    bed: np.ndarray
    speeches: Mapping[str, np.ndarray]
    starts_s: Mapping[str, float]
    depth_db: float = DEPTH_DB
    down_s: float = DOWN_S
    up_s: float = UP_S
    seconds: float = SECONDS

    def gain(self) -> np.ndarray:
        t = np.arange(int(self.seconds * RATE_HZ)) / RATE_HZ
        gain = np.ones(len(t))
        for name, start in self.starts_s.items():
            end = start + len(self.speeches[name]) / RATE_HZ
            down = np.clip((t - (start - self.down_s)) / self.down_s, 0, 1)
            up = np.clip((t - end) / self.up_s, 0, 1)
            ease = (0.5 - 0.5 * np.cos(np.pi * down)) * (0.5 + 0.5 * np.cos(np.pi * up))
            gain = np.minimum(gain, 1 + (10 ** (self.depth_db / 20) - 1) * ease)
        return gain

    def music(self) -> np.ndarray:
        gain = self.gain()
        return gain * self.bed[(ORIGIN + np.arange(len(gain))) % len(self.bed)]

    def sound(self) -> np.ndarray:
        mixed = self.music()
        for name, start in self.starts_s.items():
            at = round(start * RATE_HZ)
            mixed[at : at + len(self.speeches[name])] += self.speeches[name]
        return through_mulaw(mixed)


@pytest.fixture(scope="session")
def takes(tmp_path_factory) -> Sequence[Mapping[str, np.ndarray]]:
    """The sentences, spoken twice. No two takes are alike: the second bursts into "press" like a click."""
    file = tmp_path_factory.mktemp("takes") / "takes.npz"
    sentences = [f"{name}={text}" for name, text in SENTENCES.items()]
    speaker = [sys.executable, str(Path(__file__).with_name("speaker.py")), str(file), *sentences]
    subprocess.run(speaker, check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    with np.load(file) as spoken:
        return [{name: spoken[f"{name} {take}"] for name in SENTENCES} for take in range(len(spoken) // len(SENTENCES))]


@pytest.fixture(scope="session")
def speeches(takes) -> Mapping[str, np.ndarray]:
    return takes[0]


@pytest.fixture(scope="session")
def beds() -> Callable[[str, int], np.ndarray]:
    return make_bed


@pytest.fixture(scope="session")
def make_call(speeches) -> Callable[..., Call]:
    def make(kind: str = "tonal", seed: int = 1, **changes) -> Call:
        return Call(make_bed(kind, seed), **{"speeches": speeches, "starts_s": STARTS_S} | changes)

    return make


@pytest.fixture(scope="session")
def phone_line() -> Callable[..., np.ndarray]:
    """What a line and a recorder do: noise before the sound, another level, 44.1 kHz and back, µ-law once more."""

    def carry(sound: np.ndarray, gain_db: float = -6.0, delay_s: float = 0.7137) -> np.ndarray:
        noise = np.random.default_rng(0).normal(scale=10**-3.6, size=round(delay_s * RATE_HZ))
        sent = through_mulaw(np.concatenate((noise, sound * 10 ** (gain_db / 20))))
        fast = soxr.resample(sent, RATE_HZ, 44_100)
        return through_mulaw(soxr.resample(fast[7:], 44_100, RATE_HZ))

    return carry


@pytest.fixture(params=["direct", "phone"])
def line(request, phone_line) -> Callable[[np.ndarray], np.ndarray]:
    """A recording of the sound itself, and one from the far end of a line."""
    return phone_line if request.param == "phone" else lambda sound: sound
