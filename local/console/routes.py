"""The console's routes, beside those of template.yaml on the same port."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from duckline.stores import Calls
from local.console.guard import HEADERS, refusal
from local.console.listening import Listening
from local.twilio import Call, SimulatedTwilio

PAGE = Path(__file__).parent / "page"
FILE = re.compile(r"[a-z][a-z-]*\.(?:js|css|svg)")
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
LEFT_ALONE_S = 10.0  # a call to which no page listens any more is hung up: nobody else would
BED_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Console:
    """Calls placed from a browser, and the page for it. `mount` it on the gateway's application, `close` it at the end.

    `facts` is what the page is told of the stack (addresses, the API's key, the music), `twilio_auth_token` what its
    simulated Twilio signs with, `calls` the table in which schedules are read.
    """

    def __init__(self, facts: Mapping[str, Any], twilio_auth_token: str, calls: Calls) -> None:
        self._facts, self._calls = facts, calls
        self._twilio = SimulatedTwilio(twilio_auth_token)
        self._listeners: dict[str, int] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def mount(self, application: web.Application) -> None:
        """Add the routes; to be called before those that match any path."""
        router = application.router
        for method, path, handler in (
            ("GET", "/console", self._page),
            ("GET", "/console/stack.json", self._stack),
            ("POST", "/console/calls", self._place),
            ("DELETE", "/console/calls/{sid}", self._hang_up),
            ("GET", "/console/calls/{sid}/live", self._live),
            ("GET", "/console/{file}", self._file),
        ):
            router.add_route(method, path, _guarded(handler))

    async def close(self) -> None:
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await self._twilio.close()

    # -- the page ---------------------------------------------------------------------------------------------------

    async def _page(self, request: web.Request) -> web.Response:
        return _file(PAGE / "index.html")

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["file"]
        path = PAGE / name
        if not FILE.fullmatch(name) or not path.is_file():
            return _problem(404, f"the console has no file {name[:80]!r}")
        return _file(path)

    async def _stack(self, request: web.Request) -> web.Response:
        return web.json_response(dict(self._facts))

    # -- the telephone ----------------------------------------------------------------------------------------------

    async def _place(self, request: web.Request) -> web.Response:
        """`{"bed": NAME}`, or nothing for the default: a caller calls."""
        try:
            asked = json.loads(await request.text() or "{}")
            bed = asked.get("bed") or ""
        except (ValueError, AttributeError):
            return _problem(400, 'the body is not what is understood; {"bed": NAME} or nothing would be right')
        if bed and not (isinstance(bed, str) and BED_NAME.fullmatch(bed)):
            return _problem(400, f"bed is {str(bed)[:80]!r}; a name of a-z, 0-9 and - would be right")
        voice_url = self._facts["voice_url"] + (f"?bed={quote(bed)}" if bed else "")
        call = await self._twilio.place_call(voice_url, self._facts["status_url"])
        self._leave_alone(call)
        return web.json_response({"call_sid": call.call_sid}, status=201)

    async def _hang_up(self, request: web.Request) -> web.Response:
        call = self._call(request)
        if call is None:
            return _problem(404, "there is no such call from this console")
        await call.hang_up()
        return web.json_response({"call_sid": call.call_sid, "ended_by": call.ended_by})

    async def _live(self, request: web.Request) -> web.StreamResponse:
        """A WebSocket: see `local.console.listening`."""
        call = self._call(request)
        if call is None:
            return _problem(404, "there is no such call from this console")
        socket = web.WebSocketResponse(heartbeat=10, compress=False)
        await socket.prepare(request)
        self._listeners[call.call_sid] = self._listeners.get(call.call_sid, 0) + 1
        try:
            await Listening(socket, call, self._calls).run()
        finally:
            self._listeners[call.call_sid] -= 1
            self._leave_alone(call)
            await socket.close()
        return socket

    def _call(self, request: web.Request) -> Call | None:
        sid = request.match_info["sid"]
        return next((call for call in self._twilio.calls if call.call_sid == sid), None)

    def _leave_alone(self, call: Call) -> None:
        """Hang up in a while, unless a page listens by then."""
        task = asyncio.create_task(self._left(call))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _left(self, call: Call) -> None:
        await asyncio.sleep(LEFT_ALONE_S)
        if not self._listeners.get(call.call_sid):
            await call.hang_up()


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        why = refusal(request.host, request.headers.get("Origin"), request.remote)
        response = _problem(403, why) if why else await handler(request)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    return guarded


def _file(path: Path) -> web.Response:
    return web.Response(body=path.read_bytes(), content_type=TYPES[path.suffix], charset="utf-8")


def _problem(status: int, detail: str) -> web.Response:
    body = {"title": "The console cannot do that", "status": status, "detail": detail}
    return web.json_response(body, status=status, content_type="application/problem+json")
