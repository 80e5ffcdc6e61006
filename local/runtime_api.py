"""Lambda's Runtime API as one function process sees it, holding nothing back.

AWS's own emulator checks the protocol but keeps a streamed body until its end; here each chunk goes on as it comes, so
pacing, disconnects, failures in mid-stream and the deadline can be seen. The API has no room for a prefix in its paths,
so every process has a port of its own. Sources: those of `stream.runtime_api`, for the other side of the wire. The
answers to a runtime that breaks the protocol are the emulator's.
"""

import asyncio
import base64
import binascii
import json
from http import HTTPStatus

from local.http_request import HEAD_MAX_BYTES, BadRequest, CutOff, Request, read_request
from local.invocation import Body, Buffered, Invocation, InvocationFailed, Streamed

ROOT = "/2018-06-01/runtime"
PRELUDE_END = bytes(8)
PRELUDE_TYPE = "application/vnd.awslambda.http-integration-response"
PRELUDE_MAX_BYTES = 16 * 1024
BUFFERED_MAX_BYTES = 6 * 1024 * 1024 + 100  # Lambda allows 100 bytes beyond 6 MB
ERROR_TYPE, ERROR_BODY = "lambda-runtime-function-error-type", "lambda-runtime-function-error-body"

Reply = tuple[int, dict[str, str], bytes]
OK: Reply = (202, {}, b'{"status":"OK"}')


class RuntimeApi:
    """The server that one process asks for its work. `started` is done when the process first asks."""

    def __init__(self, function_arn: str):
        self.address = ""
        self.init_error: InvocationFailed | None = None
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._function_arn = function_arn
        self._given: asyncio.Queue[Invocation] = asyncio.Queue()
        self._current: Invocation | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port of this machine; `address` is what AWS_LAMBDA_RUNTIME_API says."""
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", 0, limit=HEAD_MAX_BYTES)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"

    async def stop(self) -> None:
        if self._server:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def give(self, invocation: Invocation) -> None:
        """The answer to the process's next or present `next`."""
        self._given.put_nowait(invocation)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request. Whether the process is gone is told by its exit, not by this."""
        task = asyncio.current_task()
        self._connections.add(task)
        try:
            while request := await read_request(reader):
                if request.headers.get("expect", "").lower() == "100-continue":
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                writer.write(_response(await self._answer(request)))
                await writer.drain()
        except BadRequest as error:
            writer.write(_response(_refused(400, "BadRequest", str(error))))
        except (CutOff, ConnectionError, asyncio.CancelledError):  # the process is gone, or `stop` was called
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _answer(self, request: Request) -> Reply:
        match request.method, request.path.removeprefix(f"{ROOT}/").split("/"):
            case "GET", ["invocation", "next"]:
                return await self._next()
            case "POST", ["init", "error"]:
                self.init_error = _failure(request.headers.get(ERROR_TYPE), await request.body())
                return OK
            case "POST", ["invocation", request_id, ("response" | "error") as what]:
                current = self._current
                if current is None or current.request_id != request_id:
                    await request.body()
                    return _refused(400, "InvalidRequestID", f"the invocation {request_id} is not running here")
                if current.answer.done():
                    await request.body()
                    return _refused(403, "InvalidStateTransition", f"the invocation {request_id} has its answer")
                return await (self._error if what == "error" else self._response)(current, request)
            case _:
                await request.body()
                return _refused(404, "NotFound", f"{request.method} {request.path} is not in the Runtime API")

    async def _next(self) -> Reply:
        if self._current and not self._current.answered_whole:
            return _refused(403, "InvalidStateTransition", f"{self._current.request_id} has not had its answer")
        if self._current:
            self._current.left.set_result(None)
            self._current = None
        if not self.started.done():
            self.started.set_result(None)
        self._current = given = await self._given.get()
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": given.request_id,
            "Lambda-Runtime-Deadline-Ms": str(given.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self._function_arn,
            "Lambda-Runtime-Trace-Id": given.trace_id,  # awslambdaric crashes without it
        }
        return 200, headers, given.event

    async def _error(self, current: Invocation, request: Request) -> Reply:
        current.complete(_failure(request.headers.get(ERROR_TYPE), await request.body()))
        return OK

    async def _response(self, current: Invocation, request: Request) -> Reply:
        if request.headers.get("lambda-runtime-function-response-mode", "").lower() == "streaming":
            return await self._streamed(current, request)
        payload = await request.body()
        if len(payload) > BUFFERED_MAX_BYTES:
            text = f"the response has {len(payload)} bytes; Lambda takes {BUFFERED_MAX_BYTES}"
            current.complete(InvocationFailed("Function.ResponseSizeTooLarge", text))
            return _refused(413, "RequestEntityTooLarge", text)
        current.begin(Buffered(payload))
        current.complete()
        return OK

    async def _streamed(self, current: Invocation, request: Request) -> Reply:
        """A response that is cut off stays unanswered, as Lambda has it: `next` is refused then, the process ends."""
        body, head = Body(), b""
        content_type = request.headers.get("content-type", "application/octet-stream")
        if content_type != PRELUDE_TYPE:
            current.begin(Streamed(200, {"content-type": content_type}, (), body))
        try:
            async for chunk in request.chunks():
                if current.answer.done():
                    await body.write(chunk)
                    continue
                head, nuls, payload = (head + chunk).partition(PRELUDE_END)
                if nuls or len(head) > PRELUDE_MAX_BYTES:
                    current.begin(_streamed(head, nuls, body))
                if payload:
                    await body.write(payload)
            if not current.answer.done():
                current.begin(_streamed(head, b"", body))
        except InvocationFailed as error:
            await request.body()
            current.complete(error)
            return _refused(400, error.kind, error.error["errorMessage"])
        kind, told = request.trailers.get(ERROR_TYPE), request.trailers.get(ERROR_BODY, "")
        current.complete(_failure(kind, _decoded(told)) if kind or told else None)
        return OK


def _streamed(head: bytes, nuls: bytes, body: Body) -> Streamed:
    """The answer that a prelude announces. Raises InvocationFailed if it is none."""
    try:
        if not nuls:
            raise ValueError("no eight NULs")
        told = json.loads(head)
        return Streamed(int(told["statusCode"]), dict(told.get("headers", {})), tuple(told.get("cookies", ())), body)
    except (ValueError, TypeError, KeyError) as error:
        text = (
            f"the response begins with {head[:200]!r} ({error!r}); JSON with a statusCode, then eight NULs, is wanted"
        )
        raise InvocationFailed("Runtime.InvalidPrelude", text) from error


def _failure(kind: str | None, error: bytes) -> InvocationFailed:
    """A failure as the runtime tells it: an error object, which may be missing or broken."""
    try:
        told = json.loads(error)
    except ValueError:
        told = {"errorMessage": error.decode(errors="replace")}
    if not isinstance(told, dict):
        told = {"errorMessage": str(told)}
    return InvocationFailed(kind or told.get("errorType") or "Function.Unknown", told)


def _decoded(trailer: str) -> bytes:
    try:
        return base64.b64decode(trailer, validate=True)
    except binascii.Error:
        return trailer.encode()


def _refused(status: int, kind: str, text: str) -> Reply:
    return status, {}, json.dumps({"errorType": kind, "errorMessage": text}).encode()


def _response(reply: Reply) -> bytes:
    status, headers, body = reply
    fields = {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n".encode() + body
