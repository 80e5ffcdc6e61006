"""One stream by itself: its processor time for a second of call, and its memory.

Beside a stream that asks the services for the same and knows nothing of calls, schedules or seals. Both are processes
under the same small Lambda, both play into a reader that reads. Several of both play at the same time and are measured
over the same seconds: whatever else the machine does, it does to all of them.
"""

import asyncio
import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass

from benchmarks.processes import Bench, alone, bench, cpu_s, resident_mb
from benchmarks.report import Report, Row

EACH = 5
TITLE = f"One stream (medians of {EACH}; beside a stream that makes the same requests and nothing else)"
SETTLES_S = 3.0
MEASURED_S = 20.0
TRIES = 6  # a machine that is too busy to read the table in time answers 503


@dataclass(slots=True)
class Player:
    """A process that streams, and the task that reads what it sends."""

    name: str
    pid: int
    reading: asyncio.Task[None]
    cpu_before_s: float = 0.0


def run(report: Report) -> None:
    asyncio.run(_run(report))


async def _run(report: Report) -> None:
    async with bench() as stack, AsyncExitStack() as playing:
        players = [await _started(stack, name, playing) for name in ("stream", "bare") * EACH]
        await asyncio.sleep(SETTLES_S)
        for player in players:
            player.cpu_before_s = cpu_s(player.pid)
        await asyncio.sleep(MEASURED_S)
        cpu_ms: dict[str, list[float]] = {"stream": [], "bare": []}
        megabytes: dict[str, list[float]] = {"stream": [], "bare": []}
        for player in players:
            if player.reading.done():
                raise RuntimeError(f"a {player.name} stream ended while it was measured")
            cpu_ms[player.name].append(1000 * (cpu_s(player.pid) - player.cpu_before_s) / MEASURED_S)
            megabytes[player.name].append(resident_mb(player.pid))
    ours, bare = (statistics.median(cpu_ms[name]) for name in ("stream", "bare"))
    report.add(Row("processor for a second of call", ours, bare, "ms", bound=1.5, against="bare stream"))
    largest = max(megabytes["stream"])
    report.add(Row("resident memory, the largest", largest, max(megabytes["bare"]), "MB", against="bare stream"))
    report.add(Row("  resident memory", largest, unit="MB", bound=70))


async def _started(stack: Bench, name: str, playing: AsyncExitStack) -> Player:
    """One after the other, so that none has its beginning while another has its own."""
    spec = stack.function("stream") if name == "stream" else stack.bare("flowing", like="stream")
    for _ in range(TRIES):
        service, reports = await playing.enter_async_context(alone(spec))
        sid = stack.call()
        bare = {"bare": {"sid": sid, "bed": "noise", "frames": 42_000}}
        streamed = await service.invoke_streaming(spec.name, stack.fetch(sid) if name == "stream" else bare)
        if streamed.status == 200:
            reading = asyncio.create_task(_read(streamed.body))
            playing.push_async_callback(_stopped, reading)
            return Player(name, reports.pid, reading)
        streamed.body.close()
        await asyncio.sleep(SETTLES_S)
    raise RuntimeError(f"a {name} stream was refused {TRIES} times, with {streamed.status} in the end")


async def _read(body: object) -> None:
    async for _ in body:
        pass


async def _stopped(reading: asyncio.Task[None]) -> None:
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
