"""voice, render and stream as one application in one event loop: their own code on stores in memory.

Only what AWS puts around them is left out. How long requests take on their way is stated here, so that the gaps that
are measured can be compared with a deployment's.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from aiohttp import web

from duckline import stream_token
from duckline.bed import Playlist, Segment
from duckline.berth import Manner
from duckline.call import Call, Part
from duckline.delivery import Delivery
from duckline.envelope import Ducking
from duckline.errors import DucklineError
from duckline.records import BedRecord, SpeechRecord, speech_id_for
from duckline.settings import Webhooks
from duckline.sound import mulaw
from duckline.stores import NotReached
from duckline.stores.findings import MemoryFindings
from duckline.stores.memory import MemoryBeds, MemoryCalls, MemorySounds, MemorySpeeches
from duckline.timeline import FRAME_BYTES, SAMPLE_RATE_HZ, SEGMENT_FRAMES
from duckline.wav import mulaw_header, pcm16_header
from local.matrix.fibre import Background, FibreClock, run
from local.payload import Request, answer, event
from local.twilio import Behaviour, SimulatedTwilio, VirtualClock
from render.speaking import Speaking
from render.studio import Studio
from stream.books import Books
from stream.companding import pcm16
from stream.playing import NotHeld, Playing, Services
from stream.sources import Sources
from voice.answering import Answering
from voice.ending import Ending
from voice.notices import Notices
from voice.switchboard import Switchboard

WEBHOOK_MS = 100  # to API Gateway, a warm voice, and back
FETCH_MS = 150  # to the function URL, a warm stream, and its first byte back
TABLE_MS = 5  # a write that nobody waits for in line
AUTH_TOKEN = "matrix"  # noqa: S105
STREAM_KEY = "k" * 64
LONGEST_MS = 880_000  # what Lambda leaves a stream
BED, BED_S, BED_DBOV = "noise", 61, -28.0
WORDS = "Your call is important to us."
SECRETS = {"token": AUTH_TOKEN, "key": STREAM_KEY}


@dataclass(frozen=True, slots=True)
class Settings:
    """The parameters of template.yaml that the matrix turns."""

    delivery: str = "auto"
    window_seconds: float = 60
    lead_seconds: float = 1.0
    stream_format: str = "mulaw"


class Service:
    """`async with Service(settings) as service`: an address for calls, and what was said in them."""

    def __init__(self, settings: Settings, behaviour: Behaviour) -> None:
        self.settings = settings
        self.delivery = Delivery(settings.delivery, settings.window_seconds)
        self.clock = VirtualClock(self._is_quiet)
        self.twilio = SimulatedTwilio(AUTH_TOKEN, clock=self.clock, behaviour=behaviour)
        self.findings, self.calls, self.speeches = MemoryFindings(), WatchedCalls(), MemorySpeeches()
        self.sounds, self.beds = MemorySounds(), MemoryBeds()
        self.events: list[dict] = []
        self.streams_begun = 0
        self.streams_over: list[float] = []
        "When each stream function ended, whether anybody still listened or not."
        self._fibres = FibreClock(self.clock)
        self.background = Background(self.clock, TABLE_MS)
        self._busy = self._held = 0
        self._keep_bed()

    async def __aenter__(self) -> "Service":
        application = web.Application()
        application.router.add_route("*", "/stream/{token}.wav", self._stream)
        application.router.add_post("/{route:.*}", self._webhook)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        settings = Webhooks(self.url, self.url, BED, "key", "token")
        notices = Notices(self, self, self.background)
        answering = Answering(self.calls, self.beds, self.findings, notices, self.delivery, BED)
        ending = Ending(self.calls, self.speeches, notices)
        self.switchboard = Switchboard(answering, ending, Vault(), settings, _plain_url, logging.getLogger("matrix"))
        studio = Studio(self.sounds, Hum(), Ducking())
        self.speaking = Speaking(
            calls=self.calls,
            speeches=self.speeches,
            studio=studio,
            work=self,
            events=self,
            clock=self._fibres,
            background=self.background,
            manner=Manner(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.twilio.close()
        await self._runner.cleanup()

    async def pass_time(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        if self.background.failed:
            raise self.background.failed[0]

    async def speak(self, call_sid: str, key: str) -> str:
        """A speech of some three seconds; its id. All are the same words, made once, each over other music."""
        speech_id = speech_id_for(call_sid, key)
        record = SpeechRecord(call_sid, speech_id, "same", self._fibres.now_ms(), text=WORDS)
        accepting = asyncio.ensure_future(run(self.speaking.accept, record))
        while not accepting.done():
            await self.clock.advance(0.05)
        accepting.result()
        return speech_id

    # -- what the functions tell ----------------------------------------------------------------------

    def send(self, message: dict, delay_s: int = 0) -> None:
        """The work queue."""
        self.background(self._work, message)

    def _work(self, message: dict) -> None:
        with contextlib.suppress(DucklineError):
            if message["kind"] == "go_on":
                self.speaking.go_on(message["call_sid"], message["speech_id"], message["maker"])
            else:
                self.speaking.take_up(message["call_sid"])

    def publish(self, events: list[dict]) -> None:
        self.events += events

    # -- the routes -----------------------------------------------------------------------------------

    async def _webhook(self, request: web.Request) -> web.Response:
        with self._working():
            body = await request.read()
            await self._on_its_way(WEBHOOK_MS)
            answered = answer(await run(self.switchboard.answer, _event(request, body), self._fibres.now_ms()))
            return web.Response(status=answered.status, body=answered.body, headers=dict(answered.headers))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": "audio/wav", "Cache-Control": "no-store"}
        with self._working():
            await self._on_its_way(FETCH_MS)
            response = web.StreamResponse(headers=headers)
            if request.method == "HEAD":
                await response.prepare(request)
                return response
            token = stream_token.read(STREAM_KEY, request.match_info["token"], self._fibres.now_ms() / 1000)
            playing = Playing(self._services(), self.delivery, lead_ms=self.settings.lead_seconds * 1000)
            try:
                call = await run(playing.open, token.call_sid, token.epoch, uuid.uuid4().hex[:8], LONGEST_MS)
            except (NotHeld, NotReached) as refusal:
                return web.Response(status=403 if isinstance(refusal, NotHeld) else 503, text=str(refusal))
            await response.prepare(request)
        # As on AWS, the function runs on when nobody listens any more.
        chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.background(self._play, playing, call, chunks)
        while (chunk := await chunks.get()) is not None:
            try:
                await response.write(chunk)
            except ConnectionError:
                break
        return response

    def _play(self, playing: Playing, call: Call, chunks: "asyncio.Queue[bytes | None]") -> None:
        self.streams_begun += 1
        for chunk in self._body(playing, (call.window_until - call.window_from) * FRAME_BYTES):
            chunks.put_nowait(chunk)
        chunks.put_nowait(None)
        self.streams_over.append(self.clock.time())

    def _body(self, playing: Playing, samples: int) -> Iterator[bytes]:
        if self.settings.stream_format == "mulaw":
            yield mulaw_header(samples)
            yield from playing.audio()
        else:
            yield pcm16_header(samples)
            yield from map(pcm16, playing.audio())

    def _services(self) -> Services:
        def books() -> Books:
            return Books(self.speeches, self, self, self.background)

        sources = Sources(self.sounds, self._fibres, self.background, _no_substitute)
        return Services(self.calls, books, sources, self._fibres, self.background, lambda *args, **kwargs: None)

    # -- virtual time ---------------------------------------------------------------------------------

    def _is_quiet(self) -> bool:
        """Whether nothing is under way that no clock will move: a request that is asked and not answered yet."""
        asked = sum(request.open for call in self.twilio.calls for request in call.log)
        return self._busy == 0 and asked <= self._held

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    async def _on_its_way(self, ms: float) -> None:
        self._busy -= 1
        self._held += 1
        try:
            await self.clock.sleep_until(self.clock.time() + ms / 1000)
        finally:
            self._held -= 1
            self._busy += 1

    def _keep_bed(self) -> None:
        """A bed of noise, in which every frame is known again."""
        level = 10 ** (BED_DBOV / 20)
        noise = np.random.default_rng(1).normal(0.0, level, BED_S * SAMPLE_RATE_HZ)
        body = mulaw.encode(noise.astype(np.float32))
        segments = []
        size = SEGMENT_FRAMES * FRAME_BYTES
        for number, at in enumerate(range(0, len(body), size)):
            key = f"beds/{BED}/{number:05d}.ulaw"
            self.sounds.put(key, body[at : at + size])
            segments.append(Segment(key, len(body[at : at + size]) // FRAME_BYTES, ""))
        playlist = Playlist(BED, len(body) // FRAME_BYTES, BED_DBOV, SEGMENT_FRAMES, tuple(segments))
        self.sounds.put(f"beds/{BED}/playlist.json", playlist.to_json().encode())
        self.beds.keep(BedRecord(BED, "ready", version=BED))
        self.bed = body


class WatchedCalls(MemoryCalls):
    """Remembers every clip of every speech, also of those that have left the call's item."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, dict[str, Part]] = {}

    def write(self, before: Call, after: Call, *, exact: bool = False) -> Call:
        written = super().write(before, after, exact=exact)
        for speech in written.speeches:
            self.parts.setdefault(speech.speech_id, {}).update({part.clip: part for part in speech.spoken_parts})
        return written


class Vault:
    """`duckline.stores.secrets.Secrets` of one value each."""

    def values(self, secret_id: str) -> tuple[str, ...]:
        return (SECRETS[secret_id],)

    fresh = values


class Hum:
    """A speech engine whose words are noise, as long as speech."""

    name = "hum"
    seconds = 3.0

    def check_voice(self, voice: str | None) -> str:
        return voice or self.name

    def synthesise(self, text: str, *, voice: str | None = None, ssml: bool = False) -> tuple[np.ndarray, int]:
        noise = np.random.default_rng(2).normal(0.0, 0.1, round(self.seconds * SAMPLE_RATE_HZ))
        return noise.astype(np.float32), SAMPLE_RATE_HZ


def _event(request: web.Request, body: bytes) -> dict:
    path, _, query = request.raw_path.partition("?")
    asked = Request(request.method, path, query, list(request.headers.items()), body, request.remote or "")
    return event(
        asked, route=f"{request.method} {path}", path_parameters={}, domain="127.0.0.1", request_id="m", now_ms=0
    )


def _plain_url(version: str) -> str:
    raise AssertionError(f"a plain copy of {version} was asked for; every window can be opened here")


def _no_substitute(first: int, frames: int) -> bytes:
    raise AssertionError(f"{frames} frames of the bed had to be substituted; everything is in the bucket here")
