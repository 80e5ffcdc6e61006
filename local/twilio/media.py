"""The fetch of a `<Play>`'s URL, as Twilio or a proxy before it may do it.

No parameter, cookie or signature goes with it (FACTS). Each fetch has a connection of its own.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import numpy as np
from yarl import URL

from local.twilio import g711
from local.twilio.behaviours import Behaviour
from local.twilio.clock import Clock, abandon
from local.twilio.log import CallFault, Request
from local.twilio.loopback import NotLoopbackError, StampedSocket, require_loopback, socket_factory
from local.twilio.wav import MULAW, RawMulaw, WavError, WavReader
from local.twilio.window import Arrival, Window

# Twilio, "Play": supported audio types.
WAV_TYPES = ("audio/wav", "audio/wave", "audio/x-wav")
RAW_TYPE = "audio/ulaw"
OTHER_TYPES = ("audio/mpeg", "audio/aiff", "audio/x-aiff", "audio/x-gsm", "audio/gsm")
SILENCE_LIMIT_S = 15.0  # until the answer, and between two packets
USER_AGENT = "TwilioProxy/1.1"
_SLOW_BUFFER_BYTES = 4096


class Fetch:
    """Brings one window's body to its play-out. `run()` returns when the request is over."""

    def __init__(self, window: Window, behaviour: Behaviour, clock: Clock, log: list[Request]) -> None:
        self._window = window
        self._behaviour = behaviour
        self._clock = clock
        self._log = log
        self._reader: WavReader | RawMulaw = WavReader()
        self._joined = bytearray()
        self._odd_byte = b""
        self._moved_at = self._last_came_at = window.asked_at
        self._sockets: list[StampedSocket] = []
        self._socket: StampedSocket
        "The one that the request under way is answered on."

    async def run(self) -> None:
        """Fetch and feed the play-out. CallFault if there is nothing that can be played."""
        reading = asyncio.ensure_future(self._read())
        watching = asyncio.ensure_future(self._watch())
        try:
            await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
            else:
                watching.result()
        except CallFault:
            self._window.failed = True
            raise
        except (WavError, NotLoopbackError) as error:
            self._window.failed = True
            code = 12300 if isinstance(error, WavError) else 11200
            raise CallFault(code, str(error), self._window.url) from error
        finally:
            await abandon(reading, watching)
            self._finish(self._clock.time())

    async def _watch(self) -> None:
        """Wait for the moment at which Twilio gives the request up."""
        limit_s = self._behaviour.media_limit_s
        cut_at = float("inf") if limit_s is None else self._window.asked_at + limit_s
        while True:
            stale_at = self._moved_at + SILENCE_LIMIT_S
            now = self._clock.time()
            if now >= cut_at:
                self._window.closed_by = "limit"
                return
            if now >= stale_at:
                if self._reader.complete:
                    return
                self._window.closed_by = "limit"
                raise CallFault(11200, f"nothing came for {SILENCE_LIMIT_S:g} s", self._window.url)
            await self._clock.sleep_until(min(cut_at, stale_at))

    async def _read(self) -> None:
        behaviour, url = self._behaviour, require_loopback(self._window.url)
        async with self._session() as session:
            if behaviour.head_first:
                async with self._asking(session, "HEAD", url) as response:
                    self._judge(response)
            if behaviour.closes_at_once:
                async with self._asking(session, "GET", url) as response:
                    response.close()
            async with contextlib.AsyncExitStack() as stack:
                response = await stack.enter_async_context(self._asking(session, "GET", url))
                if behaviour.repeated_get:
                    first = asyncio.ensure_future(_drain(response))
                    stack.push_async_callback(abandon, first)
                    response = await stack.enter_async_context(self._asking(session, "GET", url))
                self._judge(response)
                if response.content_type == RAW_TYPE:
                    self._reader = RawMulaw()
                await self._receive(response)

    def _session(self) -> aiohttp.ClientSession:
        slow = self._behaviour.slow_reader_bytes_per_s is not None
        make = socket_factory(self._clock, receive_buffer_bytes=_SLOW_BUFFER_BYTES if slow else None)

        def remembered(address_info: Any) -> StampedSocket:
            self._sockets.append(make(address_info))
            return self._sockets[-1]

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(socket_factory=remembered, force_close=True),
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=_SLOW_BUFFER_BYTES if slow else 2**16,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    @contextlib.asynccontextmanager
    async def _asking(
        self, session: aiohttp.ClientSession, method: str, url: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"User-Agent": USER_AGENT, "Accept": "*/*"}
        if method == "GET" and self._behaviour.range_header:
            headers["Range"] = "bytes=0-"
        request = Request("head" if method == "HEAD" else "media", method, url, headers, self._clock.time())
        self._log.append(request)
        sockets_before = len(self._sockets)
        try:
            response = await session.request(method, URL(url, encoded=True), headers=headers)
        except aiohttp.ClientConnectorError as error:
            request.failure = str(error)
            raise CallFault(11205, f"no connection: {error}", url) from error
        except (aiohttp.ClientError, NotLoopbackError) as error:
            request.failure = str(error) or type(error).__name__
            raise CallFault(11200, f"no answer: {request.failure}", url) from error
        except asyncio.CancelledError:
            request.failure = "given up"
            raise
        # A name with two addresses makes two sockets, of which one is answered; a redirect, two of which the last is.
        self._socket = [made for made in self._sockets[sockets_before:] if made.arrived_at][-1]
        self._moved_at = request.answered_at = self._clock.time()
        request.status, request.answer_headers = response.status, response.headers
        async with response:
            yield response

    def _judge(self, response: aiohttp.ClientResponse) -> None:
        """CallFault if Twilio would not play what comes with these headers."""
        url = self._window.url
        partial = response.status == 206 and response.headers.get("Content-Range", "").startswith("bytes 0-")
        if response.status != 200 and not (partial and self._behaviour.range_header):
            raise CallFault(11200, f"{response.method} was answered {response.status}; 200 is right", url)
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind in OTHER_TYPES:
            raise CallFault(12300, f"{kind!r} is for Twilio to decode; this simulator plays WAV and {RAW_TYPE}", url)
        if kind not in (*WAV_TYPES, RAW_TYPE):
            raise CallFault(12300, f"Content-Type is {kind!r}; {WAV_TYPES[0]!r} is right", url)

    async def _receive(self, response: aiohttp.ClientResponse) -> None:
        speed = self._behaviour.slow_reader_bytes_per_s
        try:
            while True:
                data = await (response.content.readany() if speed is None else response.content.read(speed // 50 or 1))
                if not data:
                    break
                self._moved_at = self._clock.time()
                at = self._came_at()
                self._window.received_bytes += len(data)
                self._hand_on(at, data)
                if speed:
                    await self._clock.sleep_until(self._window.asked_at + self._window.received_bytes / speed)
        except aiohttp.ClientError:
            self._window.truncated = True
        ended_at = self._came_at()
        self._window.stream_ended_at = ended_at
        self._window.closed_by = self._window.closed_by or "server"
        self._hand_on_rest(ended_at)
        if self._reader.format is None:
            raise WavError(f"the body ended after {self._window.received_bytes} bytes, before any audio")
        self._finish(ended_at)

    def _came_at(self) -> float:
        """When what was read last came: for a slow reader when it took it, for any other when the kernel had it."""
        slow = self._behaviour.slow_reader_bytes_per_s is not None
        # The kernel's stamps are of another clock, which may be set back.
        self._last_came_at = max(self._last_came_at, self._clock.time() if slow else self._socket.arrived_at)
        return self._last_came_at

    def _hand_on(self, at: float, data: bytes) -> None:
        """What the proxy lets through."""
        self._joined += data
        if len(self._joined) >= self._behaviour.joins_chunks_to_bytes:
            whole = bytes(self._joined)
            self._joined.clear()
            self._take(at, whole)

    def _hand_on_rest(self, at: float) -> None:
        """What the proxy still holds when the body is over."""
        rest = bytes(self._joined)
        self._joined.clear()
        if rest:
            self._take(at, rest)

    def _take(self, at: float, data: bytes) -> None:
        """What the player gets."""
        window, reader = self._window, self._reader
        window.arrivals.append(Arrival(at, len(data)))
        audio = reader.feed(data)
        if reader.format is None:
            return
        if window.format is None:
            window.format = reader.format
            if window.play_out.start_bytes is not None:
                window.play_out.start_bytes //= reader.format.bytes_per_sample
        if reader.format.tag != MULAW:
            audio = self._odd_byte + audio
            cut = len(audio) % 2
            self._odd_byte = audio[len(audio) - cut :]
            audio = g711.encode(np.frombuffer(audio[: len(audio) - cut], "<i2"))
        window.play_out.arrive(at, audio)
        if reader.complete:
            self._no_more(at)

    def _finish(self, at: float) -> None:
        """No more of the body will come. A second time does nothing."""
        with contextlib.suppress(WavError):  # it was told, or came just before the request was given up
            self._hand_on_rest(at)
        declared = self._reader.format.data_bytes if self._reader.format else None
        broken_off = self._window.closed_by in ("server", "limit")
        if declared is not None and not self._reader.complete and broken_off:
            self._window.truncated = True
        self._no_more(at)

    def _no_more(self, at: float) -> None:
        """All that will be played has come by `at`."""
        window = self._window
        window.problems = self._reader.problems
        window.left_over_bytes = self._reader.left_over_bytes
        window.longest_wait_in_socket_s = max((made.longest_wait_s for made in self._sockets), default=0.0)
        window.play_out.end(at)
        window.all_there.set()


async def _drain(response: aiohttp.ClientResponse) -> None:
    with contextlib.suppress(aiohttp.ClientError):
        async for _ in response.content.iter_any():
            pass
