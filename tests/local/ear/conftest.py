"""Music, voices and telephone lines to listen to, all made here from a seed."""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import espeakng_loader
import numpy as np
import pytest
import soxr

from duckline.sound import mulaw
from duckline.sound.band import band_pass, filtered
from duckline.sound.loudness import active_level_dbov, band_rms_dbov

RATE_HZ = 8000
BED_DBOV, SPEECH_DBOV, DEPTH_DB = -28.0, -22.0, -14.0
DOWN_S, UP_S = 0.12, 0.6


def levelled(sound: np.ndarray, dbov: float, measured: float) -> np.ndarray:
    return sound * 10 ** ((dbov - measured) / 20)


def telephone(sound: np.ndarray) -> np.ndarray:
    return np.concatenate(list(filtered([sound], band_pass(200, 3400))))


def through_mulaw(sound: np.ndarray) -> np.ndarray:
    return mulaw.decode(mulaw.encode(np.asarray(sound, np.float32))).astype(np.float64)


def tonal(seed: int, seconds: int) -> np.ndarray:
    """Held chords that change every second or two, with a melody above them and a slow swell."""
    rng = np.random.default_rng(seed)
    n = seconds * RATE_HZ
    t = np.arange(n) / RATE_HZ
    sound = np.zeros(n)
    at = 0.0
    while at < seconds:
        length = rng.choice([1.0, 1.5, 2.0])
        root = 220 * 2 ** (rng.integers(0, 12) / 12)
        envelope = np.clip(np.minimum((t - at) / 0.08, (at + length + 0.3 - t) / 0.4), 0, 1)
        for interval in (0, rng.choice([3, 4]), 7, rng.choice([10, 11, 12])):
            pitch = root * 2 ** (interval / 12)
            for harmonic in range(1, 6):
                sound += envelope * np.sin(2 * np.pi * harmonic * pitch * t + rng.uniform(0, 6)) / harmonic**1.5
        at += length
    for beat in np.arange(0, seconds, 0.5):
        pitch = 440 * 2 ** (rng.integers(0, 13) / 12)
        since = np.clip(t - beat, 0, None)
        sound += 1.5 * (t >= beat) * np.sin(2 * np.pi * pitch * t) * np.exp(-since * 5)
    return sound * (1 + 0.3 * np.sin(2 * np.pi * 0.11 * t))


def percussive(seed: int, seconds: int) -> np.ndarray:
    """Drums with real rests between the strokes, over a plucked bass."""
    rng = np.random.default_rng(seed)
    n = seconds * RATE_HZ
    sound = np.zeros(n)
    for step in np.arange(0, seconds - 0.5, 0.125):
        at, length = int(step * RATE_HZ), 3200
        decay = np.exp(-np.arange(length) / rng.uniform(150, 700))
        stroke = rng.random()
        if stroke < 0.35:
            sound[at : at + length] += rng.uniform(0.3, 1) * rng.normal(size=length) * decay
        elif stroke < 0.6:
            pitch = rng.uniform(200, 900)
            sound[at : at + length] += 2 * np.sin(2 * np.pi * pitch * np.arange(length) / RATE_HZ) * decay
    return sound


def rushing(seed: int, seconds: int) -> np.ndarray:
    """Noise that never repeats, as of rain."""
    return np.random.default_rng(seed).normal(size=seconds * RATE_HZ)


MUSIC: Mapping[str, Callable[[int, int], np.ndarray]] = {"tonal": tonal, "percussive": percussive, "rushing": rushing}


def make_bed(kind: str, seed: int = 1, seconds: int = 24) -> np.ndarray:
    raw = telephone(MUSIC[kind](seed, seconds))
    return through_mulaw(levelled(raw, BED_DBOV, band_rms_dbov(raw)))


class Espeak:
    """Real speech, at 8 kHz, from eSpeak NG."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.rate_hz = self.library.espeak_Initialize(2, 0, data, 0)  # 2: synchronous, samples to the call-back
        self.pieces: list[np.ndarray] = []
        callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self.callback = callback(self._receive)
        self.library.espeak_SetSynthCallback(self.callback)

    def _receive(self, samples, count: int, _events) -> int:
        if count > 0:
            self.pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str) -> np.ndarray:
        self.pieces.clear()
        content = text.encode()
        self.library.espeak_Synth(content, len(content) + 1, 0, 1, 0, 1, None, None)
        self.library.espeak_Synchronize()
        raw = soxr.resample(np.concatenate(self.pieces) / 32768.0, self.rate_hz, RATE_HZ)
        loud = np.flatnonzero(np.abs(raw) > 0.01 * np.abs(raw).max())
        raw = telephone(raw[loud[0] : loud[-1] + 1])
        return levelled(raw, SPEECH_DBOV, active_level_dbov(raw).level_dbov)


SENTENCES = {
    "greeting": "Thank you for calling. Your call is important to us.",
    "place": "You are number three in the queue.",
    "offer": "If you would like us to call you back, please press one now.",
}


@dataclass
class Call:
    """What one caller hears, before any line: the bed with speeches laid over it at `starts_s`."""

    bed: np.ndarray
    speeches: Mapping[str, np.ndarray]
    starts_s: Mapping[str, float]
    seconds: float = 20.0
    origin: int = 12345
    depth_db: float = DEPTH_DB
    faults: Sequence[Callable[[np.ndarray], np.ndarray]] = field(default_factory=tuple)

    def gain(self) -> np.ndarray:
        n = int(self.seconds * RATE_HZ)
        t = np.arange(n) / RATE_HZ
        depth = 10 ** (self.depth_db / 20)
        gain = np.ones(n)
        for name, start in self.starts_s.items():
            end = start + len(self.speeches[name]) / RATE_HZ
            down = np.clip((t - (start - DOWN_S)) / DOWN_S, 0, 1)
            up = np.clip((t - end) / UP_S, 0, 1)
            ease = (0.5 - 0.5 * np.cos(np.pi * down)) * (0.5 + 0.5 * np.cos(np.pi * up))
            gain = np.minimum(gain, 1 + (depth - 1) * ease)
        return gain

    def sound(self) -> np.ndarray:
        gain = self.gain()
        mixed = self.bed[(self.origin + np.arange(len(gain))) % len(self.bed)] * gain
        for name, start in self.starts_s.items():
            at = round(start * RATE_HZ)
            mixed[at : at + len(self.speeches[name])] += self.speeches[name][: len(mixed) - at]
        return through_mulaw(mixed)


def phone_line(sound: np.ndarray, gain_db: float = -6.0, delay_s: float = 0.7137, seed: int = 0) -> np.ndarray:
    """What a line and a recorder do: noise before the sound, another level, 44.1 kHz and back, µ-law once more."""
    noise = np.random.default_rng(seed).normal(scale=10**-3.6, size=round(delay_s * RATE_HZ))
    sent = through_mulaw(np.concatenate((noise, sound * 10 ** (gain_db / 20))))
    fast = soxr.resample(sent, RATE_HZ, 44100)
    return through_mulaw(soxr.resample(fast[7:], 44100, RATE_HZ))


@pytest.fixture(scope="session")
def speeches() -> dict[str, np.ndarray]:
    espeak = Espeak()
    return {name: espeak.say(text) for name, text in SENTENCES.items()}
