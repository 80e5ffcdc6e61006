"""Time and work in the background, as the machine has them. The simulation has its own of the same form."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any


class SystemClock:
    """Wall-clock time for what others read, monotonic time for what is waited for; both in milliseconds."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        return time.monotonic() * 1000

    def sleep_until(self, monotonic_ms: float) -> None:
        left_ms = monotonic_ms - self.monotonic_ms()
        if left_ms > 0:
            time.sleep(left_ms / 1000)

    def wait(self, task: Future, until_monotonic_ms: float) -> None:
        """Until `task` is done or the time has come."""
        wait([task], timeout=max(0.0, until_monotonic_ms - self.monotonic_ms()) / 1000)


class Background:
    """A few threads for what nobody waits for. `log` is told of what fails there."""

    def __init__(self, log: Callable[..., None], threads: int = 6) -> None:
        self.log = log
        self.pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="background")
        self.pending: set[Future] = set()

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future:
        task = self.pool.submit(function, *args, **kwargs)
        self.pending.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: Future) -> None:
        self.pending.discard(task)
        if task.exception() is not None:
            self.log("background work failed", error=repr(task.exception()))

    def settle(self, timeout_ms: float) -> None:
        """Waits for what is under way, for as long as that."""
        wait(list(self.pending), timeout=timeout_ms / 1000)
