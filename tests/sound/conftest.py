"""What a caller hears, made of real material: the moods as MP3s, a neural voice, and the whole way through µ-law.

`make test-sound` runs these, with packages of its own; `make test` does not, and nothing here is collected.
"""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from duckline.sound.speech import Ready, make_ready
from local import music
from local.music.encoding import encode
from tests.sound.material import SENTENCES, Bed, Call, make, place_call

collect_ignore_glob = [] if os.environ.get("DUCKLINE_SOUND") else ["test_*.py"]

_MEASURED: dict[str, list[str]] = {}


@pytest.fixture(scope="session")
def measured() -> Callable[[str, str], None]:
    """Notes what came out of a measurement, for the table beneath the tests."""

    def measured(what: str, outcome: str) -> None:
        _MEASURED.setdefault(what, []).append(outcome)

    return measured


def pytest_terminal_summary(terminalreporter):
    if _MEASURED:
        terminalreporter.section("measured")
    for what, outcomes in _MEASURED.items():
        terminalreporter.write_line(f"{what:<44} {' · '.join(outcomes)}")


@pytest.fixture(scope="session")
def song(tmp_path_factory) -> Callable[[str], Path]:
    """A mood as an MP3."""
    folder = tmp_path_factory.mktemp("songs")

    @cache
    def song(mood: str) -> Path:
        path = folder / f"{mood}.mp3"
        music.write_encoded(mood, path)
        return path

    return song


@pytest.fixture(scope="session")
def bed(song, tmp_path_factory) -> Callable[[str], Bed]:
    """The bed of a mood, or of hard music: white noise, or chords that swell and fall by 20 dB every ten seconds."""
    folder = tmp_path_factory.mktemp("hard")

    def hard(name: str) -> Path:
        rate_hz = music.SAMPLE_RATE_HZ
        at = np.arange(40 * rate_hz) / rate_hz
        rng = np.random.default_rng(7)
        if name == "noise":
            sound = rng.normal(0, 0.1, len(at))
        else:
            partials_hz = (220, 277.2, 330, 440, 554.4, 660, 1320, 1980)
            chord = sum(np.sin(2 * np.pi * hz * at + rng.uniform(0, 6)) for hz in partials_hz)
            sound = 0.05 * chord * 10 ** (np.cos(2 * np.pi * at / 10) * 10 / 20)
        path = folder / f"{name}.mp3"
        encode(np.stack([sound, sound], axis=1).astype(np.float32), path)
        return path

    @cache
    def bed(name: str) -> Bed:
        return make(name, song(name) if name in music.MOODS else hard(name))

    return bed


@pytest.fixture(scope="session")
def voices() -> list[Ready]:
    """The sentences, spoken by Piper and made ready."""
    from render.engines.piper import PiperEngine

    engine = PiperEngine()
    return [make_ready(*engine.synthesise(sentence)) for sentence in SENTENCES]


@pytest.fixture(scope="session")
def call(bed, voices) -> Callable[[str], Call]:
    """A call over the bed of that name in which every sentence is spoken."""

    @cache
    def call(name: str) -> Call:
        return place_call(bed(name), voices)

    return call
