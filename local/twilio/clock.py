"""The simulator's time: real, or virtual and moved on by a test.

`time()` is in seconds on no particular zero; only differences mean anything. A `RealClock` reads `time.monotonic()`,
so what it stamps compares with the monotonic stamps of any other process on the same machine.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


class Clock(Protocol):
    def time(self) -> float:
        """Seconds by this clock."""

    def ago(self, seconds: float) -> float:
        """When it was `seconds` of the machine's own time ago."""

    async def sleep_until(self, at: float) -> None:
        """Come back once `time()` has reached `at`; at once if it has."""


class RealClock:
    def time(self) -> float:
        return time.monotonic()

    def ago(self, seconds: float) -> float:
        return time.monotonic() - seconds

    async def sleep_until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, at - time.monotonic()))


class VirtualClock:
    """A clock that stands still until `advance()` moves it from one sleeper's deadline to the next.

    Between two deadlines the event loop is turned until `quiet()` says that nothing is on its way through a socket, so
    that whatever a deadline sets off is stamped with that very moment.
    """

    TURNS = 25  # of the event loop: the longest chain of tasks that wake each other between two deadlines, and to spare

    def __init__(self, quiet: Callable[[], bool] = lambda: True, start: float = 1000.0) -> None:
        self._quiet = quiet
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def time(self) -> float:
        return self._now

    def ago(self, seconds: float) -> float:
        return self._now  # the machine's time does not pass here

    async def sleep_until(self, at: float) -> None:
        if at <= self._now:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (at, next(self._order), wake))
        await wake

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, waking each sleeper at its own time."""
        end = self._now + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now = max(self._now, self._sleepers[0][0])
            while self._sleepers and self._sleepers[0][0] <= self._now:
                _, _, wake = heapq.heappop(self._sleepers)
                if not wake.done():
                    wake.set_result(None)
            await self._settle()
        self._now = end
        await self._settle()

    async def _settle(self) -> None:
        turns = 0
        while turns < self.TURNS:
            await asyncio.sleep(0)
            turns = turns + 1 if self._quiet() else 0


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
    """What `work` returns; TimeoutError, and `work` cancelled, if `clock` moves on by `seconds` first."""
    task = asyncio.ensure_future(work)
    alarm = asyncio.ensure_future(clock.sleep_until(clock.time() + seconds))
    try:
        await asyncio.wait({task, alarm}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise TimeoutError(f"not done within {seconds:g} s")
    finally:
        await abandon(task, alarm)


async def abandon(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel what is not done and wait until it has cleaned up. What the tasks raised, or would have, is dropped."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
