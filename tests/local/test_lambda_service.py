"""The small Lambda with real processes: functions written for the occasion, held at a gate until the test opens it."""

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from local import lambda_service
from local.function_process import LOG_LINE_BYTES, FunctionSpec, ordinary_runtime
from local.invocation import InvocationFailed, Throttled
from local.lambda_service import EVENT_MAX_BYTES, LambdaService, Report

PROJECT = Path(__file__).parent.parent.parent
RUNTIMES = [
    pytest.param("awslambdaric", marks=pytest.mark.skipif(ordinary_runtime() == "plain", reason="not on this system")),
    "plain",
]
CODE = """
import os, signal, subprocess, sys
from decimal import Decimal
from stream.runtime import StreamedResponse

def wait(event):
    if "gate" in event:
        print("at the gate")
        open(event["gate"]).read()

def ordinary(event, context):
    wait(event)
    if event.get("fail"):
        raise KeyError(event["fail"])
    return {"pid": os.getpid(), "number": Decimal("1.5"), "name": context.function_name, "event": event,
            "environment": dict(os.environ), "path": sys.path, "cwd": os.getcwd(),
            "trace": os.environ["_X_AMZN_TRACE_ID"]}

def dying(event, context):
    if event.get("child"):
        script = "exec 3>$0; echo here; exec sleep 300"
        subprocess.Popen(["sh", "-c", script, event["child"]], stdout=subprocess.PIPE).stdout.readline()
    wait(event)
    if event["by"] == "exit":
        os._exit(event["status"])
    os.kill(os.getpid(), signal.SIGKILL)

def body(event):
    try:
        yield b"music"
        wait(event)
        if event.get("fail"):
            raise ValueError(event["fail"])
        if event.get("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        for _ in range(event.get("megabytes", 0)):
            yield bytes(1 << 20)
        yield b"the end"
    finally:
        print("closed")

def streaming(event, context):
    if event.get("before"):
        raise KeyError("no call")
    return StreamedResponse(200, {"Content-Type": "audio/wav"}, body(event), ["a=b"])

def talking(event, context):
    print("one\\n", "two", flush=True)
    print("x" * event["bytes"], file=sys.stderr, flush=True)

def stubborn(event, context):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wait(event)
"""


class Stack:
    """A service over the code above, with all that it reported and printed."""

    def __init__(self, root: Path, **settings):
        (root / "calls.py").write_text(CODE)
        self.root, self.reports, self.lines = root, [], []
        self._printed = asyncio.Event()
        functions = [
            self._function("ordinary", "ordinary"),
            self._function("dying", "ordinary"),
            self._function("stubborn", "ordinary"),
            self._function("talking", "ordinary"),
            self._function("streaming", "streaming"),
            self._function("missing", "streaming", handler="calls.missing"),
            self._function("missing-too", "ordinary", handler="calls.missing"),
            self._function("hasty", "ordinary", handler="calls.ordinary", timeout_s=0.2),
            self._function("hasty-stream", "streaming", handler="calls.streaming", timeout_s=0.2),
            self._function("lost", "ordinary", task_root=root / "nowhere"),
        ]
        self.service = LambdaService(functions, on_report=self.reports.append, on_log=self._log, **settings)

    def _function(self, name, runtime_command, *, handler="", timeout_s=20.0, task_root=None):
        return FunctionSpec(
            name=name,
            handler=handler or f"calls.{name}",
            runtime_command=runtime_command,
            environment={"DUCKLINE_TABLE": "calls"},
            timeout_s=timeout_s,
            memory_mb=256,
            task_root=task_root or self.root,
            paths=(PROJECT / "functions",),
        )

    def _log(self, function: str, line: str) -> None:
        self.lines.append((function, line))
        self._printed.set()

    async def printed(self, start: str) -> str:
        """Wait for a line."""
        while not (found := [line for _, line in self.lines if line.startswith(start)]):
            self._printed.clear()
            await self._printed.wait()
        return found[0]

    def gate(self) -> str:
        path = self.root / "gate"
        os.mkfifo(path)
        return str(path)

    async def open(self, gate: str) -> None:
        await asyncio.to_thread(Path(gate).write_text, "")

    def told(self, what: str) -> list[Report]:
        return [report for report in self.reports if report.what == what]


@pytest.fixture
def stack(tmp_path):
    @asynccontextmanager
    async def starting(**settings):
        made = Stack(tmp_path, **settings)
        async with made.service:
            yield made

    return starting


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_ordinary_function_answers_what_it_returned(stack, runtime):
    async def scenario():
        async with stack(ordinary=runtime) as here:
            answer = await here.service.invoke("ordinary", {"Body": "hällo"})
            assert (answer["event"], answer["name"], answer["number"]) == ({"Body": "hällo"}, "ordinary", 1.5)
            with pytest.raises(InvocationFailed) as failed:
                await here.service.invoke("ordinary", {"fail": "no call"})
            assert failed.value.error["errorMessage"] == "'no call'"
            assert failed.value.error["errorType"] == "KeyError"
            again = await here.service.invoke("ordinary", {})
            assert again["pid"] == answer["pid"]
            assert again["trace"] != answer["trace"]

    asyncio.run(scenario())


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_function_sees_lambdas_environment_and_nothing_of_the_developers(stack, runtime, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("MY_SECRET", "x")

    async def scenario():
        async with stack(ordinary=runtime) as here:
            answer = await here.service.invoke("ordinary", {})
            seen = answer["environment"]
            ours = {"PATH", "PYTHONPATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE", "TZ", "DUCKLINE_TABLE", "_HANDLER"}
            others = {name for name in seen if not name.startswith(("AWS_", "LAMBDA_"))} - ours
            assert others <= {"_X_AMZN_TRACE_ID", "__CF_USER_TEXT_ENCODING"}
            assert "AWS_PROFILE" not in seen
            assert (seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], seen["DUCKLINE_TABLE"]) == ("256", "calls")
            assert not Path(seen["HOME"]).samefile(Path.home())
            assert answer["cwd"] == seen["LAMBDA_TASK_ROOT"] == str(here.root)
            assert str(PROJECT / "local") not in answer["path"]
        assert not Path(seen["HOME"]).exists()

    asyncio.run(scenario())


def test_a_cold_start_is_a_process_and_is_told_with_its_time(stack):
    async def scenario():
        async with stack() as here:
            first = await here.service.invoke("ordinary", {})
            await here.service.invoke("ordinary", {})
            (cold,) = here.told("cold_start")
            assert (cold.function, cold.pid) == ("ordinary", first["pid"])
            assert 10 < cold.ms < 20_000
            assert [report.what for report in here.reports] == ["cold_start", "start", "end", "start", "end"]
            assert len({report.request_id for report in here.told("end")}) == 2
        assert [report.pid for report in here.told("exit")] == [cold.pid]

    asyncio.run(scenario())


def test_two_at_once_are_two_processes_and_the_one_used_last_is_used_next(stack):
    async def scenario():
        async with stack() as here:
            gate = here.gate()
            held = asyncio.create_task(here.service.invoke("ordinary", {"gate": gate}))
            await here.printed("at the gate")
            second = await here.service.invoke("ordinary", {})
            await here.open(gate)
            first = await held
            assert first["pid"] != second["pid"]
            assert (await here.service.invoke("ordinary", {}))["pid"] == first["pid"]
            assert len(here.told("cold_start")) == 2

    asyncio.run(scenario())


def test_more_at_once_than_allowed_are_throttled(stack):
    async def scenario():
        async with stack(concurrency=1) as here:
            gate = here.gate()
            held = asyncio.create_task(here.service.invoke("ordinary", {"gate": gate}))
            await here.printed("at the gate")
            with pytest.raises(Throttled, match="1 invocations are under way"):
                await here.service.invoke("ordinary", {})
            await here.open(gate)
            await held
            await here.service.invoke("ordinary", {})
            assert len(here.told("throttle")) == 1

    asyncio.run(scenario())


def test_a_stream_arrives_while_its_function_is_still_at_work(stack):
    async def scenario():
        async with stack() as here:
            gate = here.gate()
            answer = await here.service.invoke_streaming("streaming", {"gate": gate})
            assert (answer.status, answer.headers, answer.cookies) == (200, {"Content-Type": "audio/wav"}, ("a=b",))
            assert await anext(answer.body) == b"music"
            await here.open(gate)
            assert [chunk async for chunk in answer.body] == [b"the end"]
            await answer.ended()
            assert answer.failed is None
            assert here.told("end")[0].failed == ""

    asyncio.run(scenario())


def test_a_client_that_goes_away_is_not_told_to_the_function_which_runs_to_its_end(stack):
    async def scenario():
        async with stack() as here:
            gate = here.gate()
            answer = await here.service.invoke_streaming("streaming", {"gate": gate, "megabytes": 20})
            answer.body.close()
            assert here.service.concurrent == 1
            assert ("streaming", "closed") not in here.lines
            await here.open(gate)
            await answer.ended()
            await here.printed("closed")
            assert answer.failed is None

    asyncio.run(scenario())


def test_a_caller_who_gives_up_does_not_stop_the_function(stack):
    async def scenario():
        async with stack() as here:
            gate = here.gate()
            impatient = asyncio.create_task(here.service.invoke("ordinary", {"gate": gate}))
            await here.printed("at the gate")
            impatient.cancel()
            await asyncio.gather(impatient, return_exceptions=True)
            await here.open(gate)
            await here.service.invoke("ordinary", {})
            assert {report.failed for report in here.told("end")} == {""}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("event", "kind"),
    [({"fail": "no segment"}, "Function.ValueError"), ({"die": True}, "Runtime.ExitError")],
    ids=["by an error", "by its death"],
)
def test_a_function_that_fails_in_mid_stream_ends_the_body_by_its_failure(stack, event, kind):
    async def scenario():
        async with stack() as here:
            answer = await here.service.invoke_streaming("streaming", event)
            assert await anext(answer.body) == b"music"
            with pytest.raises(InvocationFailed) as failed:
                await anext(answer.body)
            assert failed.value.kind == kind
            await answer.ended()
            assert answer.failed is failed.value
            assert here.told("end")[0].failed == kind
            good = await here.service.invoke_streaming("streaming", {})
            assert [chunk async for chunk in good.body] == [b"music", b"the end"]

    asyncio.run(scenario())


def test_a_function_that_fails_before_it_streams_has_no_answer(stack):
    async def scenario():
        async with stack() as here:
            with pytest.raises(InvocationFailed, match=r"Function\.KeyError: 'no call'"):
                await here.service.invoke_streaming("streaming", {"before": True})

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("event", "how"),
    [({"by": "exit", "status": 3}, "exit status 3"), ({"by": "signal"}, "signal: SIGKILL")],
)
def test_a_function_that_dies_fails_its_invocation_and_the_next_one_gets_a_new_process(stack, event, how):
    async def scenario():
        async with stack() as here:
            for _ in range(2):
                with pytest.raises(InvocationFailed, match=rf"Runtime\.ExitError.*{how}"):
                    await here.service.invoke("dying", event)
            assert len({report.pid for report in here.told("cold_start")}) == 2

    asyncio.run(scenario())


def test_what_a_dead_function_had_started_ends_with_it(stack):
    async def scenario():
        async with stack() as here:
            gate = here.gate()
            held_by_the_child = os.open(gate, os.O_RDONLY | os.O_NONBLOCK)
            with pytest.raises(InvocationFailed, match="exit status 1"):
                await here.service.invoke("dying", {"by": "exit", "status": 1, "child": gate})
            os.set_blocking(held_by_the_child, True)
            with os.fdopen(held_by_the_child, "rb") as end:
                assert await asyncio.to_thread(end.read) == b""  # it ends with the last who could have written

    asyncio.run(scenario())


def test_what_a_function_prints_comes_line_by_line_under_its_name(stack):
    async def scenario():
        async with stack() as here:
            await here.service.invoke("talking", {"bytes": LOG_LINE_BYTES + 1})
            await here.service.invoke("talking", {"bytes": 3})
            await here.printed("xxx")
            left_out = f"(a line of over {LOG_LINE_BYTES} bytes is left out)"
            assert {("talking", "one"), ("talking", " two"), ("talking", left_out)} <= set(here.lines)
            assert here.lines[-1] == ("talking", "xxx")

    asyncio.run(scenario())


def test_a_function_is_killed_at_its_timeout(stack):
    async def scenario():
        async with stack() as here:
            gate = here.gate()
            with pytest.raises(InvocationFailed, match=r"Sandbox\.Timedout.*Task timed out after 0\.20 seconds"):
                await here.service.invoke("hasty", {"gate": gate})
            (gone,) = here.told("exit")
            assert gone.failed == str(-signal.SIGKILL)
            assert here.told("end")[0].ms >= 200
            assert (await here.service.invoke("hasty", {}))["pid"] != gone.pid

    asyncio.run(scenario())


def test_a_stream_is_cut_at_its_timeout(stack):
    async def scenario():
        async with stack() as here:
            answer = await here.service.invoke_streaming("hasty-stream", {"gate": here.gate()})
            assert await anext(answer.body) == b"music"
            with pytest.raises(InvocationFailed, match=r"Sandbox\.Timedout"):
                await anext(answer.body)

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["missing", "missing-too"])
def test_a_function_that_cannot_be_loaded_says_why_to_each_who_asks(stack, name):
    async def scenario():
        async with stack() as here:
            for _ in range(2):
                with pytest.raises(InvocationFailed) as failed:
                    await here.service.invoke(name, {})
                assert "missing" in failed.value.error["errorMessage"]
            assert here.told("cold_start") == []
            assert here.service.concurrent == 0

    asyncio.run(scenario())


def test_a_function_whose_code_is_not_there_fails_and_does_not_hang(stack):
    async def scenario():
        async with stack() as here:
            with pytest.raises(InvocationFailed, match=r"Runtime\.InvalidEntrypoint: lost cannot start"):
                await here.service.invoke("lost", {})

    asyncio.run(scenario())


def test_asking_for_an_unknown_function_or_by_too_large_an_event_starts_nothing(stack):
    async def scenario():
        async with stack() as here:
            with pytest.raises(KeyError, match="there is no function 'voices'; there are dying, hasty"):
                await here.service.invoke("voices", {})
            with pytest.raises(InvocationFailed, match="Lambda takes 6291456"):
                await here.service.invoke("ordinary", {"body": "x" * EVENT_MAX_BYTES})
            assert here.reports == []

    asyncio.run(scenario())


def test_an_answer_of_the_wrong_kind_is_a_failure(stack):
    async def scenario():
        async with stack() as here:
            with pytest.raises(InvocationFailed, match="the answer is not buffered"):
                await here.service.invoke("streaming", {})
            with pytest.raises(InvocationFailed, match="the answer is not streamed"):
                await here.service.invoke_streaming("ordinary", {})

    asyncio.run(scenario())


def test_the_services_end_ends_a_running_stream_and_closes_its_body(stack):
    async def scenario():
        async with stack() as here:
            answer = await here.service.invoke_streaming("streaming", {"gate": here.gate()})
            await here.printed("at the gate")
        assert ("streaming", "closed") in here.lines
        assert answer.failed.kind == "Runtime.ExitError"
        assert here.told("exit")[0].failed == "0"
        with pytest.raises(InvocationFailed, match="after the end"):
            await here.service.invoke("ordinary", {})

    asyncio.run(scenario())


def test_a_function_that_will_not_end_is_killed(stack, monkeypatch):
    monkeypatch.setattr(lambda_service, "STOP_LIMIT_S", 0.1)

    async def scenario():
        async with stack() as here:
            running = asyncio.create_task(here.service.invoke("stubborn", {"gate": here.gate()}))
            await here.printed("at the gate")
        with pytest.raises(InvocationFailed, match="signal: SIGKILL"):
            await running

    asyncio.run(scenario())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_function_that_waits_for_its_next_event_costs_nothing(stack):
    async def scenario():
        async with stack() as here:
            await (await here.service.invoke_streaming("streaming", {})).ended()
            waiting = here.told("cold_start")[0].pid
            before = _switches(waiting)
            for _ in range(20):  # while another one works
                await here.service.invoke("ordinary", {})
            assert _switches(waiting) - before <= 2

    asyncio.run(scenario())


def _switches(pid: int) -> int:
    """How often a process has gone to sleep so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
