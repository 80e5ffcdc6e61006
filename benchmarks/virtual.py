"""One call in virtual time on services that are as slow as AWS's, and an account of all that they are asked for.

The code is the project's own, real studio and all; only the clock jumps. Where `local.simulation` seeks trouble, this
has none: every request takes what it usually takes, so that what is left is the design's own latency and cost.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from duckline.bed import Playlist, Segment
from duckline.berth import Manner
from duckline.delivery import Delivery
from duckline.envelope import Ducking
from duckline.records import BedRecord, SpeechRecord, speech_id_for
from duckline.sound import mulaw
from duckline.stores.findings import MemoryFindings
from duckline.timeline import FRAME_BYTES, FRAME_MS, SAMPLE_RATE_HZ, SEGMENT_FRAMES
from local.simulation.cloud import Bucket, Cloud, Faults, Queue
from local.simulation.line import Line, Trouble
from local.simulation.streaming import Fetch, fetched
from local.simulation.world import Process, World
from render.speaking import Speaking
from render.studio import Studio
from voice.answering import Answering
from voice.notices import Notices

SID = "CA" + "7" * 32
BED_SECONDS = 120
STEP_MS = 500  # of the world, between two looks at whether the run is over


@dataclass(frozen=True)
class Services:
    """How long a request takes, there and back. The defaults are what AWS's usually need, as the issue states them."""

    table_ms: float = 5
    get_ms: float = 25
    put_ms: float = 40
    synthesis_ms: float = 200
    mixing_ms: float = 0  # what render's own arithmetic takes, measured


@dataclass
class Spoken:
    """A speech: when it was asked for, when the API answered, and when its first word was in the caller's ear."""

    asked_ms: float
    answered_ms: float
    heard_ms: float


class EvenCloud(Cloud):
    """Services that never fail and always take the same time. `asked` counts requests, `carried` bytes."""

    def __init__(self, world: World, rng: random.Random, services: Services) -> None:
        super().__init__(world, rng, Faults())
        self.services = services
        self.asked: Counter[str] = Counter()
        self.carried: Counter[str] = Counter()

    def call(self, process: Process, operation: Any, sid: str | None, *, writes: bool) -> Any:
        self.asked["table writes" if writes else "table reads"] += 1
        self.world.sleep(self.services.table_ms / 2)
        answer = self.watched(operation, sid, process.name)
        self.world.sleep(self.services.table_ms / 2)
        return answer

    def bucket(self, process: Process) -> "EvenBucket":
        return EvenBucket(self, process)


class EvenBucket(Bucket):
    cloud: EvenCloud

    def get(self, key: str) -> bytes | None:
        self.cloud.asked["bucket gets"] += 1
        self.cloud.world.sleep(self.cloud.services.get_ms)
        return self.cloud.sounds.get(key)

    def put(self, key: str, body: bytes, **kwargs: Any) -> None:
        self.cloud.asked["bucket puts"] += 1
        self.cloud.carried["bucket puts"] += len(body)
        self.cloud.world.sleep(self.cloud.services.put_ms)
        self.cloud.sounds.put(key, body)


class SlowEngine:
    """Says anything as noise of a voice's length, after as long as a synthesiser takes. The text names its seconds."""

    name = "noise"

    def __init__(self, world: World, services: Services) -> None:
        self.world, self.services = world, services

    def check_voice(self, voice: str | None) -> str:
        return voice or "noise"

    def synthesise(self, text: str, *, voice: str | None = None, ssml: bool = False) -> tuple[np.ndarray, int]:
        self.world.sleep(self.services.synthesis_ms)
        seconds = float(text.split()[-2])
        noise = np.random.default_rng(len(text)).standard_normal(int(seconds * SAMPLE_RATE_HZ))
        return (0.1 * noise).astype(np.float32), SAMPLE_RATE_HZ


class TimedStudio(Studio):
    """The real studio, whose arithmetic takes the time that was measured for it."""

    def __init__(self, world: World, services: Services, *parts: Any) -> None:
        super().__init__(*parts)
        self.world, self.services = world, services

    def clip(self, *args: Any, **kwargs: Any) -> str:
        self.world.sleep(self.services.mixing_ms)
        return super().clip(*args, **kwargs)


@dataclass
class Account:
    """How long the functions ran, in milliseconds of virtual time, and how often."""

    ms: Counter[str] = field(default_factory=Counter)
    invocations: Counter[str] = field(default_factory=Counter)


class VirtualCall:
    """A caller on the line, from `place` on. `speak` runs inside an actor of the world (`do`)."""

    def __init__(self, seed: int, *, lead_ms: float = 1000, services: Services | None = None) -> None:
        self.services = services or Services()
        self.rng = random.Random(seed)
        self.world = World(self.rng)
        self.cloud = EvenCloud(self.world, self.rng, self.services)
        self.lead_ms, self.delivery = lead_ms, Delivery("stream", 840)
        self.account, self.spoken = Account(), []
        _keep_bed(self.cloud)
        self.line = Line(self.world, self.cloud, self.rng, Trouble(), self)
        self.render = Process(self.world, "render")
        engine = SlowEngine(self.world, self.services)
        self.studio = TimedStudio(self.world, self.services, self.cloud.bucket(self.render), engine, Ducking())
        self.requests = 0

    # -- what the line asks for -----------------------------------------------------------------------

    def voice(self, process: Process) -> Answering:
        self.account.invocations["voice"] += 1
        self.account.ms["voice"] += 3 * self.services.table_ms  # it reads the call and writes it; the bed's name
        notices = Notices(Queue(self.cloud), Queue(self.cloud), process.start)
        return Answering(self.cloud.table(process), self.cloud.beds, MemoryFindings(), notices, self.delivery, "calm")

    def stream(self, sid: str, epoch: int, number: int) -> Fetch:
        self.account.invocations["stream"] += 1
        return fetched(self.world, self.cloud, sid, epoch, number, self.delivery, self.lead_ms, 0.0)

    # -- what is done -----------------------------------------------------------------------------------

    def place(self) -> None:
        Process(self.world, "line").start_main(self.line.live, SID)
        self.run_for(3000)

    def run_for(self, ms: float) -> None:
        self.world.run(self.world.time_ms + ms)
        for name, error in self.world.crashes:
            raise RuntimeError(f"{name} crashed in the benchmark's call") from error

    def do(self, work: Any, *args: Any) -> None:
        Process(self.world, "application").start_main(work, *args)

    def speak(self, seconds: float, *, words: str = "", when: str = "queue") -> None:
        """Asks for a speech of about `seconds`; the same `words` again are a speech that was made before."""
        table, process = self.cloud.table(self.render), self.render
        speaking = Speaking(
            calls=table,
            speeches=table,
            studio=self.studio,
            work=Queue(self.cloud),
            events=Queue(self.cloud),
            clock=process.clock,
            background=process.start,
            manner=Manner(),
        )
        self.requests += 1
        text = f"{words or self.requests} for {seconds} seconds."
        record = SpeechRecord(SID, speech_id_for(SID, str(self.requests)), "same", 0, text=text, when=when)
        asked_ms = self.world.time_ms
        status = speaking.accept(record)
        answered_ms = self.world.time_ms
        self.account.invocations["render"] += 1
        self.account.ms["render"] += answered_ms - asked_ms
        voice_at = self.cloud.calls.get(SID).speech(status.speech_id).spoken_parts[0].voice_at
        self.spoken.append(Spoken(asked_ms, answered_ms, self.heard_ms(voice_at)))

    def heard_ms(self, frame: int) -> float:
        """When a frame of the window that plays is in the ear of a caller whose line holds nothing back."""
        fetch = self.line.fetches[-1]
        return fetch.arrivals[0][0] + (frame - fetch.first) * FRAME_MS

    def is_quiet(self) -> bool:
        """Whether nothing is to be said any more, nor still ducked."""
        call = self.cloud.calls.get(SID)
        return all(part.end <= call.sealed for part in call.parts) and not call.pending

    @property
    def late_ms(self) -> float:
        return sum(fetch.late_ms for fetch in self.line.fetches)


def _keep_bed(cloud: Cloud) -> None:
    """Two minutes of noise as a bed, with its playlist."""
    noise = np.random.default_rng(1).standard_normal(BED_SECONDS * SAMPLE_RATE_HZ).astype(np.float32)
    body = mulaw.encode(0.04 * noise)  # −28 dBov
    size = SEGMENT_FRAMES * FRAME_BYTES
    segments = []
    for number, first in enumerate(range(0, len(body), size)):
        segment = Segment(f"beds/calm/{number:05d}.ulaw", min(size, len(body) - first) // FRAME_BYTES, "")
        cloud.sounds.put(segment.key, body[first : first + size])
        segments.append(segment)
    playlist = Playlist("calm", len(body) // FRAME_BYTES, -28.0, SEGMENT_FRAMES, tuple(segments))
    cloud.sounds.put("beds/calm/playlist.json", playlist.to_json().encode())
    cloud.beds.keep(BedRecord("calm", "ready", version="calm"))
