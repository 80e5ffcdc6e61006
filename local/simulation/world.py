"""Virtual time: many actors that wait, one of which runs at a time, in an order that the seed decides.

An actor is a greenlet, so that code written to block runs here as it stands: its clock and its stores wait by handing
over to the world.
"""

import heapq
import random
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

START_MS = 1_700_000_000_000


class World:
    """The agenda of all that will happen. Times are milliseconds since the world began."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.time_ms = 0.0
        self.agenda: list[tuple[float, float, int, Ticket]] = []
        self.entries = 0
        self.hub = getcurrent()
        self.crashes: list[tuple[str, BaseException]] = []

    def run(self, until_ms: float) -> None:
        """Lets everything happen that is due before `until_ms`."""
        while self.agenda and self.agenda[0][0] <= until_ms:
            self.time_ms, _, _, ticket = heapq.heappop(self.agenda)
            if not ticket.is_used and not ticket.process.is_dead:
                ticket.is_used = True
                ticket.actor.switch()
        self.time_ms = until_ms

    def wake(self, ticket: "Ticket", at_ms: float) -> None:
        """Has the actor go on at `at_ms`, if nothing else made it go on before."""
        self.entries += 1
        heapq.heappush(self.agenda, (max(at_ms, self.time_ms), self.rng.random(), self.entries, ticket))

    def sleep(self, for_ms: float) -> None:
        self.wake(Ticket(getcurrent()), self.time_ms + for_ms)
        self.hub.switch()


class Ticket:
    """One wait of one actor: the first that calls it lets it go on."""

    __slots__ = ("actor", "is_used", "process")

    def __init__(self, actor: "Actor") -> None:
        self.actor, self.process, self.is_used = actor, actor.process, False


class Actor(greenlet):
    """A greenlet that belongs to a process."""

    process: "Process"


class Task:
    """Something under way, in the form of a future."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.waiting: list[Ticket] = []
        self.is_done, self.value, self.error = False, None, None

    def done(self) -> bool:
        return self.is_done

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value

    def finish(self, value: Any, error: BaseException | None) -> None:
        self.is_done, self.value, self.error = True, value, error
        for ticket in self.waiting:
            self.world.wake(ticket, self.world.time_ms)


class Process:
    """Actors that live and die together. `kill` ends them where they are, in the middle of whatever they do."""

    def __init__(self, world: World, name: str, skew_ms: float = 0.0) -> None:
        self.world, self.name = world, name
        self.clock = Clock(self, skew_ms)
        self.actors: list[Actor] = []
        self.is_dead = False

    def start(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Task:
        task = Task(self.world)

        def act() -> None:
            try:
                task.finish(function(*args, **kwargs), None)
            except Exception as error:  # noqa: BLE001 - whoever asks for the result is told
                task.finish(None, error)
            self.actors.remove(getcurrent())

        actor = Actor(act, parent=self.world.hub)
        actor.process = self
        self.actors.append(actor)
        self.world.wake(Ticket(actor), self.world.time_ms)
        return task

    def start_main(self, function: Callable[..., Any], *args: Any) -> Task:
        """Starts what must not fail: an error in it is a crash of the simulation."""

        def guarded() -> Any:
            try:
                return function(*args)
            except Exception as error:
                self.world.crashes.append((self.name, error))
                raise

        return self.start(guarded)

    def kill(self) -> None:
        """None of its actors ever goes on. They are kept: a greenlet that is forgotten is ended by an exception."""
        self.is_dead = True


class Clock:
    """`duckline.clock.SystemClock` in virtual time. Its wall clock may differ from others' by `skew_ms`."""

    def __init__(self, process: Process, skew_ms: float) -> None:
        self.world, self.skew_ms = process.world, skew_ms

    def now_ms(self) -> int:
        return int(START_MS + self.world.time_ms + self.skew_ms)

    def monotonic_ms(self) -> float:
        return self.world.time_ms

    def sleep_until(self, monotonic_ms: float) -> None:
        if monotonic_ms > self.world.time_ms:
            self.world.sleep(monotonic_ms - self.world.time_ms)

    def wait(self, task: Task, until_monotonic_ms: float) -> None:
        if not task.done() and self.world.time_ms < until_monotonic_ms:
            ticket = Ticket(getcurrent())
            task.waiting.append(ticket)
            self.world.wake(ticket, until_monotonic_ms)
            self.world.hub.switch()
