"""An application on this machine for the simulated Twilio to call, in its event loop and on its clock."""

import asyncio
import contextlib
import inspect
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
import pytest
from aiohttp import web

from local.twilio import Behaviour, Call, RealClock, SimulatedTwilio, VirtualClock

TOKEN = "an auth token"
SECOND = 8000  # bytes of µ-law


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a test that is a coroutine function in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


def wav_header(data_bytes: int, *, tag: int = 7) -> bytes:
    """What ffmpeg, sox and libsndfile write for 8 kHz mono (FACTS)."""
    width = 2 if tag == 1 else 1
    riff_bytes = data_bytes if data_bytes in (0x7FFFF000, 0xFFFFFFFF) else 50 + data_bytes
    fmt = struct.pack("<HHIIHHH", tag, 1, 8000, 8000 * width, width, 8 * width, 0)
    riff = struct.pack("<4sI4s4sI", b"RIFF", riff_bytes, b"WAVE", b"fmt ", 18)
    fact = struct.pack("<4sII", b"fact", 4, data_bytes // width)
    return riff + fmt + fact + struct.pack("<4sI", b"data", data_bytes)


def noise(seconds: float, seed: int = 1) -> bytes:
    """µ-law in which no two frames are alike and none is silent."""
    codes = np.random.default_rng(seed).integers(0, 0x70, round(seconds * SECOND), dtype=np.uint8)
    return codes.tobytes()


@dataclass
class Stream:
    """A body for `/name.wav`: `audio` behind its header, sent in pieces at times counted from the request.

    `pieces` are (seconds, bytes of audio); what they leave is sent with the last. `then` is what comes after: `end`,
    `hang` (never ends) or `drop` (the connection is cut).
    """

    audio: bytes = b""
    header: bytes | None = None
    pieces: Iterable[tuple[float, int]] = ()
    then: str = "end"
    end_s: float = 0.0
    status: int = 200
    content_type: str = "audio/wav"
    headers: dict[str, str] = field(default_factory=dict)
    counted: bool = True
    "Whether time waits until what was sent has been read: not where the reader is slow, or not the player."

    @classmethod
    def paced(cls, audio: bytes, *, lead_s: float = 1.0, every_s: float = 0.25, **more) -> "Stream":
        """As the stack streams: the lead at once, then in real time."""
        pieces = [(0.0, round(lead_s * SECOND))]
        while sum(size for _, size in pieces) < len(audio):
            pieces.append((len(pieces) * every_s, round(every_s * SECOND)))
        return cls(audio, pieces=pieces, **more)


@dataclass
class Seen:
    """A request as the application got it."""

    method: str
    path: str
    url: str
    headers: dict[str, str]
    form: dict[str, str]
    at: float
    client_left_at: float | None = None
    sent_bytes: int = 0


class Stage:
    """`async with Stage() as stage`: an application whose answers a test writes into `twiml` and `media`."""

    def __init__(self, behaviour: Behaviour | None = None, *, virtual: bool = True, **twilio) -> None:
        self.twiml: dict[str, str | web.Response | Callable[[Seen], str]] = {}
        self.media: dict[str, Stream] = {}
        self.delays_s: dict[str, float] = {}
        self.seen: list[Seen] = []
        self._busy = 0
        self._held = 0
        self.clock = VirtualClock(self._quiet) if virtual else RealClock()
        self.twilio = SimulatedTwilio(TOKEN, clock=self.clock, behaviour=behaviour, **twilio)

    async def __aenter__(self) -> "Stage":
        app = web.Application()
        app.router.add_route("*", "/{name:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.twilio.close()
        await self._runner.cleanup()

    async def call(self, path: str = "/voice", **more) -> Call:
        return await self.twilio.place_call(self.url + path, self.url + "/status", **more)

    async def pass_time(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    def paths(self, *, without: str = "") -> list[str]:
        return [f"{seen.method} {seen.path}" for seen in self.seen if seen.path != without]

    def _quiet(self) -> bool:
        asked = sum(request.open for call in self.twilio.calls for request in call.log)
        return self._busy == 0 and asked <= self._held

    async def _sleep_until(self, at: float, *, answering: bool) -> None:
        self._busy -= 1
        self._held += answering
        try:
            await self.clock.sleep_until(at)
        finally:
            self._busy += 1
            self._held -= answering

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self._busy += 1
        try:
            form = {key: str(value) for key, value in (await request.post()).items()}
            headers = {key.lower(): value for key, value in request.headers.items()}
            seen = Seen(request.method, request.path, str(request.url), headers, form, self.clock.time())
            self.seen.append(seen)
            try:
                if request.path in self.delays_s:
                    await self._sleep_until(seen.at + self.delays_s[request.path], answering=True)
                if request.path in self.media:
                    return await self._stream(request, self.media[request.path], seen)
                return self._answer(seen)
            except (asyncio.CancelledError, ConnectionResetError):
                seen.client_left_at = self.clock.time()
                raise
        finally:
            self._busy -= 1

    def _answer(self, seen: Seen) -> web.Response:
        if seen.path == "/status":
            return web.Response(status=204)
        answer = self.twiml.get(seen.path, web.Response(status=404, text="no such page"))
        if callable(answer):
            answer = answer(seen)
        if isinstance(answer, web.Response):
            return answer
        return web.Response(text=f"<Response>{answer}</Response>", content_type="application/xml")

    async def _stream(self, request: web.Request, stream: Stream, seen: Seen) -> web.StreamResponse:
        headers = {"Content-Type": stream.content_type, **stream.headers}
        response = web.StreamResponse(status=stream.status, headers=headers)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        header = wav_header(len(stream.audio)) if stream.header is None else stream.header
        await self._send(request, response, header, stream, seen)
        sent = 0
        pieces = list(stream.pieces) or [(0.0, len(stream.audio))]
        for number, (at_s, size) in enumerate(pieces):
            if at_s:
                await self._sleep_until(seen.at + at_s, answering=False)
            piece = stream.audio[sent:] if number == len(pieces) - 1 else stream.audio[sent : sent + size]
            await self._send(request, response, piece, stream, seen)
            sent += len(piece)
        if stream.end_s:
            await self._sleep_until(seen.at + stream.end_s, answering=False)
        if stream.then == "hang":
            self._busy -= 1
            try:
                await asyncio.Event().wait()
            finally:
                self._busy += 1
        if stream.then == "drop":
            request.transport.abort()
        return response

    async def _send(
        self, request: web.Request, response: web.StreamResponse, data: bytes, stream: Stream, seen: Seen
    ) -> None:
        if not data:
            return
        if not stream.counted:
            self._busy -= 1
        try:
            await response.write(data)
        finally:
            if not stream.counted:
                self._busy += 1
        seen.sent_bytes += len(data)
        while stream.counted and request.transport is not None and self._read_bytes(seen) < seen.sent_bytes:
            await asyncio.sleep(0)

    def _read_bytes(self, seen: Seen) -> int:
        everywhere = [window for call in self.twilio.calls for window in call.windows]
        windows = [window for window in everywhere if urlsplit(window.url).path == seen.path]
        with contextlib.suppress(IndexError):
            return windows[-1].received_bytes
        return 0


@pytest.fixture
def stage() -> type[Stage]:
    return Stage


@pytest.fixture(name="noise")
def _noise() -> Callable[..., bytes]:
    return noise


@pytest.fixture(name="wav_header")
def _wav_header() -> Callable[..., bytes]:
    return wav_header


@pytest.fixture(name="stream")
def _stream() -> type[Stream]:
    return Stream
