"""A song made a bed, beside ffmpeg, which decodes and resamples the same and does no more; and an hour's memory."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

from benchmarks.report import Report, Row
from benchmarks.timing import side_by_side
from duckline.sound.bedmaking import make_bed
from local import music

TITLE = "A bed made of a song"
SONG_S, HOUR_S = 180, 3600
MOST_OF_FFMPEG = 1.2
MOST_MB = 512
ROUNDS = 7
MOOD = "calm"

# In a process of its own, with all that render is made of loaded: what Lambda would call its memory, ffmpeg's included.
_AN_HOUR = """
import json, resource, sys
from pathlib import Path
import boto3
from duckline.sound.bedmaking import make_bed
from render.studio import Studio
boto3.client("s3", region_name="eu-central-1"), boto3.client("dynamodb", region_name="eu-central-1")
playlist = make_bed([Path(sys.argv[1])], lambda key, body: None)
[peak] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
kilobytes = int(peak.split()[1]) + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"seconds": playlist.seconds, "mb": kilobytes / 1024}))
"""


def run(report: Report) -> None:
    with tempfile.TemporaryDirectory() as folder:
        loop = Path(folder) / "loop.mp3"
        music.write_encoded(MOOD, loop)
        song, hour = (_repeated(loop, seconds) for seconds in (SONG_S, HOUR_S))
        ms = side_by_side({"ours": lambda: make_bed([song], lambda key, body: None), "ffmpeg": _ffmpeg(song)}, ROUNDS)
        against = "ffmpeg, decoding and resampling"
        report.add(Row("three minutes of MP3", ms["ours"], ms["ffmpeg"], "ms", bound=MOST_OF_FFMPEG, against=against))
        began = time.perf_counter()
        told = json.loads(
            subprocess.run([sys.executable, "-c", _AN_HOUR, hour], capture_output=True, check=True).stdout
        )
        taken_s = time.perf_counter() - began
        note = f"{told['seconds']:.0f} s of music in {taken_s:.0f} s; the process and ffmpeg at their largest, together"
        report.add(Row("memory for an hour of music", told["mb"], None, "MB", bound=MOST_MB, note=note))


def _repeated(loop: Path, seconds: int) -> Path:
    path = loop.with_name(f"{seconds}.mp3")
    command = [get_ffmpeg_exe(), "-v", "error", "-nostdin", "-stream_loop", "-1", "-i", loop, "-t", str(seconds)]
    subprocess.run([*command, "-c:a", "copy", path], check=True)
    return path


def _ffmpeg(song: Path):
    command = [get_ffmpeg_exe(), "-v", "error", "-nostdin", "-i", song, "-ac", "1", "-ar", "8000", "-f", "s16le", "-"]
    return lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
