"""A call in virtual time: the stream's own code and render's, on stores in memory, with real sound in them.

Every byte that the stream sends can be held against the bed and the clips that lie in the bucket, and nothing sleeps.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest

from duckline import schedule, shipped
from duckline.bed import Playlist, Segment
from duckline.berth import EDGE_FRAMES, Manner
from duckline.call import BedSpan, Call, Part
from duckline.delivery import Delivery
from duckline.envelope import Ducking
from duckline.records import SpeechRecord
from duckline.sound import mulaw
from duckline.stores import NotReached
from duckline.timeline import FRAME_BYTES, FRAMES_PER_SECOND, SAMPLE_RATE_HZ, SEGMENT_FRAMES
from duckline.window import open_window, window_end
from local.simulation.cloud import TIMEOUT_MS, Cloud, Faults, Queue, Table
from local.simulation.world import START_MS, Process, World
from render.beds import BedChange
from render.silencing import Silencing
from render.speaking import Speaking
from render.studio import Studio
from stream.books import Books
from stream.playing import NotHeld, Playing, Services
from stream.sources import Sources

SID = "CA" + "0123456789abcdef" * 2
STREAM = Delivery("stream", 840)
BED_SECONDS = {"calm": 43, "warm": 11}


@cache
def bed_sound(version: str) -> bytes:
    """A loop of noise between 200 and 600 Hz at −28 dBov: never the same twice, and smooth enough to show a click."""
    samples = BED_SECONDS[version] * SAMPLE_RATE_HZ
    rng = np.random.default_rng(len(version) + ord(version[0]))
    spectrum = np.zeros(samples // 2 + 1, complex)
    first, last = 200 * BED_SECONDS[version], 600 * BED_SECONDS[version]
    spectrum[first:last] = np.exp(2j * np.pi * rng.random(last - first))
    noise = np.fft.irfft(spectrum, samples)
    return mulaw.encode((noise / np.sqrt(np.mean(noise**2)) * 10 ** (-28 / 20)).astype(np.float32))


def keep_bed(put: Callable[[str, bytes], None], version: str) -> None:
    sound, frames, segments = bed_sound(version), BED_SECONDS[version] * FRAMES_PER_SECOND, []
    for number, first in enumerate(range(0, frames, SEGMENT_FRAMES)):
        count = min(SEGMENT_FRAMES, frames - first)
        key = f"beds/{version}/{number:05d}.ulaw"
        put(key, sound[first * FRAME_BYTES : (first + count) * FRAME_BYTES])
        segments.append(Segment(key, count, ""))
    playlist = Playlist(version, frames, -28.0, SEGMENT_FRAMES, tuple(segments))
    put(f"beds/{version}/playlist.json", playlist.to_json().encode())


def bed_bytes(version: str, first: int, frames: int) -> bytes:
    """`frames` frames of a bed from its frame `first` on, round the loop."""
    if version == shipped.VERSION:
        return shipped.frames(first, frames)
    sound = np.frombuffer(bed_sound(version), np.uint8)
    at = np.arange(first * FRAME_BYTES, (first + frames) * FRAME_BYTES) % len(sound)
    return sound[at].tobytes()


class Hummer:
    """A speech engine that hums for as many seconds as the text says: "2.5 s, and some words to tell it by"."""

    name = "hummer"

    def check_voice(self, voice: str | None) -> str:
        return voice or "alto"

    def synthesise(self, text: str, *, voice: str | None = None, ssml: bool = False) -> tuple[np.ndarray, int]:
        samples = round(float(text.split()[0]) * SAMPLE_RATE_HZ)
        seconds = np.arange(samples) / SAMPLE_RATE_HZ
        pitch_hz = 150 + sum(text.encode()) % 60
        tone = sum(np.sin(2 * np.pi * pitch_hz * partial * seconds) / partial for partial in range(1, 9))
        return (0.1 * tone * (1 + 0.5 * np.sin(2 * np.pi * 4 * seconds))).astype(np.float32), SAMPLE_RATE_HZ


@dataclass
class Fetch:
    """What came of one fetch of a window."""

    process: Process
    call: Call | None = None  # as it was when the hold was taken
    playing: Playing | None = None
    refusal: Exception | None = None
    arrivals: list[tuple[float, bytes]] = field(default_factory=list)
    over_ms: float | None = None

    @property
    def body(self) -> bytes:
        return b"".join(chunk for _, chunk in self.arrivals)

    @property
    def first(self) -> int:
        return self.call.window_from

    @property
    def end(self) -> int:
        return self.first + len(self.body) // FRAME_BYTES

    def frames(self, start: int, end: int) -> bytes:
        """What was sent for the call's frames [start, end)."""
        assert self.first <= start <= end <= self.end
        return self.body[(start - self.first) * FRAME_BYTES : (end - self.first) * FRAME_BYTES]

    def unlike_the_bed(self, version: str = "calm") -> list[int]:
        """The call's frames in which something else than the bed was sent, the window's own fades left out."""
        first, frames = self.first + EDGE_FRAMES, self.end - self.first - 2 * EDGE_FRAMES
        sent, bed = self.frames(first, first + frames), bed_bytes(version, first, frames)
        differ = np.frombuffer(sent, np.uint8) != np.frombuffer(bed, np.uint8)
        return [first + int(at) for at in np.flatnonzero(differ.reshape(frames, FRAME_BYTES).any(axis=1))]

    def steps(self) -> list[list[bytes]]:
        """The chunks, by the moments at which they came."""
        steps: dict[float, list[bytes]] = {}
        for at_ms, chunk in self.arrivals:
            steps.setdefault(at_ms, []).append(chunk)
        return list(steps.values())


class Stage:
    """One call, its stream, its render, and the time. Times are milliseconds since the world began."""

    def __init__(
        self,
        *,
        window_s: float = 60,
        lead_ms: float = 1000,
        delivery: Delivery = STREAM,
        bed: str = "calm",
        faults: Faults | None = None,
    ) -> None:
        rng = random.Random(7)
        self.lead_ms, self.delivery = lead_ms, delivery
        self.world = World(rng)
        self.faults = faults or Faults()
        self.cloud = Cloud(self.world, rng, self.faults)
        self.logged: list[tuple[str, dict[str, Any]]] = []
        self.placed: dict[str, tuple[Part, ...]] = {}  # the parts that a speech had last
        self.changes: list[tuple[str, Call, Call]] = []  # who, before, after
        self.shipped: Callable[[int, int], bytes] = shipped.frames
        self.bucket_takes_ms: Callable[[str], float] = lambda key: 0  # beyond the usual, by key
        self.table_lost: list[tuple[float, float]] = []  # when the stream alone cannot reach the table
        self.cloud.watchers.append(self._watch)
        for version in BED_SECONDS:
            keep_bed(self.cloud.sounds.put, version)
        grid = round(window_s * FRAMES_PER_SECOND)
        self.cloud.calls.create(
            Call(
                SID,
                beds=(shipped.SPAN if bed == shipped.VERSION else BedSpan(0, bed, bed),),
                started_at_ms=START_MS,
                window_until=window_end(0, grid),
                grid_frames=grid,
                paced=delivery.mode != "burst",
                opening_at_ms=START_MS,
            )
        )
        Process(self.world, "queue").start_main(self._work)

    def _watch(self, who: str, before: Call | None, after: Call) -> None:
        self.changes.append((who, before, after))
        self.placed |= {speech.speech_id: speech.parts for speech in after.speeches if speech.parts}

    @property
    def call(self) -> Call:
        return self.cloud.calls.get(SID)

    def run(self, until_ms: float) -> None:
        self.world.run(until_ms)
        for name, error in self.world.crashes:
            raise AssertionError(f"{name} crashed") from error

    def at(self, time_ms: float, act: Callable[..., Any], *args: Any) -> None:
        """Has `act` happen at that time, in a process of its own."""

        def later() -> None:
            self.world.sleep(time_ms - self.world.time_ms)
            act(*args)

        Process(self.world, f"act at {time_ms} ms").start_main(later)

    def change(self, change: Callable[[Call], Call], *, exact: bool = True) -> None:
        """Another function changes the call, at once."""
        before = self.call
        self.cloud.watched(lambda: self.cloud.calls.write(before, change(before), exact=exact), SID, "another function")

    # -- the stream -----------------------------------------------------------------------------------

    def fetch(self, epoch: int = 1, *, longest_ms: float = 880_000) -> Fetch:
        """Twilio fetches the window: the function runs until it is over."""
        process = Process(self.world, "stream")
        fetch = Fetch(process)

        def serve() -> None:
            playing = Playing(self._services(process), self.delivery, lead_ms=self.lead_ms)
            try:
                fetch.call = playing.open(SID, epoch, f"holder {id(fetch)}", longest_ms)
            except (NotHeld, NotReached) as refusal:
                fetch.refusal = refusal
                return
            fetch.playing = playing
            for chunk in playing.audio():
                fetch.arrivals.append((self.world.time_ms, chunk))
            fetch.over_ms = self.world.time_ms

        process.start_main(serve)
        return fetch

    def _services(self, process: Process) -> Services:
        table, bucket = StreamsTable(self, process), StreamsBucket(self, process)
        return Services(
            calls=table,
            books=lambda: Books(table, Queue(self.cloud), Queue(self.cloud), process.start),
            sources=Sources(bucket, process.clock, process.start, self.shipped),
            clock=process.clock,
            background=process.start,
            log=lambda message, **fields: self.logged.append((message, fields)),
        )

    def open_next_window(self) -> None:
        """The webhook that follows a window: the next one is given out."""
        now_ms = int(START_MS + self.world.time_ms)

        def opened(call: Call) -> Call:
            return open_window(call, now_ms=now_ms, margin_ms=2000, grid_frames=call.grid_frames, paced=call.paced)

        self.change(opened)

    def end(self, reason: str = "completed") -> None:
        now_ms = int(START_MS + self.world.time_ms)
        self.change(lambda call: schedule.end(call, now_ms=now_ms, reason=reason), exact=False)

    # -- render ---------------------------------------------------------------------------------------

    def speak(self, text: str, when: str = "queue") -> str:
        """A request to speak, served in a process of its own; answers with the speech's id."""
        speech_id = "sp_" + text.replace(" ", "_")
        record = SpeechRecord(SID, speech_id, "same", text=text, when=when)
        process, speaking = self._render()
        process.start_main(speaking.accept, record)
        return speech_id

    def cancel(self, speech_id: str) -> None:
        process, speaking = self._render()
        process.start_main(Silencing(speaking).cancel, SID, speech_id)

    def change_bed(self, name: str) -> None:
        studio = Studio(self.cloud.sounds, Hummer(), Ducking())
        BedChange(self.cloud.calls, self.cloud.beds, studio.fade).change(SID, name)

    def _render(self) -> tuple[Process, Speaking]:
        process = Process(self.world, "render")
        table = self.cloud.table(process)
        speaking = Speaking(
            calls=table,
            speeches=table,
            studio=Studio(self.cloud.sounds, Hummer(), Ducking()),
            work=Queue(self.cloud),
            events=Queue(self.cloud),
            clock=process.clock,
            background=process.start,
            manner=Manner(),
        )
        return process, speaking

    def _work(self) -> None:
        while True:
            self.world.sleep(50)
            if self.cloud.queue:
                message = self.cloud.queue.pop(0)
                process, speaking = self._render()
                if message["kind"] == "speak":
                    process.start_main(speaking.take_up, SID)
                else:
                    process.start_main(speaking.go_on, SID, message["speech_id"], message["maker"])

    # -- what should be heard -------------------------------------------------------------------------

    @staticmethod
    def bed(version: str, first: int, frames: int) -> bytes:
        return bed_bytes(version, first, frames)

    def clip(self, part: Part) -> bytes:
        return self.cloud.sounds.get(f"clips/{SID}/{part.clip}.ulaw")


class StreamsBucket:
    """The bucket as the stream reaches it."""

    def __init__(self, stage: Stage, process: Process) -> None:
        self.stage, self.bucket = stage, stage.cloud.bucket(process)

    def get(self, key: str) -> bytes | None:
        self.stage.world.sleep(self.stage.bucket_takes_ms(key))
        return self.bucket.get(key)


class StreamsTable(Table):
    """The table as the stream reaches it."""

    def __init__(self, stage: Stage, process: Process) -> None:
        super().__init__(stage.cloud, process)
        self.stage = stage

    def seal(self, *args: Any, **kwargs: Any) -> Call:
        self._way()
        return super().seal(*args, **kwargs)

    def write(self, *args: Any, **kwargs: Any) -> Call:
        self._way()
        return super().write(*args, **kwargs)

    def _way(self) -> None:
        world = self.stage.world
        if any(start <= world.time_ms < end for start, end in self.stage.table_lost):
            world.sleep(TIMEOUT_MS)
            raise NotReached("the way to the table is broken")


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def stage_with() -> type[Stage]:
    return Stage
