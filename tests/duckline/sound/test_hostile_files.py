"""Files that would take render down with them: each is refused within two seconds, and in little memory."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

WITHIN_S = 2.0
MOST_MB = 120  # numpy, soxr and pydub alone are 60

# A process of its own, so that its memory is that of this one refusal; the seconds are those of the processor that it
# and its ffmpeg used, which a busy machine does not prolong.
REFUSE = """
import json, resource, sys
from pathlib import Path
from duckline.errors import DucklineError
from duckline.sound.bedmaking import make_bed

def used():
    return [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]

def seconds(usage):
    return sum(u.ru_utime + u.ru_stime for u in usage)

before = seconds(used())
written = []
try:
    make_bed([Path(sys.argv[1])], lambda key, body: written.append(key))
    reason = ""
except DucklineError as error:
    reason = str(error)
# Not ru_maxrss, in which the memory of the process that started this one lives on.
[peak] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(json.dumps({
    "reason": reason, "seconds": seconds(used()) - before, "mb": int(peak.split()[1]) / 1024, "written": written
}))
"""


def wav_of(seconds: float, path: Path, held_bytes: int | None = None) -> Path:
    """A WAV that says it lasts so long; its sound is a hole in the file, or `held_bytes` of one."""
    data_bytes = int(seconds * 16_000)
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 36 + data_bytes) + b"WAVEfmt ")
        file.write(struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16_000, 2, 16) + b"data" + struct.pack("<I", data_bytes))
        file.truncate(44 + (data_bytes if held_bytes is None else held_bytes))
    return path


@pytest.fixture(scope="module")
def hostile(encode, music, run_ffmpeg, tmp_path_factory):
    """By name: how to make the file, and what is said of it."""
    folder = tmp_path_factory.mktemp("hostile")
    silence = ["-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono"]
    key = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "0f" * 16, "-encryption_kid", "0e" * 16]
    film = ["-f", "lavfi", "-i", "testsrc=s=64x64:d=2"]

    def written(name: str, body: bytes) -> Path:
        (folder / name).write_bytes(body)
        return folder / name

    def by_ffmpeg(name: str, *arguments: str | Path) -> Path:
        run_ffmpeg(*arguments, folder / name)
        return folder / name

    def half(name: str) -> Path:
        whole = encode(name, np.tile(music, (3, 1))).read_bytes()
        return written(f"half-{name}", whole[: len(whole) // 2])

    return {
        "nothing": (lambda: written("nothing.mp3", b""), "is empty"),
        "no sound": (lambda: written("noise.mp3", np.random.default_rng(1).bytes(5_000_000)), "none of MP3"),
        "junk after a sync": (
            lambda: written("junk.mp3", SYNC + np.random.default_rng(4).bytes(5_000_000)),
            "this MP3",
        ),
        "ten hours": (lambda: wav_of(36_000, folder / "long.wav"), "lasts 36000 s or more"),
        "ten hours that are not there": (lambda: wav_of(36_000, folder / "liar.wav", 100_000), "send it whole"),
        "a bomb": (lambda: by_ffmpeg("bomb.flac", *silence, "-t", "9000"), "send at most 4500 s"),
        "half an MP3": (lambda: half("song.mp3"), "send it whole"),
        "half a FLAC": (lambda: half("song.flac"), "send it whole"),
        "half an OGG": (lambda: half("song.ogg"), "send it whole"),
        "half an M4A": (lambda: half("song.m4a"), "damaged or cut short: send it whole"),
        "protected": (
            lambda: by_ffmpeg("p.m4a", "-i", encode("s.wav", music), "-c:a", "aac", *key, "-f", "mp4"),
            "DRM",
        ),
        "a film": (lambda: by_ffmpeg("film.mp4", *film, "-i", encode("s.wav", music), "-shortest"), "holds video"),
    }


SYNC = b"\xff\xfb\x90\x64"
NAMES = [
    "nothing",
    "no sound",
    "junk after a sync",
    "ten hours",
    "ten hours that are not there",
    "a bomb",
    "half an MP3",
    "half a FLAC",
    "half an OGG",
    "half an M4A",
    "protected",
    "a film",
]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_refused_with_its_reason_soon_and_in_little_memory(hostile, name):
    make, said = hostile[name]
    path = make()
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", REFUSE, path], capture_output=True, check=True, env=environ)
    told = json.loads(done.stdout)
    assert said in told["reason"]
    assert told["written"] == []
    assert told["seconds"] < WITHIN_S
    assert told["mb"] < MOST_MB
