"""The front door of the local stack: the HTTP API of template.yaml, and the stream's function URL beside it.

One port serves both: paths under /stream/ are the function URL's, all others the API's. Limits are AWS's own:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
"""

import asyncio
import json
import logging
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from aiohttp import web

from local.invocation import Body, InvocationFailed, Throttled
from local.payload import EVENT_MAX_BYTES, Answer, BadAnswer, Request, answer, event
from local.routes import Routes
from local.template import Route

API_LIMIT_S = 30.0
BODY_MAX_BYTES = 10 * 1024 * 1024
STREAM_PREFIX = "/stream/"

log = logging.getLogger("local.gateway")


class Streamed(Protocol):
    """An answer that has begun; its body raises InvocationFailed if the function fails in the midst of it."""

    status: int
    headers: Mapping[str, str]
    cookies: Sequence[str]
    body: Body


Invoke = Callable[[str, dict[str, Any]], Awaitable[Any]]
InvokeStreaming = Callable[[str, dict[str, Any]], Awaitable[Streamed]]


class Gateway:
    """An HTTP server that turns requests into invocations.

    `functions` says which function answers which route, `stream_function` which has the function URL. `mount` is given
    the application first, to add routes that are no function's.
    """

    def __init__(
        self,
        functions: Mapping[Route, str],
        stream_function: str,
        *,
        invoke: Invoke,
        invoke_streaming: InvokeStreaming,
        limit_s: float = API_LIMIT_S,
        mount: Callable[[web.Application], None] = lambda application: None,
    ) -> None:
        self._mount = mount
        self._routes, self._stream_function = Routes(functions), stream_function
        self._invoke, self._invoke_streaming, self._limit_s = invoke, invoke_streaming, limit_s
        self._left_running: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None

    async def start(self, listening: socket.socket) -> None:
        """Serve on a socket that is bound already."""
        application = web.Application()
        self._mount(application)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        left = list(self._left_running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _serve(self, incoming: web.Request) -> web.StreamResponse:
        path, _, query = incoming.raw_path.partition("?")
        streams = path.startswith(STREAM_PREFIX)
        found = ("$default", self._stream_function, {}) if streams else self._routes.find(incoming.method, path)
        if found is None:
            return _response(Answer.message(404, "Not Found"))
        key, function, parameters = found
        body = await _body(incoming)
        if body is None:
            return _response(Answer.message(413, "Request Entity Too Large"))
        request_id = str(uuid.uuid4())
        request = Request(
            method=incoming.method,
            path=path,
            query=query,
            headers=[*incoming.headers.items(), *_forwarded(incoming)],
            body=body,
            source_ip=incoming.remote or "",
        )
        made = event(
            request,
            route=key,
            path_parameters=parameters,
            domain=incoming.host.rsplit(":", 1)[0],
            request_id=request_id,
            now_ms=time.time_ns() // 1_000_000,
        )
        if len(json.dumps(made)) > EVENT_MAX_BYTES:
            return _response(Answer.message(413, "Request Entity Too Large"))
        if streams:
            return await self._stream(incoming, function, made)
        response = _response(await self._answer(function, made))
        response.headers["apigw-requestid"] = request_id
        return response

    async def _answer(self, function: str, made: dict[str, Any]) -> Answer:
        invocation = self._keep(asyncio.ensure_future(self._invoke(function, made)))
        done, _ = await asyncio.wait([invocation], timeout=self._limit_s)
        if not done:  # the function goes on all the same
            return Answer.message(503, "Service Unavailable")
        try:
            return answer(invocation.result())
        except Throttled:
            return Answer.message(503, "Service Unavailable")
        except (InvocationFailed, BadAnswer) as error:
            log.warning("%s: %s answered 500: %s", made["routeKey"], function, error)
            return Answer.message(500, "Internal Server Error")

    async def _stream(self, incoming: web.Request, function: str, made: dict[str, Any]) -> web.StreamResponse:
        """Hand every chunk on as it comes. A client that goes away is not told to the function: it runs to its end."""
        try:
            streamed = await self._invoke_streaming(function, made)
        except Throttled:
            return _response(Answer.message(429, "Rate Exceeded"))
        except InvocationFailed as error:
            log.warning("%s failed before it answered: %s", function, error)
            return _response(Answer.message(502, "Internal Server Error"))
        response = web.StreamResponse(status=streamed.status)
        for name, value in _all_headers(streamed):
            response.headers.add(name, value)
        if "content-length" not in response.headers and incoming.version >= (1, 1):
            response.enable_chunked_encoding()
        try:
            await response.prepare(incoming)
            if incoming.method != "HEAD":
                async for chunk in streamed.body:
                    await response.write(chunk)
            await response.write_eof()
        except ConnectionError:
            log.debug("the client of %s went away", function)
        except InvocationFailed as error:
            log.warning("%s failed in the midst of its response: %s", function, error)
            if incoming.transport is not None:
                incoming.transport.abort()  # a body that is cut short is all that can be told by now
        finally:
            streamed.body.close()
        return response

    def _keep(self, task: "asyncio.Future[Any]") -> "asyncio.Future[Any]":
        """Hold on to what runs on by itself, until it has ended."""
        self._left_running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Future[Any]") -> None:
        self._left_running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.debug("ended by %r", error)  # who waited for it has dealt with it, or is gone


async def _body(incoming: web.Request) -> bytes | None:
    """The body, or None if it is too long."""
    if (incoming.content_length or 0) > BODY_MAX_BYTES:
        return None
    body = bytearray()
    async for chunk in incoming.content.iter_any():
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            return None
    return bytes(body)


def _forwarded(incoming: web.Request) -> list[tuple[str, str]]:
    """What a gateway adds to the client's headers."""
    port = incoming.host.rpartition(":")[2] if ":" in incoming.host else "80"
    return [
        ("x-forwarded-for", incoming.remote or ""),
        ("x-forwarded-port", port),
        ("x-forwarded-proto", incoming.scheme),
    ]


def _response(made: Answer) -> web.Response:
    response = web.Response(status=made.status, body=made.body)
    response.headers.popall("Content-Type", None)
    for name, value in made.headers:
        if name not in ("content-length", "transfer-encoding"):
            response.headers.add(name, value)
    return response


def _all_headers(streamed: Streamed) -> Iterable[tuple[str, str]]:
    yield from streamed.headers.items()
    for cookie in streamed.cookies:
        yield "set-cookie", cookie
