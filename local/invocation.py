"""One run of a function: its event, its answer (whole, or as a body that flows), or its failure."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HELD_BYTES = 256 * 1024  # 32 s of a call: what a client may lag behind before the function's writes block


class InvocationFailed(Exception):
    """No answer, or one that broke off. `kind` is Lambda's `Category.Reason`, `error` its error object."""

    def __init__(self, kind: str, error: Mapping[str, Any] | str):
        self.kind = kind
        self.error = {"errorType": kind, "errorMessage": error} if isinstance(error, str) else dict(error)
        super().__init__(f"{kind}: {self.error.get('errorMessage', '')}")


class Throttled(InvocationFailed):
    """As many functions are running as are allowed to."""


class Body:
    """The payload of a streamed answer: an async iterator of chunks, as they were written.

    It ends by raising InvocationFailed if the function failed after it had begun to answer; `failed` keeps that.
    A consumer that loses interest calls `close`: the function is not told, what it still writes is dropped.
    """

    def __init__(self) -> None:
        self.failed: InvocationFailed | None = None
        self._chunks: deque[bytes] = deque()
        self._held_bytes, self._ended, self._closed = 0, False, False
        self._news, self._room = asyncio.Event(), asyncio.Event()

    async def write(self, chunk: bytes) -> None:
        """Add a chunk; wait while too much lies here unread."""
        if self._closed or self._ended:
            return
        self._chunks.append(chunk)
        self._held_bytes += len(chunk)
        self._news.set()
        while self._held_bytes > HELD_BYTES and not self._ended:
            self._room.clear()
            await self._room.wait()

    def end(self, failed: InvocationFailed | None = None) -> None:
        """No more will come. Only the first end counts."""
        if not self._ended:
            self._ended, self.failed = True, failed
            self._news.set()
            self._room.set()

    def close(self) -> None:
        self._closed, self._held_bytes = True, 0
        self._chunks.clear()
        self._news.set()
        self._room.set()

    def __aiter__(self) -> "Body":
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._ended and self.failed:
                raise self.failed
            if self._ended or self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        chunk = self._chunks.popleft()
        self._held_bytes -= len(chunk)
        self._room.set()
        return chunk


@dataclass(frozen=True)
class Buffered:
    """An answer in one piece: JSON."""

    payload: bytes


@dataclass(frozen=True)
class Streamed:
    """An answer whose head is here and whose body is coming."""

    status: int
    headers: Mapping[str, str]
    cookies: Sequence[str]
    body: Body


class Invocation:
    """An event on its way through a function, and three moments of it, for `asyncio.wait`: several wait for each.

    `answer` is done at the first sign of one, or with the failure as its result; `left` when the runtime asks for its
    next event; `over` when the books are closed, whatever became of it.
    """

    def __init__(self, request_id: str, event: bytes, trace_id: str):
        self.request_id, self.event, self.trace_id = request_id, event, trace_id
        self.deadline_ms = 0  # since 1970; known when the event is given to a process
        self.answered_whole = False
        self.failed: InvocationFailed | None = None
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Buffered | Streamed | InvocationFailed] = loop.create_future()
        self.left: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()

    def begin(self, answer: Buffered | Streamed) -> None:
        """The head of an answer is here, unless the invocation has failed meanwhile."""
        if not self.answer.done():
            self.answer.set_result(answer)

    def complete(self, failed: InvocationFailed | None = None) -> None:
        """The answer is whole, or will never be. Only the first word counts."""
        if self.answered_whole:
            return
        self.answered_whole, self.failed = True, failed
        if not self.answer.done():
            self.answer.set_result(failed)
        elif isinstance(begun := self.answer.result(), Streamed):
            begun.body.end(failed)
