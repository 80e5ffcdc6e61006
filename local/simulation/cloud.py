"""The services as a call meets them on a bad day: slow, silent, late, throttled, forgetful of the answer.

What is kept is always kept truly, in `duckline.stores.memory`; only the way there fails.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from duckline.call import Call
from duckline.stores import NotReached
from duckline.stores.memory import MemoryBeds, MemoryCalls, MemorySounds, MemorySpeeches
from local.simulation.world import Process, World

TIMEOUT_MS = 200.0


@dataclass
class Faults:
    """How often a request goes wrong, by kind, and when a service is down altogether."""

    lost: float = 0.0  # never arrived
    unanswered: float = 0.0  # happened, but the answer was lost
    late: float = 0.0  # timed out, and happens later all the same
    table_down: list[tuple[float, float]] = field(default_factory=list)
    bucket_down: list[tuple[float, float]] = field(default_factory=list)
    bucket_slow: float = 0.0  # how often an object takes up to two seconds
    work_lost: float = 0.0  # how often a render dies between storing and publishing


class Cloud:
    """What all processes share, and what watches it change."""

    def __init__(self, world: World, rng: random.Random, faults: Faults) -> None:
        self.world, self.rng, self.faults = world, rng, faults
        self.calls, self.speeches = MemoryCalls(), MemorySpeeches()
        self.beds, self.sounds = MemoryBeds(), MemorySounds()
        self.queue: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.watchers: list[Callable[[str, Call | None, Call], None]] = []
        self.is_calm = False  # at the end of a run everything works again

    def table(self, process: Process) -> "Table":
        return Table(self, process)

    def bucket(self, process: Process) -> "Bucket":
        return Bucket(self, process)

    def is_down(self, times: list[tuple[float, float]]) -> bool:
        return not self.is_calm and any(start <= self.world.time_ms < end for start, end in times)

    def call(self, process: Process, operation: Callable[[], Any], sid: str | None, *, writes: bool) -> Any:
        """One request to the table, on its way there and back."""
        world, rng, faults = self.world, self.rng, self.faults
        world.sleep(rng.uniform(1, 4))
        chance = 1.0 if self.is_calm else rng.random()
        if self.is_down(faults.table_down):
            if writes and chance < 0.1:
                self._later(process, operation, sid, rng.uniform(100, 3000))
            world.sleep(TIMEOUT_MS)
            raise NotReached("the table is down")
        if chance < faults.lost:
            world.sleep(TIMEOUT_MS)
            raise NotReached("the request was lost")
        if writes and chance < faults.lost + faults.late:
            self._later(process, operation, sid, rng.uniform(50, 3000))
            world.sleep(TIMEOUT_MS)
            raise NotReached("no answer in time, and it happens later")
        answer = self.watched(operation, sid, process.name)
        if chance < faults.lost + faults.late + faults.unanswered:
            world.sleep(TIMEOUT_MS)
            raise NotReached("the answer was lost")
        world.sleep(rng.uniform(1, 4))
        return answer

    def _later(self, process: Process, operation: Callable[[], Any], sid: str | None, after_ms: float) -> None:
        network = Process(self.world, f"late write of {process.name}")

        def happen() -> None:
            self.world.sleep(after_ms)
            self.watched(operation, sid, process.name)

        network.start(happen)

    def watched(self, operation: Callable[[], Any], sid: str | None, who: str) -> Any:
        before = self.calls.calls.get(sid) if sid else None
        try:
            return operation()
        finally:
            after = self.calls.calls.get(sid) if sid else None
            if after is not None and after is not before:
                self._shown(who, before, after)

    def _shown(self, who: str, before: Call | None, after: Call) -> None:
        for watch in self.watchers:
            try:
                watch(who, before, after)
            except AssertionError as broken:  # whoever made the write may be past caring
                self.world.crashes.append((who, broken))


class Table:
    """Calls, speeches and beds as one process reaches them."""

    def __init__(self, cloud: Cloud, process: Process) -> None:
        self.cloud, self.process = cloud, process

    def create(self, call: Call) -> Call:
        return self._ask(lambda: self.cloud.calls.create(call), call.call_sid)

    def get(self, call_sid: str, *rest: str) -> Any:
        if rest:
            return self._ask(lambda: self.cloud.speeches.get(call_sid, *rest), None, writes=False)
        return self._ask(lambda: self.cloud.calls.get(call_sid), None, writes=False)

    def write(self, before: Call, after: Call, *, exact: bool = False) -> Call:
        return self._ask(lambda: self.cloud.calls.write(before, after, exact=exact), before.call_sid)

    def seal(self, call_sid: str, *args: Any, **kwargs: Any) -> Call:
        return self._ask(lambda: self.cloud.calls.seal(call_sid, *args, **kwargs), call_sid)

    def keep(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask(lambda: self.cloud.speeches.keep(*args, **kwargs), None)

    def close(self, *args: Any) -> None:
        return self._ask(lambda: self.cloud.speeches.close(*args), None)

    def latest(self, *args: Any) -> Any:
        return self._ask(lambda: self.cloud.speeches.latest(*args), None, writes=False)

    def _ask(self, operation: Callable[[], Any], sid: str | None, *, writes: bool = True) -> Any:
        return self.cloud.call(self.process, operation, sid, writes=writes)


class Bucket:
    """`duckline.stores.Sounds` as one process reaches it."""

    def __init__(self, cloud: Cloud, process: Process) -> None:
        self.cloud, self.process = cloud, process

    def get(self, key: str) -> bytes | None:
        self._wait(25)
        return self.cloud.sounds.get(key)

    def put(self, key: str, body: bytes, **kwargs: Any) -> None:
        self._wait(40)
        self.cloud.sounds.put(key, body)

    def _wait(self, usual_ms: float) -> None:
        cloud = self.cloud
        cloud.world.sleep(usual_ms * cloud.rng.uniform(0.5, 1.5))
        if cloud.is_down(cloud.faults.bucket_down):
            raise NotReached("500 Internal Error")
        if not cloud.is_calm and cloud.rng.random() < cloud.faults.bucket_slow:
            cloud.world.sleep(cloud.rng.uniform(100, 2000))


class Queue:
    """The work queue and the event bus as one process reaches them."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def send(self, message: dict[str, Any], delay_s: int = 0) -> None:
        self.cloud.world.sleep(10)
        self.cloud.queue.append(message)

    def publish(self, events: list[dict[str, Any]]) -> None:
        self.cloud.world.sleep(10)
        self.cloud.events += events
