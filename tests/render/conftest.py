"""Render before a call that a stream seals: the desk in virtual time, the bench with real sound.

At the desk sound is symbolic, so that every frame can be read; at the bench it is real, and time stands still.
"""

import io
import random
import wave
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from duckline.bed import Playlist
from duckline.berth import Manner
from duckline.call import BedSpan, Call, Part, Speech, stretches
from duckline.delivery import HEARD_MARGIN_MS
from duckline.envelope import Ducking
from duckline.errors import Malformed, Unspeakable
from duckline.records import BedRecord, SpeechRecord, SpeechStatus, status_of
from duckline.schedule import end, over
from duckline.sound.bedmaking import make_bed
from duckline.stores import Hold, NotReached
from duckline.stores.memory import MemoryBeds, MemoryCalls, MemorySounds, MemorySpeeches
from duckline.timeline import FRAME_BYTES, SAMPLE_RATE_HZ
from local.simulation import sound
from local.simulation.cloud import Cloud, Faults, Queue
from local.simulation.sound import Frame, SymbolicStudio, Voices, frames_in
from local.simulation.world import START_MS, Process, Task, World
from render.silencing import Silencing
from render.speaking import Speaking, Voice
from render.studio import Studio

SID = "CA" + "0123456789abcdef" * 2
LEAD_FRAMES, STEP_FRAMES = 50, 13
SYNTHESIS_MS = 200
SONG_RATE_HZ = 22_050


class TimedStudio(SymbolicStudio):
    """Takes as long for each text as the desk says, and fails where it says so."""

    def __init__(self, desk: "Desk") -> None:
        super().__init__(desk.cloud.sounds, desk.voices, lambda what: None)
        self.desk = desk

    def voice(self, record: SpeechRecord, line: str) -> Voice:
        part, frames = line.split(":")
        desk = self.desk
        desk.world.sleep(desk.takes_ms.get(f"{record.text}:{part}", desk.takes_ms.get(record.text, SYNTHESIS_MS)))
        desk.made.append((record.speech_id, int(part), desk.world.time_ms))
        if frames == "0":
            raise Unspeakable("no sound came of it")
        return super().voice(record, line)

    def clip(self, *args, **kwargs) -> str:
        if self.desk.mixing_ms:
            self.desk.world.sleep(self.desk.mixing_ms)
        return super().clip(*args, **kwargs)


@dataclass
class Asked:
    """A request under way, or answered."""

    process: Process
    task: Task
    asked_at_ms: float
    answered_at_ms: float | None = None

    @property
    def answer(self) -> Any:
        """Raises what the request was refused with."""
        assert self.task.done(), "not answered yet"
        return self.task.result()

    @property
    def error(self) -> Exception | None:
        return self.task.error


@dataclass
class Desk:
    """One live call and the render function, each request in a process of its own."""

    window_frames: int = 42_000
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        rng = random.Random(11)
        self.world = World(rng)
        self.cloud = Cloud(self.world, rng, self.faults)
        self.voices = Voices()
        self.mixing_ms = 0.0
        self.takes_ms: dict[str, float] = {}  # to synthesise a text, or one part of it ("100,200:1")
        self.made: list[tuple[str, int, float]] = []  # what was synthesised: speech, part, when
        self.parts: dict[str, tuple[Part, ...]] = {}  # of every speech that was ever placed
        self.cloud.watchers.append(self._watch)
        sound.keep_beds(self.cloud.sounds)
        for name in sound.BEDS:
            self.cloud.beds.keep(BedRecord(name, "ready", version=name))
        self.cloud.calls.create(
            Call(
                SID,
                beds=(BedSpan(0, "calm", "calm"),),
                started_at_ms=START_MS,
                holder="h",
                window_until=self.window_frames,
                grid_frames=self.window_frames,
                opening_at_ms=START_MS,
                opened_at_ms=START_MS,
                sealed=LEAD_FRAMES + STEP_FRAMES,
                sealed_at_ms=START_MS,
            )
        )
        Process(self.world, "stream").start_main(self._seal)

    def _watch(self, who: str, before: Call | None, after: Call) -> None:
        self.parts |= {speech.speech_id: speech.parts for speech in after.speeches if speech.parts}

    def _seal(self) -> None:
        """What the stream does: it seals a step, and drops what is over once its history is written."""
        while not self.call.ended:
            self.world.sleep(STEP_FRAMES * 20)
            call, now_ms = self.call, int(START_MS + self.world.time_ms)
            heard = int((self.world.time_ms - HEARD_MARGIN_MS) // 20)
            gone = over(call, heard)
            for speech in gone:
                self.cloud.speeches.close(SID, status_of(call, speech, now_ms), speech.order)
            if not call.ended:
                ids = tuple(speech.speech_id for speech in gone)
                to = min(call.sealed + STEP_FRAMES, call.window_until)
                seal = lambda to=to, ids=ids, now_ms=now_ms: self.cloud.calls.seal(  # noqa: E731
                    SID, Hold(1, "h"), to, now_ms=now_ms, over=ids
                )
                self.cloud.watched(seal, SID, "stream")

    # -- requests -------------------------------------------------------------------------------------

    def request(self, ask: Callable[[Speaking], Any]) -> Asked:
        """A request, served in a process of its own from this moment on."""
        process = Process(self.world, "render")
        asked = Asked(process, Task(self.world), self.world.time_ms)

        def served() -> Any:
            try:
                return ask(self.speaking(process))
            finally:
                asked.answered_at_ms = self.world.time_ms

        asked.task = process.start(served)
        return asked

    def speaking(self, process: Process) -> Speaking:
        table = self.cloud.table(process)
        return Speaking(
            calls=table,
            speeches=table,
            studio=TimedStudio(self),
            work=Queue(self.cloud),
            events=Queue(self.cloud),
            clock=process.clock,
            background=process.start,
            manner=Manner(),
        )

    def speak(self, speech_id: str, text: str = "100", when: str = "queue", fingerprint: str = "") -> Asked:
        """A request to speak; `text` has the frames of each part: "100,250"."""
        record = SpeechRecord(SID, speech_id, fingerprint or f"{when} {text}", text=text, when=when)
        return self.request(lambda speaking: speaking.accept(record))

    def cancel(self, speech_id: str) -> Asked:
        return self.request(lambda speaking: Silencing(speaking).cancel(SID, speech_id))

    def cancel_all(self) -> Asked:
        return self.request(lambda speaking: Silencing(speaking).cancel_all(SID))

    def work(self) -> list[Asked]:
        """The work queue delivers what it holds; what fails for want of a service comes again."""
        messages, self.cloud.queue[:] = list(self.cloud.queue), []
        return [
            self.request(lambda speaking, message=message: self._deliver(speaking, message)) for message in messages
        ]

    def _deliver(self, speaking: Speaking, message: dict[str, Any]) -> None:
        try:
            if message["kind"] == "speak":
                speaking.take_up(SID)
            else:
                speaking.go_on(SID, message["speech_id"], message["maker"])
        except NotReached:
            self.cloud.queue.append(message)

    def end(self) -> None:
        before = self.call
        self.cloud.calls.write(before, end(before, now_ms=int(START_MS + self.world.time_ms), reason="completed"))

    def change(self, **fields: Any) -> None:
        """Another function changes the call at this moment."""
        before = self.call
        self.cloud.watched(lambda: self.cloud.calls.write(before, replace(before, **fields)), SID, "another function")

    def run(self, for_ms: float) -> None:
        """Lets time pass."""
        self.world.run(self.world.time_ms + for_ms)
        for name, error in self.world.crashes:
            raise AssertionError(f"{name} crashed") from error

    def answered(self, *asked: Asked, within_ms: float = 30_000) -> Any:
        """Lets time pass until these are answered; the last one's answer."""
        give_up_ms = self.world.time_ms + within_ms
        while not all(each.task.done() for each in asked):
            assert self.world.time_ms < give_up_ms, "no answer in time"
            self.run(10)
        return asked[-1].answer

    # -- what can be seen -----------------------------------------------------------------------------

    @property
    def call(self) -> Call:
        return self.cloud.calls.get(SID)

    @property
    def now_frame(self) -> int:
        return int(self.world.time_ms // 20)

    def speech(self, speech_id: str) -> Speech:
        return self.call.speech(speech_id)

    def status(self, speech_id: str) -> SpeechStatus:
        """What the API would say of it."""
        speech = self.call.speech(speech_id)
        if speech is None:
            return self.cloud.speeches.get(SID, speech_id).status
        return status_of(self.call, speech, START_MS + self.world.time_ms)

    def voice(self, speech_id: str) -> tuple[int, int]:
        """The frames between which its voice sounds, as far as it was placed last."""
        parts = [part for part in self.parts[speech_id] if part.voice_at < part.voice_end]
        return parts[0].voice_at, parts[-1].voice_end

    def clip(self, part: Part) -> list[Frame]:
        return frames_in(self.cloud.sounds.get(f"clips/{SID}/{part.clip}.ulaw"))

    def told(self, kind: str) -> list[str]:
        """The speeches of which an event of this kind told."""
        self.run(50)
        return [event["speech_id"] for event in self.cloud.events if event["type"] == kind]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def desk_with() -> type[Desk]:
    return Desk


# -- real sound -------------------------------------------------------------------------------------------------------


def song(seconds: float, root_hz: float) -> np.ndarray:
    """A few chords that swell and fade, int16 of shape (samples, 2) at 22.05 kHz."""
    at_s = np.arange(round(seconds * SONG_RATE_HZ)) / SONG_RATE_HZ
    left, right = np.zeros_like(at_s), np.zeros_like(at_s)
    for number, interval in enumerate((1, 1.25, 1.5, 2, 3, 4.5)):
        swell = 1 + 0.8 * np.sin(2 * np.pi * at_s / (1.7 + 0.4 * number) + number)
        left += swell * np.sin(2 * np.pi * root_hz * interval * at_s + number)
        right += swell * np.sin(2 * np.pi * root_hz * interval * 1.001 * at_s)
    return (np.stack([left, right], axis=1) * 1500).astype("<i2")


def wav(pcm: np.ndarray, rate_hz: int) -> bytes:
    """`pcm` (int16, one channel or more) as a WAV file."""
    table = pcm if pcm.ndim == 2 else pcm[:, None]
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(table.shape[1])
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(table.astype("<i2").tobytes())
    return file.getvalue()


class Hummer:
    """A speech engine that hums for as many seconds as the text says: "2.5 s, and some words to tell it by"."""

    name = "hummer"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failure: Exception | None = None

    def check_voice(self, voice: str | None) -> str:
        if voice not in (None, "alto", "bass"):
            raise Malformed(f"there is no voice {voice!r}; the hummer has alto, bass")
        return voice or "alto"

    def synthesise(self, text: str, *, voice: str | None = None, ssml: bool = False) -> tuple[np.ndarray, int]:
        self.asked.append(text)
        if self.failure is not None:
            raise self.failure
        at_s = np.arange(round(float(text.split()[0]) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        pitch_hz = 150 + sum(text.encode()) % 60
        tone = sum(np.sin(2 * np.pi * pitch_hz * partial * at_s) / partial for partial in range(1, 9))
        return (0.1 * tone * (1 + 0.5 * np.sin(2 * np.pi * 4 * at_s))).astype(np.float32), SAMPLE_RATE_HZ


class StillClock:
    """Time that passes only where somebody waits, or where the test says so."""

    def __init__(self) -> None:
        self.time_ms = 0.0

    def now_ms(self) -> int:
        return START_MS + int(self.time_ms)

    def monotonic_ms(self) -> float:
        return self.time_ms

    def sleep_until(self, monotonic_ms: float) -> None:
        self.time_ms = max(self.time_ms, monotonic_ms)


class Told:
    """A queue or a bus that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any], delay_s: int = 0) -> None:
        self.messages.append(message)

    def publish(self, events: list[dict[str, Any]]) -> None:
        self.messages += events

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.messages]


class Bench:
    """Render with its real studio, over stores in memory and a call whose stream stands still."""

    def __init__(self, beds: dict[str, Playlist], objects: dict[str, bytes]) -> None:
        self.calls, self.speeches = MemoryCalls(), MemorySpeeches()
        self.beds, self.sounds = MemoryBeds(), MemorySounds()
        self.sounds.objects |= objects
        for name, playlist in beds.items():
            self.beds.keep(
                BedRecord(
                    name, "ready", playlist.version, playlist.seconds, playlist.level_dbov, updated_at_ms=START_MS
                )
            )
        self.playlists = beds
        self.work, self.events, self.clock = Told(), Told(), StillClock()
        self.engine = Hummer()
        self.speaking = self.rendering()
        self.silencing = Silencing(self.speaking)
        self.open(SID)

    def rendering(self) -> Speaking:
        """Render in an environment of its own, which has kept nothing yet."""
        return Speaking(
            calls=self.calls,
            speeches=self.speeches,
            studio=Studio(self.sounds, self.engine, Ducking()),
            work=self.work,
            events=self.events,
            clock=self.clock,
            background=lambda function, *arguments: function(*arguments),
            manner=Manner(),
        )

    def open(self, call_sid: str, *, sealed: int = 63, bed: str = "calm", **fields: Any) -> Call:
        """A live call that is sealed so far."""
        values = {
            "started_at_ms": START_MS,
            "holder": "h",
            "window_until": 42_000,
            "opening_at_ms": START_MS,
            "opened_at_ms": START_MS,
            "sealed": sealed,
            "sealed_at_ms": START_MS,
        }
        span = BedSpan(0, self.playlists[bed].version, bed)
        return self.calls.create(Call(call_sid, beds=(span,), **values | fields))

    def seal(self, to: int, call_sid: str = SID) -> None:
        """The stream goes on, and time with it."""
        self.clock.time_ms = max(self.clock.time_ms, (to - LEAD_FRAMES) * 20)
        self.calls.seal(call_sid, Hold(1, "h"), to, now_ms=self.clock.now_ms())

    def speak(self, speech_id: str, text: str, when: str = "queue", **fields: Any) -> SpeechStatus:
        record = SpeechRecord(SID, speech_id, f"{when} {text}", text=text, when=when, **fields)
        return self.speaking.accept(record)

    @property
    def call(self) -> Call:
        return self.calls.get(SID)

    @property
    def studio(self) -> Studio:
        return self.speaking.studio

    def clip(self, part: Part) -> bytes:
        return self.sounds.get(f"clips/{SID}/{part.clip}.ulaw")

    def bed(self, name: str, first: int, frames: int) -> bytes:
        """`frames` frames of a bed as it lies in the bucket, round the loop."""
        whole = b"".join(self.sounds.get(segment.key) for segment in self.playlists[name].segments)
        at = np.arange(first * FRAME_BYTES, (first + frames) * FRAME_BYTES) % len(whole)
        return np.frombuffer(whole, np.uint8)[at].tobytes()

    def heard(self, start: int, end: int) -> bytes:
        """What a caller hears who misses nothing."""
        pieces = []
        for stretch in stretches(self.call, start, end):
            first, last = stretch.start, stretch.end
            if stretch.clip is None:
                pieces.append(self.bed(stretch.bed.name, first - stretch.bed.origin, last - first))
            else:
                clip = self.sounds.get(f"clips/{SID}/{stretch.clip.clip}.ulaw")
                pieces.append(
                    clip[(first - stretch.clip.start) * FRAME_BYTES : (last - stretch.clip.start) * FRAME_BYTES]
                )
        return b"".join(pieces)


@pytest.fixture(scope="session")
def songs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two pieces of music as files."""
    folder = tmp_path_factory.mktemp("songs")
    files = {"calm": (9.3, 220.0), "warm": (7.6, 165.0)}
    for name, (seconds, root_hz) in files.items():
        (folder / f"{name}.wav").write_bytes(wav(song(seconds, root_hz), SONG_RATE_HZ))
    return {name: folder / f"{name}.wav" for name in files}


@pytest.fixture(scope="session")
def bedroom(songs: dict[str, Path]) -> tuple[dict[str, Playlist], dict[str, bytes]]:
    """The songs as beds: their playlists by name, and the objects they consist of."""
    objects: dict[str, bytes] = {}
    return {name: make_bed([file], objects.__setitem__) for name, file in songs.items()}, objects


@pytest.fixture
def bench(bedroom: tuple[dict[str, Playlist], dict[str, bytes]]) -> Bench:
    return Bench(*bedroom)
