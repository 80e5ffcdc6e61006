"""A small Lambda: one process per invocation under way, kept warm for the next, killed at its timeout.

What a function sees is as in Lambda: its environment, the Runtime API, no word when its client goes away. What is left
out: the memory limit (it is told, not enforced), and the 2 MB/s that a streamed response has after its first 6 MB.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

import asyncio
import json
import shutil
import signal
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal

from local.function_process import FunctionProcess, FunctionSpec, OrdinaryRuntime, ordinary_runtime
from local.invocation import Buffered, Invocation, InvocationFailed, Streamed, Throttled

INIT_LIMIT_S = 10.0  # of the init phase; what is not done by then is done again within the invocation's own timeout
STOP_LIMIT_S = 2.0  # Lambda's shutdown phase, at most
EVENT_MAX_BYTES = 6 * 1024 * 1024


@dataclass(frozen=True)
class Report:
    """Something that happened, as Lambda's own log lines START, END, REPORT and INIT_REPORT tell it.

    `ms` is from the process's start to its first `next` in a cold_start, and an invocation's duration in an end.
    `failed` is the kind of an end's failure, empty if there was none; in an exit it is the process's status.
    """

    what: Literal["cold_start", "start", "end", "throttle", "exit"]
    function: str
    request_id: str = ""
    pid: int = 0
    ms: float = 0.0
    failed: str = ""


class StreamingInvocation:
    """A streamed answer that has begun. `body` yields chunks as they are written; see `Body` for how it ends."""

    def __init__(self, head: Streamed, invocation: Invocation):
        self.status, self.headers, self.cookies, self.body = head.status, head.headers, head.cookies, head.body
        self.request_id = invocation.request_id
        self._invocation = invocation

    @property
    def failed(self) -> InvocationFailed | None:
        """How the function failed in the midst of its answer; None while that is not known."""
        return self._invocation.failed

    async def ended(self) -> None:
        """Wait until the function is done, heard or not."""
        await asyncio.wait({self._invocation.over})


class LambdaService:
    """The functions of a stack, ready to be invoked. Use as `async with`, or call `stop` at the end.

    `concurrent` is how many invocations are under way, `concurrency` how many may be. `on_log` is given a function's
    name and a line that it printed.
    """

    def __init__(
        self,
        functions: Iterable[FunctionSpec],
        *,
        concurrency: int = 50,
        region: str = "us-east-1",
        ordinary: OrdinaryRuntime | None = None,
        on_report: Callable[[Report], None] = lambda report: None,
        on_log: Callable[[str, str], None] = lambda function, line: None,
    ):
        self._functions = {function.name: function for function in functions}
        self._concurrency, self._region, self._ordinary = concurrency, region, ordinary or ordinary_runtime()
        self._on_report, self._on_log = on_report, on_log
        self._idle: defaultdict[str, list[FunctionProcess]] = defaultdict(list)
        self._processes: set[FunctionProcess] = set()
        self._running: set[asyncio.Task[None]] = set()
        self.concurrent = 0
        self._numbers = count(1)
        self._scratch = Path(tempfile.mkdtemp(prefix="duckline-lambda-"))
        self._stopped = False

    async def __aenter__(self) -> "LambdaService":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def invoke(self, name: str, event: Any) -> Any:
        """Run an ordinary function: what it returned. Raises InvocationFailed, Throttled, KeyError for its name."""
        invocation = self._begin(name, event)
        answer = await self._answer(invocation, Buffered)
        await asyncio.wait({invocation.over})
        try:
            return json.loads(answer.payload)
        except ValueError as error:
            raise InvocationFailed("Runtime.InvalidResponse", f"not JSON: {answer.payload[:200]!r}") from error

    async def invoke_streaming(self, name: str, event: Any) -> StreamingInvocation:
        """Run a streaming function up to the head of its answer. Raises as `invoke` does."""
        invocation = self._begin(name, event)
        return StreamingInvocation(await self._answer(invocation, Streamed), invocation)

    async def stop(self) -> None:
        """End all processes: those that do not end when asked are killed. What still runs fails."""
        self._stopped = True
        for process in self._processes:
            process.terminate()
        exits = [process.exited for process in self._processes]
        if exits:
            await asyncio.wait(exits, timeout=STOP_LIMIT_S)
        for process in self._processes:
            process.kill()
        await asyncio.gather(*exits, *self._running)
        shutil.rmtree(self._scratch)

    def _begin(self, name: str, event: Any) -> Invocation:
        """Set an invocation going; it goes on to its end, whether anybody waits for it or not."""
        if name not in self._functions:
            raise KeyError(f"there is no function {name!r}; there are {', '.join(sorted(self._functions))}")
        text = json.dumps(event).encode()
        if len(text) > EVENT_MAX_BYTES:
            raise InvocationFailed("RequestTooLarge", f"an event of {len(text)} bytes; Lambda takes {EVENT_MAX_BYTES}")
        if self._stopped:
            raise InvocationFailed("ServiceStopped", f"{name} was invoked after the end")
        if self.concurrent >= self._concurrency:
            self._on_report(Report("throttle", name))
            raise Throttled("TooManyRequests", f"Rate Exceeded: {self._concurrency} invocations are under way")
        invocation = Invocation(str(uuid.uuid4()), text, _trace_id())
        self.concurrent += 1
        task = asyncio.create_task(self._run(self._functions[name], invocation))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return invocation

    @staticmethod
    async def _answer(invocation: Invocation, wanted: type) -> Any:
        await asyncio.wait({invocation.answer})
        answer = invocation.answer.result()
        if isinstance(answer, InvocationFailed):
            await asyncio.wait({invocation.over})
            raise answer
        if not isinstance(answer, wanted):
            if isinstance(answer, Streamed):
                answer.body.close()
            raise InvocationFailed("Runtime.InvalidResponse", f"the answer is not {wanted.__name__.lower()}")
        return answer

    async def _run(self, spec: FunctionSpec, invocation: Invocation) -> None:
        begun, pid = time.monotonic(), 0
        try:
            process = await self._process(spec)
            begun, pid = time.monotonic(), process.pid
            self._on_report(Report("start", spec.name, invocation.request_id, pid))
            invocation.deadline_ms = time.time_ns() // 1_000_000 + int(spec.timeout_s * 1000)
            process.api.give(invocation)
            await self._finish(spec, invocation, process)
        except InvocationFailed as failed:
            invocation.complete(failed)
        except OSError as error:
            invocation.complete(InvocationFailed("Runtime.InvalidEntrypoint", f"{spec.name} cannot start: {error}"))
        finally:
            self.concurrent -= 1
            failed = invocation.failed.kind if invocation.failed else ""
            ms = (time.monotonic() - begun) * 1000
            self._on_report(Report("end", spec.name, invocation.request_id, pid, ms, failed))
            invocation.over.set_result(None)

    async def _finish(self, spec: FunctionSpec, invocation: Invocation, process: FunctionProcess) -> None:
        """Until the runtime asks for more, the process ends, or its time is up."""
        ends = {invocation.left, process.exited}
        await asyncio.wait(ends, timeout=spec.timeout_s, return_when=asyncio.FIRST_COMPLETED)
        said = f"RequestId: {invocation.request_id} Error:"
        if invocation.left.done():
            self._idle[spec.name].append(process)
        elif process.exited.done():
            invocation.complete(_exit(said, process.exited.result()))
        else:
            process.kill()
            await asyncio.wait({process.exited})
            text = f"{said} Task timed out after {spec.timeout_s:.2f} seconds"
            invocation.complete(InvocationFailed("Sandbox.Timedout", text))

    async def _process(self, spec: FunctionSpec) -> FunctionProcess:
        """The process that was used last, which is the warmest, or a new one. Raises InvocationFailed."""
        while self._idle[spec.name]:
            process = self._idle[spec.name].pop()
            if not process.exited.done():
                return process
        spawned, number = time.monotonic(), next(self._numbers)
        process = await FunctionProcess.start(
            spec,
            ordinary=self._ordinary,
            region=self._region,
            scratch=self._scratch / f"{spec.name}-{number}",
            number=number,
            on_line=partial(self._on_log, spec.name),
        )
        self._processes.add(process)
        if self._stopped:
            process.kill()
        process.exited.add_done_callback(lambda exited: self._gone(spec, process))
        limit_s = INIT_LIMIT_S + spec.timeout_s
        waits = {process.api.started, process.exited}
        await asyncio.wait(waits, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if process.api.started.done():
            ms = (time.monotonic() - spawned) * 1000
            self._on_report(Report("cold_start", spec.name, pid=process.pid, ms=ms))
            return process
        if process.exited.done():
            raise process.api.init_error or _exit("INIT Error:", process.exited.result())
        process.kill()
        raise InvocationFailed("Sandbox.Timedout", f"INIT Error: {spec.name} was not ready after {limit_s:.0f} seconds")

    def _gone(self, spec: FunctionSpec, process: FunctionProcess) -> None:
        self._processes.discard(process)
        if process in self._idle[spec.name]:
            self._idle[spec.name].remove(process)
        self._on_report(Report("exit", spec.name, pid=process.pid, failed=str(process.exited.result())))


def _exit(said: str, status: int) -> InvocationFailed:
    how = f"signal: {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    return InvocationFailed("Runtime.ExitError", f"{said} Runtime exited with error: {how}")


def _trace_id() -> str:
    """https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader"""
    root, parent = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    return f"Root=1-{int(time.time()):08x}-{root[:24]};Parent={parent};Sampled=0"
