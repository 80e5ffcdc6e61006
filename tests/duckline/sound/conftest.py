"""Real material: music made with numpy and encoded by ffmpeg into the files that people have."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

RATE_HZ = 44_100
CHORDS_HZ = ((220.0, 277.2, 329.6, 440.0), (196.0, 246.9, 293.7, 392.0), (174.6, 261.6, 349.2, 523.3))


def music_of(seconds: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    """A chord progression with a plucked bass and a shaker, float32 of shape (samples, 2)."""
    rng = np.random.default_rng(5)
    music = np.zeros((round(seconds * rate_hz) + 3 * rate_hz, 2), np.float32)
    note_s = np.arange(3 * rate_hz) / rate_hz
    swell = 0.05 * np.minimum(note_s / 0.3, 1) * np.exp(-note_s / 1.5) * np.minimum((3 - note_s) / 0.3, 1)
    pluck = 0.12 * np.exp(-note_s / 0.4) * np.minimum(note_s / 0.01, 1)

    def side(chord: tuple[float, ...], detuned: float) -> np.ndarray:
        return swell * sum(
            np.sin(2 * np.pi * frequency * detuned * partial * note_s + number) / partial**1.5
            for number, frequency in enumerate(chord)
            for partial in (1, 2, 3, 5)
        )

    chords = [np.stack((side(chord, 1.0), side(chord, 1.0007)), axis=1) for chord in CHORDS_HZ]
    basses = [(np.sin(np.pi * chord[0] * note_s) * pluck)[:, None] for chord in CHORDS_HZ]
    for beat in range(int(seconds * 2)):
        first = beat * rate_hz // 2
        shaker = 0.04 * rng.normal(size=rate_hz // 20) * np.exp(-np.arange(rate_hz // 20) / (rate_hz / 100))
        music[first : first + len(shaker)] += shaker[:, None]
        music[first : first + len(note_s)] += basses[beat // 4 % len(basses)]
        if beat % 4 == 0:
            music[first : first + len(note_s)] += chords[beat // 4 % len(chords)]
    return music[: round(seconds * rate_hz)]


@pytest.fixture(scope="session")
def music() -> np.ndarray:
    """Twelve seconds at 44.1 kHz in stereo."""
    return music_of(12)


Encode = Callable[..., Path]


@pytest.fixture(scope="session")
def run_ffmpeg() -> Callable[..., None]:
    def run_ffmpeg(*arguments: str | Path, pcm: bytes | None = None) -> None:
        subprocess.run([get_ffmpeg_exe(), "-v", "error", "-y", *arguments], input=pcm, check=True)

    return run_ffmpeg


@pytest.fixture(scope="session")
def encode(tmp_path_factory: pytest.TempPathFactory, run_ffmpeg: Callable[..., None]) -> Encode:
    """Writes floats of shape (samples, channels) as the file `name`, in the format of its ending."""
    folder = tmp_path_factory.mktemp("sounds")

    def encode(name: str, pcm: np.ndarray, *arguments: str, rate_hz: int = RATE_HZ) -> Path:
        table = (pcm if pcm.ndim == 2 else pcm[:, None]).astype("<f4")
        source = ["-f", "f32le", "-ar", str(rate_hz), "-ac", str(table.shape[1]), "-i", "-"]
        run_ffmpeg(*source, *arguments, "-bitexact", folder / name, pcm=table.tobytes())
        return folder / name

    return encode
