"""How many streams this machine carries at once until one is late by more than 20 ms, beside ffmpeg.

Here the streams live in one process for each core, as they would in a container: the stream's own code on stores in
memory, one thread a call, and the project's render that speaks into every call all ten seconds. Beside it one ffmpeg a
caller, which loops the same bed and ducks it under the same speech by `sidechaincompress`, paced by `-readrate`. Both
send µ-law at 8 kHz, both run a second ahead of the ear.

`python -m benchmarks.crowd COUNT SECONDS` is one such process of ours; it prints how late its latest stream was.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from benchmarks.report import Report, Row
from duckline.bed import Playlist, Segment
from duckline.berth import Manner
from duckline.call import BedSpan, Call
from duckline.clock import Background, SystemClock
from duckline.delivery import Delivery
from duckline.envelope import Ducking
from duckline.records import SpeechRecord
from duckline.sound import mulaw
from duckline.stores.memory import MemoryCalls, MemorySounds, MemorySpeeches
from duckline.timeline import FRAME_BYTES, FRAME_MS, SAMPLE_RATE_HZ, SEGMENT_FRAMES
from duckline.wav import pcm16_header
from local.function_process import PROJECT
from render.speaking import Speaking
from render.studio import Studio
from stream.books import Books
from stream.playing import Playing, Services
from stream.sources import Sources

TITLE = "Streams at once on this machine until one is 20 ms late"
LATE_MS = 20.0
LEAD_MS = 1000.0
SPEECH_S, SPEECH_EVERY_S = 3.0, 10.0
BED_S = 60
LASTS_S = 7.0
SETTLES_S = 2.0  # a process's own start is not what is measured
OURS = (32, 128, 256, 512, 768, 1024, 1536, 2048)
THEIRS = (16, 64, 128, 192, 256, 384)  # each takes some 30 MB: more do not fit beside each other everywhere


def run(report: Report) -> None:
    carried = asyncio.run(_run())
    ours, theirs = carried["duckline"], carried["ffmpeg"]
    row = Row(
        "what one stream takes of this machine",
        100 / ours if ours else None,
        100 / theirs if theirs else None,
        "%",
        note=f"{ours} streams at once, {theirs} by ffmpeg, each spoken into every ten seconds",
        against="ffmpeg",
    )
    report.add(row)
    report.extra["crowd"] = carried
    for name, ladder in (("duckline", OURS), ("ffmpeg", THEIRS)):
        is_open = carried[name] == ladder[-1]
        report.remark(f"{name}: {', '.join(map(str, ladder))} were tried{', and none was late' if is_open else ''}")
    report.remark(f"all on {os.cpu_count()} cores; the figure is the last number in time")
    if not shutil.which("liquidsoap"):
        report.remark("liquidsoap is not installed here (Debian has it), and is not compared")


async def _run() -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        bed, speech = _files(Path(folder))
        return {
            "duckline": await most(OURS, ours_late_ms),
            "ffmpeg": await most(THEIRS, lambda count: ffmpeg_late_ms(count, bed, speech)),
        }


async def most(counts: tuple[int, ...], late_ms: Callable[[int], Awaitable[float]]) -> int:
    """The largest of `counts`, going up, at which no stream was late; tried twice before it counts as late."""
    carried = 0
    for count in counts:
        if await late_ms(count) > LATE_MS and await late_ms(count) > LATE_MS:
            break
        carried = count
    return carried


# -- ours ------------------------------------------------------------------------------------------------


async def ours_late_ms(count: int) -> float:
    """How late the latest of `count` streams was, spread over a process for each core."""
    cores = os.cpu_count() or 1
    shares = [count // cores + (1 if core < count % cores else 0) for core in range(cores)]
    path = os.pathsep.join(str(PROJECT / folder) for folder in ("layers/audio", "functions", "."))
    command = [sys.executable, "-m", "benchmarks.crowd"]
    processes = [
        await asyncio.create_subprocess_exec(
            *command, str(share), str(LASTS_S), stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
        )
        for share in shares
        if share
    ]
    said = [(await process.communicate())[0] for process in processes]
    return max(float(line) for line in said)


class Noise:
    """Says the same three seconds of noise at once: what a synthesiser costs is not the point here."""

    name = "noise"

    def check_voice(self, voice: str | None) -> str:
        return voice or "noise"

    def synthesise(self, text: str, *, voice: str | None = None, ssml: bool = False) -> tuple[np.ndarray, int]:
        noise = np.random.default_rng(1).standard_normal(int(SPEECH_S * SAMPLE_RATE_HZ))
        return (0.1 * noise).astype(np.float32), SAMPLE_RATE_HZ


class Nobody:
    """A queue and a bus that nobody reads."""

    def send(self, message: dict, delay_s: int = 0) -> None:
        pass

    def publish(self, events: list) -> None:
        pass


class House:
    """Many calls in one process."""

    def __init__(self) -> None:
        self.calls, self.speeches, self.sounds = MemoryCalls(), MemorySpeeches(), MemorySounds()
        self.clock, self.background = SystemClock(), Background(self.log, threads=16)
        self.faults: list[str] = []
        self.late_ms: list[float] = []
        noise = (0.04 * np.random.default_rng(2).standard_normal(BED_S * SAMPLE_RATE_HZ)).astype(np.float32)
        body, size = mulaw.encode(noise), SEGMENT_FRAMES * FRAME_BYTES
        count = len(body) // size
        segments = tuple(Segment(f"beds/noise/{n:05d}.ulaw", SEGMENT_FRAMES, "") for n in range(count))
        for number, segment in enumerate(segments):
            self.sounds.put(segment.key, body[number * size : (number + 1) * size])
        playlist = Playlist("noise", count * SEGMENT_FRAMES, -28.0, SEGMENT_FRAMES, segments)
        self.sounds.put("beds/noise/playlist.json", playlist.to_json().encode())
        self.speaking = Speaking(
            calls=self.calls,
            speeches=self.speeches,
            studio=Studio(self.sounds, Noise(), Ducking()),
            work=Nobody(),
            events=Nobody(),
            clock=self.clock,
            background=self.background,
            manner=Manner(),
        )

    def log(self, message: str, **fields: object) -> None:
        self.faults.append(f"{message} {fields}")

    def stream(self, sid: str, seconds: float) -> None:
        """One call: its window, and how late its latest chunk was for a caller with a second of lead."""
        now_ms = self.clock.now_ms()
        span = BedSpan(0, "noise", "noise")
        self.calls.create(Call(sid, (span,), started_at_ms=now_ms, opening_at_ms=now_ms, window_until=42_000))
        sources = Sources(self.sounds, self.clock, self.background, lambda first, count: b"\xff" * count * FRAME_BYTES)

        def books() -> Books:
            return Books(self.speeches, Nobody(), Nobody(), self.background)

        services = Services(self.calls, books, sources, self.clock, self.background, self.log)
        playing = Playing(services, Delivery("stream", 840), lead_ms=LEAD_MS)
        playing.open(sid, 1, "holder", longest_ms=880_000)
        began_ms, sent_frames, latest_ms = self.clock.monotonic_ms(), 0, 0.0
        for chunk in playing.audio():
            now_ms = self.clock.monotonic_ms()
            if now_ms > began_ms + SETTLES_S * 1000:
                latest_ms = max(latest_ms, now_ms - (began_ms + sent_frames * FRAME_MS))
            sent_frames += len(chunk) // FRAME_BYTES
            if now_ms > began_ms + seconds * 1000:
                break
        self.late_ms.append(latest_ms)

    def talk(self, sids: list[str], until: float) -> None:
        """Speaks into one call after the other, so that each is spoken into every ten seconds."""
        turn = 0
        while time.monotonic() < until:
            sid = sids[turn % len(sids)]
            if self.calls.get(sid) is not None:
                self.speaking.accept(SpeechRecord(sid, f"sp_{turn}", "same", text="The same words."))
            turn += 1
            time.sleep(SPEECH_EVERY_S / len(sids))


def serve(count: int, seconds: float) -> float:
    house = House()
    sids = [f"CA{number:032x}" for number in range(count)]
    streams = [threading.Thread(target=house.stream, args=(sid, seconds)) for sid in sids]
    for stream in streams:
        stream.start()
        time.sleep(0.26 / count)  # callers do not call in step
    house.talk(sids, time.monotonic() + seconds - 1)
    for stream in streams:
        stream.join()
    if len(house.late_ms) < count:
        raise SystemExit(f"{count - len(house.late_ms)} streams failed: {house.faults[:3]}")
    # A speech that was left out or could not be sealed in time is as bad as a chunk that came late.
    return float("inf") if house.faults else max(house.late_ms)


# -- ffmpeg ----------------------------------------------------------------------------------------------


def _files(folder: Path) -> tuple[Path, Path]:
    """The bed and the speech as WAV files of 8 kHz; the speech is followed by silence up to ten seconds."""
    rng = np.random.default_rng(2)
    bed = 0.04 * rng.standard_normal(BED_S * SAMPLE_RATE_HZ)
    speech = np.zeros(int(SPEECH_EVERY_S * SAMPLE_RATE_HZ))
    speech[: int(SPEECH_S * SAMPLE_RATE_HZ)] = 0.1 * rng.standard_normal(int(SPEECH_S * SAMPLE_RATE_HZ))
    paths = []
    for name, pcm in (("bed", bed), ("speech", speech)):
        samples = (np.clip(pcm, -1, 1) * 32767).astype("<i2")
        paths.append(folder / f"{name}.wav")
        paths[-1].write_bytes(pcm16_header(len(samples)) + samples.tobytes())
    return paths[0], paths[1]


async def ffmpeg_late_ms(count: int, bed: Path, speech: Path) -> float:
    pace = ("-stream_loop", "-1", "-readrate", "1", "-readrate_initial_burst", str(LEAD_MS / 1000))
    ducked = (
        "[1]asplit=2[key][voice];[0][key]sidechaincompress=threshold=0.02:ratio=8:attack=20:release=250[low];"
        "[low][voice]amix=inputs=2:normalize=0"
    )
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-threads", "1", "-filter_threads", "1",
        *pace, "-i", str(bed), *pace, "-i", str(speech), "-filter_complex", ducked, "-filter_complex_threads", "1",
        "-ar", "8000", "-ac", "1", "-f", "mulaw", "-flush_packets", "1", "pipe:1",
    ]  # fmt: skip
    return max(await asyncio.gather(*(_one_ffmpeg(command) for _ in range(count))))


async def _one_ffmpeg(command: list[str]) -> float:
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        first = await process.stdout.read(65_536)
        began, came_bytes, latest_ms = time.monotonic(), len(first), 0.0
        while time.monotonic() < began + LASTS_S:
            chunk = await process.stdout.read(65_536)
            if not chunk:
                raise RuntimeError(f"ffmpeg ended by itself, with status {await process.wait()}")
            now = time.monotonic()
            if now > began + SETTLES_S:
                latest_ms = max(latest_ms, (now - began) * 1000 - came_bytes * 1000 / SAMPLE_RATE_HZ)
            came_bytes += len(chunk)
        return latest_ms
    finally:
        process.kill()
        await process.wait()


if __name__ == "__main__":
    print(serve(int(sys.argv[1]), float(sys.argv[2])))
