"""Code that blocks, run as it stands in an event loop: wherever it waits, the loop goes on.

A fibre is a greenlet. Its clock waits by handing an awaitable to whoever runs it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from greenlet import getcurrent, greenlet

from local.twilio.clock import Clock

START_MS = 1_800_000_000_000  # the wall clock's time when the simulator's clock shows 0


async def run(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What `function` returns."""
    fibre = greenlet(function)
    waiting = fibre.switch(*args, **kwargs)
    while not fibre.dead:
        try:
            value = await waiting
        except BaseException as error:  # noqa: BLE001 - what the wait came to is the fibre's affair
            waiting = fibre.throw(error)
        else:
            waiting = fibre.switch(value)
    return waiting


def wait_for(waiting: Awaitable[Any]) -> Any:
    """In a fibre: the value of `waiting`."""
    return getcurrent().parent.switch(waiting)


class Background:
    """Runs a function in a fibre of its own, some time later, and hands back its task."""

    def __init__(self, clock: Clock, after_ms: float = 0.0) -> None:
        self.clock, self.after_ms = clock, after_ms
        self.tasks: set[asyncio.Task[Any]] = set()
        self.failed: list[BaseException] = []

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "asyncio.Task[Any]":
        task = asyncio.ensure_future(self._later(function, args, kwargs))
        self.tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def _later(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.after_ms:
            await self.clock.sleep_until(self.clock.time() + self.after_ms / 1000)
        return await run(function, *args, **kwargs)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed.append(error)


class FibreClock:
    """`duckline.clock.SystemClock` for fibres, by the simulator's clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def now_ms(self) -> int:
        return round(START_MS + self.clock.time() * 1000)

    def monotonic_ms(self) -> float:
        return self.clock.time() * 1000

    def sleep_until(self, monotonic_ms: float) -> None:
        wait_for(self.clock.sleep_until(monotonic_ms / 1000))

    def wait(self, task: "asyncio.Task[Any]", until_monotonic_ms: float) -> None:
        wait_for(self._either(task, until_monotonic_ms / 1000))

    async def _either(self, task: "asyncio.Task[Any]", until: float) -> None:
        alarm = asyncio.ensure_future(self.clock.sleep_until(until))
        await asyncio.wait({task, alarm}, return_when=asyncio.FIRST_COMPLETED)
        alarm.cancel()
