"""The seven faults of the bridge that Duckline replaces, each held down by a test: see docs/from-the-bridge.md.

The stream's and render's own code runs here on stores in memory and in virtual time, over music from a real MP3 and
with a real synthesiser; what is of the wire runs in real processes, behind real sockets, before a simulated Twilio.
"""

import asyncio
import os
import random
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import aiohttp
import numpy as np
import pytest
import soxr
from imageio_ffmpeg import get_ffmpeg_exe

from duckline import shipped
from duckline.bed import Playlist
from duckline.berth import EDGE_FRAMES, Manner
from duckline.delivery import Delivery
from duckline.envelope import Ducking
from duckline.records import BedRecord, SpeechRecord, speech_id_for
from duckline.sound import mulaw
from duckline.sound.bedmaking import LEVEL_DBOV, make_bed
from duckline.sound.loudness import rms_dbov
from duckline.sound.speech import from_bytes, make_ready
from duckline.stores.findings import MemoryFindings
from duckline.timeline import FRAME_BYTES, FRAME_MS, SAMPLE_RATE_HZ
from local.ear import Heard, listen
from local.lambda_service import Report
from local.music.encoding import encode
from local.music.instruments import SAMPLE_RATE_HZ as SONG_RATE_HZ
from local.simulation.cloud import Cloud, Faults, Queue
from local.simulation.world import Clock, Process, World
from local.stack import Stack
from local.twilio import Call, SimulatedTwilio, sign
from render.engines.espeak import EspeakEngine
from render.speaking import Speaking
from render.studio import Studio
from stream.books import Books
from stream.playing import Playing, Services
from stream.sources import Sources
from voice.answering import Answering
from voice.notices import Notices

SID = "CA" + "7" * 32
LEAD_MS = 1000
EDGE_BYTES = EDGE_FRAMES * FRAME_BYTES
TEXTS = ("Your order has left the warehouse.", "It will be with you tomorrow before noon.")
CHORDS_HZ = ((220.0, 277.2, 329.6), (196.0, 246.9, 293.7), (174.6, 261.6, 349.2), (246.9, 311.1, 370.0))


# -- music and voices ---------------------------------------------------------------------------------


@dataclass
class Song:
    """A piece of music as its owner has it, and the bed that it became."""

    stereo: np.ndarray
    playlist: Playlist
    objects: dict[str, bytes]

    @property
    def loop(self) -> bytes:
        return b"".join(self.objects[segment.key] for segment in self.playlist.segments)


@pytest.fixture(scope="module")
def song(tmp_path_factory) -> Song:
    """Twelve seconds of plucked chords, no two alike, through an MP3 file and the whole of the bed's making."""
    rng = np.random.default_rng(3)
    stereo = np.zeros((14 * SONG_RATE_HZ, 2), np.float32)
    since_s = np.arange(2 * SONG_RATE_HZ) / SONG_RATE_HZ
    for stroke in range(24):
        notes = rng.permutation(CHORDS_HZ[stroke // 6]) * rng.choice([1, 2, 3], 3)
        sound = sum(np.sin(2 * np.pi * note * since_s + rng.uniform(0, 6)) * np.exp(-2 * since_s) for note in notes)
        first = stroke * SONG_RATE_HZ // 2
        stereo[first : first + len(sound)] += 0.08 * sound[:, None] * rng.uniform(0.6, 1, 2)
    stereo = stereo[: 12 * SONG_RATE_HZ]
    file = tmp_path_factory.mktemp("music") / "song.mp3"
    encode(stereo, file)
    objects: dict[str, bytes] = {}
    return Song(stereo, make_bed([file], objects.__setitem__), objects)


class Remembering(EspeakEngine):
    """eSpeak NG, which breathes differently every time; what it made of a text is kept, to be listened for."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[str, tuple[np.ndarray, int]] = {}

    def synthesise(self, text: str, **manner: Any) -> tuple[np.ndarray, int]:
        if text not in self.made:
            self.made[text] = super().synthesise(text, **manner)
        return self.made[text]


@pytest.fixture(scope="module")
def engine() -> Remembering:
    return Remembering()


def hearings(sound: np.ndarray, said: np.ndarray) -> list[float]:
    """The seconds at which `said` is heard in `sound`, both at 8 kHz: where the two are nine tenths the same."""
    size = 1 << (len(sound) + len(said)).bit_length()
    spectrum = np.fft.rfft(sound, size) * np.conj(np.fft.rfft(said, size))
    products = np.fft.irfft(spectrum, size)[: len(sound) - len(said) + 1]
    energy = np.concatenate([[0.0], np.cumsum(np.square(sound, dtype=np.float64))])
    beneath = energy[len(said) :] - energy[: len(energy) - len(said)]
    alike = products / np.sqrt(np.maximum(beneath, 1e-9) * np.square(said, dtype=np.float64).sum())
    found: list[float] = []
    for at in np.flatnonzero(alike > 0.9):
        if not found or at / SAMPLE_RATE_HZ - found[-1] > 0.5:
            found.append(at / SAMPLE_RATE_HZ)
    return found


# -- one window in virtual time -----------------------------------------------------------------------


class CountingClock(Clock):
    """Virtual time that remembers for how long it was slept."""

    def __init__(self, process: Process) -> None:
        super().__init__(process, 0.0)
        self.slept_ms: list[tuple[float, float]] = []

    def sleep_until(self, monotonic_ms: float) -> None:
        if monotonic_ms > self.world.time_ms:
            self.slept_ms.append((self.world.time_ms, monotonic_ms - self.world.time_ms))
        super().sleep_until(monotonic_ms)


@dataclass
class Played:
    """What one window sent, chunk by chunk, and when."""

    chunks: list[tuple[float, bytes]] = field(default_factory=list)
    slept_ms: list[tuple[float, float]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    substituted_frames: int = 0

    @property
    def mulaw(self) -> bytes:
        return b"".join(chunk for _, chunk in self.chunks)

    @property
    def sound(self) -> np.ndarray:
        return mulaw.decode(self.mulaw)


def played(song: Song, engine: Remembering, seconds: int, asked: dict[float, str] | None = None) -> Played:
    """A call's first window of `seconds`, with texts asked for at times in milliseconds."""
    world = World(random.Random(1))
    cloud = Cloud(world, world.rng, Faults())
    cloud.sounds.objects |= song.objects
    cloud.beds.keep(BedRecord("calm", "ready", version=song.playlist.version))
    result, delivery = Played(), Delivery("stream", seconds)

    def stream(process: Process) -> None:
        table = cloud.table(process)
        notices = Notices(Queue(cloud), Queue(cloud), process.start)
        answering = Answering(table, cloud.beds, MemoryFindings(), notices, delivery, "calm")
        turn = answering.call_in(SID, "", process.clock.now_ms())
        sources = Sources(cloud.bucket(process), process.clock, process.start, shipped.frames)
        books = partial(Books, table, Queue(cloud), Queue(cloud), process.start)
        tell = lambda line, **fields: result.told.append(line)  # noqa: E731
        playing = Playing(
            Services(table, books, sources, process.clock, process.start, tell), delivery, lead_ms=LEAD_MS
        )
        playing.open(SID, turn.call.epoch, "holder", longest_ms=900_000)
        for chunk in playing.audio():
            result.chunks.append((world.time_ms, chunk))
        result.substituted_frames = sources.substituted_frames

    def speak(process: Process, at_ms: float, text: str) -> None:
        world.sleep(at_ms)
        table = cloud.table(process)
        record = SpeechRecord(SID, speech_id_for(SID, f"{at_ms}"), text=text)
        Speaking(
            calls=table,
            speeches=table,
            studio=Studio(cloud.bucket(process), engine, Ducking()),
            work=Queue(cloud),
            events=Queue(cloud),
            clock=process.clock,
            background=process.start,
            manner=Manner(),
        ).accept(record)

    streaming = Process(world, "stream")
    streaming.clock = CountingClock(streaming)
    streaming.start_main(stream, streaming)
    for at_ms, text in (asked or {}).items():
        rendering = Process(world, f"render at {at_ms}")
        rendering.start_main(speak, rendering, at_ms, text)
    world.run(seconds * 1000 + 5000)
    assert world.crashes == []
    result.slept_ms = streaming.clock.slept_ms
    return result


@pytest.fixture(scope="module")
def quiet_minute(song, engine) -> Played:
    """A minute of music and nothing else: five times round the loop."""
    return played(song, engine, 60)


# -- 1. a loop that yields silence instead of audio ---------------------------------------------------


def test_every_frame_that_flows_is_the_music_itself(quiet_minute, song):
    music = (song.loop * 8)[: 60 * SAMPLE_RATE_HZ]
    assert len(quiet_minute.mulaw) == len(music)
    assert quiet_minute.mulaw[EDGE_BYTES:-EDGE_BYTES] == music[EDGE_BYTES:-EDGE_BYTES]
    assert quiet_minute.substituted_frames == 0


def test_no_second_is_without_sound(quiet_minute):
    seconds = quiet_minute.sound.reshape(60, SAMPLE_RATE_HZ)
    assert min(rms_dbov(second) for second in seconds) > LEVEL_DBOV - 10


# -- 3. no source of music chunks ---------------------------------------------------------------------


def test_what_flows_is_the_song_that_was_uploaded(quiet_minute, song):
    original = soxr.resample(song.stereo.mean(axis=1), SONG_RATE_HZ, SAMPLE_RATE_HZ)
    for from_s in (4, 6, 8):  # away from where the loop's end fades into its beginning
        excerpt = original[from_s * SAMPLE_RATE_HZ : (from_s + 1) * SAMPLE_RATE_HZ]
        assert len(hearings(quiet_minute.sound, excerpt)) >= 5


def test_music_goes_round_for_as_long_as_the_call_lasts(quiet_minute, song):
    assert song.playlist.seconds == 10  # two of its twelve went into the seam
    second, fifth = (quiet_minute.mulaw[len(song.loop) * n :][: len(song.loop)] for n in (1, 4))
    assert second == fifth == song.loop


# -- 4. a generator used up, so that the second speech is mute ----------------------------------------


def test_a_second_speech_is_heard_after_the_first_and_the_first_again(song, engine):
    asked = {3000.0: TEXTS[0], 3100.0: TEXTS[1], 12_000.0: TEXTS[0], 18_000.0: TEXTS[1]}
    call = played(song, engine, 30, asked)
    (first, third), (second, fourth) = (
        hearings(call.sound, make_ready(*engine.synthesise(text)).pcm) for text in TEXTS
    )
    assert 3 < first < second < 12 < third < 18 < fourth
    assert call.told == []  # nothing was missed, nothing had to be said again


def test_the_music_goes_on_where_it_would_have_been_without_the_speech(song, engine):
    call = played(song, engine, 20, {3000.0: TEXTS[0]})
    music = (song.loop * 3)[: 20 * SAMPLE_RATE_HZ]
    (at_s,) = hearings(call.sound, make_ready(*engine.synthesise(TEXTS[0])).pcm)
    before, after = int((at_s - 0.2) * SAMPLE_RATE_HZ), 10 * SAMPLE_RATE_HZ
    assert call.mulaw[EDGE_BYTES:before] == music[EDGE_BYTES:before]
    assert call.mulaw[before:after] != music[before:after]
    assert call.mulaw[after:-EDGE_BYTES] == music[after:-EDGE_BYTES]


# -- 6. sleeping 10 ms in a busy loop -----------------------------------------------------------------


def test_the_loop_wakes_when_a_step_is_due_and_at_no_other_time(quiet_minute):
    sleeps = [(at_ms, for_ms) for at_ms, for_ms in quiet_minute.slept_ms if 5000 < at_ms < 55_000]
    assert 3 * 50 <= len(sleeps) <= 5 * 50
    assert min(for_ms for _, for_ms in sleeps) > 100
    assert sum(for_ms for _, for_ms in sleeps) > 0.9 * 50_000


def test_chunks_hold_from_20_to_250_ms(quiet_minute):
    lengths_ms = {len(chunk) // FRAME_BYTES * FRAME_MS for _, chunk in quiet_minute.chunks}
    assert all(len(chunk) % FRAME_BYTES == 0 for _, chunk in quiet_minute.chunks)
    assert min(lengths_ms) >= 20
    assert max(lengths_ms) <= 250


def test_bytes_run_ahead_of_the_ear_by_the_lead_and_not_by_much_more(quiet_minute):
    began_ms, sent_ms = quiet_minute.chunks[0][0], 0.0
    for arrived_ms, chunk in quiet_minute.chunks:
        if sent_ms > LEAD_MS:
            assert LEAD_MS - 300 < sent_ms - (arrived_ms - began_ms) < LEAD_MS + 300
        sent_ms += len(chunk) / FRAME_BYTES * FRAME_MS


# -- the wire: real processes, sockets and a simulated Twilio -----------------------------------------

WINDOW_S = 14
ASKED_AFTER_BYTES = 3 * SAMPLE_RATE_HZ


@dataclass
class Wire:
    """A response as the socket gave it: its head, and each chunk with whether its function was over by then."""

    status: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    function_over: list[bool] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)


@dataclass
class Story:
    """A window read to its end from the socket, and beside it a call by the simulated Twilio, with two speeches."""

    wire: Wire
    call: Call
    heard: Heard


@pytest.fixture(scope="module")
def story() -> Story:
    return asyncio.run(_told())


async def _told() -> Story:
    reports: list[Report] = []
    stack = Stack(settings={"WindowSeconds": WINDOW_S}, on_report=reports.append)
    async with stack, SimulatedTwilio(stack.twilio_auth_token) as twilio:
        wire, flowing = Wire(), asyncio.Event()
        reading = asyncio.create_task(_read(await _play_url(stack), wire, reports, flowing))
        await flowing.wait()
        call = await twilio.place_call(f"{stack.base_url}/voice", f"{stack.base_url}/voice/status")
        await call.answered()
        voices: dict[str, np.ndarray] = {}
        for text in TEXTS:
            known = await asyncio.to_thread(_voices_made, stack)
            speech_id = await _said(stack, call.call_sid, text)
            made = await asyncio.to_thread(_voices_made, stack)
            (voices[speech_id],) = (made[key] for key in made.keys() - known.keys())
        await reading  # the window that was opened first, so the call is in the midst of its own
        await call.hang_up()
    loop = mulaw.decode(shipped.frames(0, shipped.playlist().frames))
    return Story(wire, call, listen(call.recording().pcm, bed=loop, speeches=voices))


def _voices_made(stack: Stack) -> dict[str, np.ndarray]:
    """Every speech that render has made ready, as it lies in the bucket."""
    s3, bucket = stack.aws.client("s3"), stack.resources["Bucket"]["Ref"]
    keys = [made["Key"] for made in s3.list_objects_v2(Bucket=bucket, Prefix="voices/").get("Contents", [])]
    return {key: from_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read()).pcm for key in keys}


async def _play_url(stack: Stack) -> str:
    """The URL in the TwiML that a call gets."""
    url, form = f"{stack.base_url}/voice", {"CallSid": SID, "CallStatus": "ringing"}
    signature = {"X-Twilio-Signature": sign(stack.twilio_auth_token, url, form.items())}
    async with aiohttp.ClientSession() as twilio, twilio.post(url, data=form, headers=signature) as answer:
        return ElementTree.fromstring(await answer.text()).findtext("Play")  # noqa: S314 - our own


async def _said(stack: Stack, call_sid: str, text: str) -> str:
    url, key = f"{stack.base_url}/calls/{call_sid}/speeches", {"Authorization": f"Bearer {stack.api_key}"}
    async with aiohttp.ClientSession(headers=key) as api, api.post(url, json={"text": text}) as answer:
        assert answer.status == 201, await answer.text()
        return (await answer.json())["speech_id"]


async def _read(url: str, wire: Wire, reports: list[Report], flowing: asyncio.Event) -> None:
    """Fetches `url` and takes the response apart, byte by byte; `flowing` is set once some of it has been heard."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    wire.status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    wire.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    (pid,) = {report.pid for report in reports if (report.what, report.function) == ("start", "StreamFunction")}
    while size := int(await reader.readline(), 16):
        wire.chunks.append((await reader.readexactly(size + 2))[:size])
        wire.function_over.append(any((report.what, report.pid) == ("end", pid) for report in reports))
        if len(wire.body) > ASKED_AFTER_BYTES:
            flowing.set()
            wire.cpu_s.append(_cpu_s(pid))
    writer.close()
    await writer.wait_closed()


def _cpu_s(pid: int) -> float:
    """The processor time that a process has used, where the system tells it; elsewhere 0."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# -- 2. no WAV header ---------------------------------------------------------------------------------


def test_the_body_begins_with_a_wav_header_and_holds_exactly_what_that_declares(story):
    body, samples = story.wire.body, WINDOW_S * SAMPLE_RATE_HZ
    assert story.wire.headers["content-type"] == "audio/wav"
    assert len(body) == 58 + samples
    assert body[:4] + body[8:16] == b"RIFFWAVEfmt "
    assert struct.unpack("<I", body[4:8]) == (len(body) - 8,)
    assert struct.unpack("<IHHIIHHH", body[16:38]) == (18, 7, 1, 8000, 8000, 1, 8, 0)  # µ-law, one channel, 8 kHz
    assert body[38:58] == b"fact" + struct.pack("<II", 4, samples) + b"data" + struct.pack("<I", samples)


def test_a_player_that_is_not_ours_reads_it_without_a_word(story):
    command = [get_ffmpeg_exe(), "-v", "error", "-i", "-", "-f", "s16le", "-"]
    read = subprocess.run(command, input=story.wire.body, capture_output=True, check=True)
    assert (len(read.stdout), read.stderr) == (2 * WINDOW_S * SAMPLE_RATE_HZ, b"")


# -- 5. no chunked transfer ---------------------------------------------------------------------------


def test_the_response_is_chunked_and_of_no_length_told_beforehand(story):
    assert story.wire.status == "HTTP/1.1 200 OK"
    assert story.wire.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in story.wire.headers
    assert max(len(chunk) for chunk in story.wire.chunks) <= SAMPLE_RATE_HZ / 4


def test_audio_arrives_while_the_function_still_makes_the_rest(story):
    arrived = np.cumsum([len(chunk) for chunk in story.wire.chunks]) / len(story.wire.body)
    in_time = arrived[~np.array(story.wire.function_over)]
    assert in_time[0] < 0.01
    assert in_time[-1] > 0.95


# -- 6 again: a real process on a real processor ------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="processor time of another process is read from /proc")
def test_the_process_that_streams_leaves_the_processor_idle(story):
    streamed_s = WINDOW_S - ASKED_AFTER_BYTES / SAMPLE_RATE_HZ
    assert story.wire.cpu_s[-1] - story.wire.cpu_s[0] < 0.15 * streamed_s


# -- 7. nothing tried against Twilio ------------------------------------------------------------------


def test_a_caller_hears_music_without_a_gap_a_click_or_a_repeat(story):
    heard = story.heard
    assert (heard.gaps, heard.clicks, heard.repeats, heard.skips) == ((), (), (), ())
    assert (heard.level_jumps, heard.unexplained) == ((), ())
    assert heard.duration_s > 9


def test_nothing_came_too_late_for_the_callers_ear_and_twilio_had_nothing_to_complain_of(story):
    assert (story.call.underruns, story.call.late_chunks, story.call.errors) == ([], [], [])


def test_speeches_that_queue_are_heard_whole_and_in_order_over_ducked_music(story):
    first, second = story.heard.speeches
    assert story.heard.in_order
    assert first.whole
    assert second.whole
    assert first.ended_at_s < second.heard_at_s < first.ended_at_s + 1
    assert min(first.speech_to_bed_db, second.speech_to_bed_db) >= 18
    assert min(first.duck_db, second.duck_db) > 8
    assert first.ramp_down_ms > 50
    assert second.ramp_up_ms > 200
