"""Cold starts: from a process's start until it asks for its first event, and from an invocation to its first byte.

Each beside a handler that does nothing but import boto3 and make its two clients, under the same runtime and on the
same machine. Lambda's own part (the sandbox, fetching the code) is the same for both and not here.
"""

import asyncio
import statistics
import time
from contextlib import suppress

from benchmarks.processes import alone, bench
from benchmarks.report import Report, Row
from local.function_process import FunctionSpec
from local.invocation import InvocationFailed

TITLE = "Cold starts (medians; beside a bare handler that imports boto3 and makes its clients)"
ROUNDS = 5
FRAMES = 26  # of the bare stream: enough for a first byte


def run(report: Report) -> None:
    asyncio.run(_run(report))


async def _run(report: Report) -> None:
    async with bench() as stack:
        specs = {name: stack.function(name) for name in ("voice", "render", "stream")}
        specs["bare"] = stack.bare("plain", like="voice")
        bare_stream = stack.bare("flowing", like="stream")
        init_ms: dict[str, list[float]] = {name: [] for name in specs}
        byte_ms: dict[str, list[float]] = {"stream": [], "bare": []}
        for number in range(ROUNDS + 1):  # the first compiles, and does not count
            for name, spec in specs.items():
                taken = await initialised_ms(spec)
                if number:
                    init_ms[name].append(taken)
            sid = stack.call()
            bare = {"bare": {"sid": sid, "bed": "noise", "frames": FRAMES}}
            candidates = {"bare": (bare_stream, bare), "stream": (specs["stream"], stack.fetch(sid))}
            for name, (spec, event) in candidates.items():
                taken = await first_byte_ms(spec, event)
                if number:
                    byte_ms[name].append(taken)
    median = {name: statistics.median(times) for name, times in init_ms.items()}
    bounds = {"voice": 1.5, "render": None, "stream": None}
    for name, bound in bounds.items():
        row = Row(f"{name}: until it is ready", median[name], median["bare"], "ms", bound=bound, against="bare handler")
        report.add(row)
    first, bare_first = (statistics.median(byte_ms[name]) for name in ("stream", "bare"))
    report.add(
        Row("stream: first byte, cold", first, bare_first, "ms", bound=1.5, against="bare stream of the same requests")
    )


async def initialised_ms(spec: FunctionSpec) -> float:
    async with alone(spec) as (service, reports):
        with suppress(InvocationFailed):  # an empty event is none that a function understands; it is ready by then
            if spec.runtime_command == "streaming":
                (await service.invoke_streaming(spec.name, {})).body.close()
            else:
                await service.invoke(spec.name, {})
        if not reports.init_ms:
            raise RuntimeError(f"{spec.name} never came to ask for an event")
        return reports.init_ms


async def first_byte_ms(spec: FunctionSpec, event: dict) -> float:
    """From a cold invocation to the first bytes of sound; the header of a WAV is none."""
    async with alone(spec) as (service, _):
        began = time.perf_counter()
        streamed = await service.invoke_streaming(spec.name, event)
        async for chunk in streamed.body:
            if len(chunk) > 100:
                break
        taken_ms = (time.perf_counter() - began) * 1000
        streamed.body.close()
        return taken_ms
