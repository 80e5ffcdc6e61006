"""The caller's side: fetches windows as Twilio would, plays what arrives in real time, remembers all that is heard."""

import random
from dataclasses import dataclass, field
from typing import Any

from duckline.stores import NotReached
from local.simulation.cloud import Cloud
from local.simulation.sound import Frame, frames_in
from local.simulation.streaming import Fetch
from local.simulation.world import Process, World

START_BUFFER_MS = 60.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A frame as the caller heard it: which fetch it came by, its place in the call, and when."""

    fetch: int
    at: int
    time_ms: float
    frame: Frame


@dataclass
class Trouble:
    """What is to go wrong with windows: the time into a window, by kind, for the windows that come."""

    broken: list[float] = field(default_factory=list)
    killed: list[float] = field(default_factory=list)
    fetched_twice: list[float] = field(default_factory=list)
    webhooks_twice: float = 0.0


class Line:
    """One caller, from the call's first window to the hang-up."""

    def __init__(self, world: World, cloud: Cloud, rng: random.Random, trouble: Trouble, services: Any) -> None:
        self.world, self.cloud, self.rng, self.trouble, self.services = world, cloud, rng, trouble, services
        self.heard: list[Heard] = []
        self.fetches: list[Fetch] = []
        self.hung_up_ms: float | None = None
        self.gaps: list[float] = []
        self.fetched_twice: set[int] = set()  # of two fetches at once the caller hears one, and nobody says which
        self.is_troubled = False

    def live(self, sid: str) -> None:
        """The whole call. Webhooks are asked again until they are answered."""
        turn = self._asked(lambda voice, now, asked: voice.call_in(sid, "calm", now))
        while turn.kind != "over" and self.hung_up_ms is None:
            if turn.kind == "music":
                self._window(sid, turn.call.epoch)
            else:
                self.world.sleep(2000)
            if self.hung_up_ms is not None:
                return
            epoch, rested = turn.call.epoch, turn.kind != "music"
            turn = self._asked(
                lambda voice, now, asked, epoch=epoch, rested=rested: voice.next_window(
                    sid, epoch, now, rested=rested, bed_name="calm", asked_ms=asked
                )
            )

    def _asked(self, ask: Any) -> Any:
        asked_ms = None
        while True:
            self.world.sleep(self.rng.uniform(10, 80))
            process = Process(self.world, "voice", self.rng.uniform(-100, 100))
            now_ms = process.clock.now_ms()
            asked_ms = asked_ms or now_ms  # trouble's TwiML carries it on
            if self.rng.random() < self.trouble.webhooks_twice:
                other = Process(self.world, "voice again", self.rng.uniform(-100, 100))
                other.start(ask, self.services.voice(other), other.clock.now_ms(), asked_ms)
            task = process.start(ask, self.services.voice(process), now_ms, asked_ms)
            process.clock.wait(task, self.world.time_ms + 10_000)
            if task.done():
                try:
                    return task.result()
                except NotReached:
                    self.is_troubled = True
                    self.world.sleep(1000)

    def _window(self, sid: str, epoch: int) -> None:
        began_ms = self.world.time_ms
        fetch = self._fetched(sid, epoch)
        twice_ms, broken_ms, killed_ms = (
            (times.pop(0) if times else None)
            for times in (self.trouble.fetched_twice, self.trouble.broken, self.trouble.killed)
        )
        if twice_ms is not None:
            self.is_troubled = True
            self._wait(fetch, began_ms + twice_ms)
            second = self._fetched(sid, epoch)
            while not second.arrivals and not second.is_over and self.hung_up_ms is None:
                self.world.sleep(20)
            if second.arrivals:
                self._remember(fetch, second.arrivals[0][0])
                self.fetched_twice |= {fetch.number, second.number}
                fetch, began_ms = second, self.world.time_ms
            broken_ms = killed_ms = None
        if broken_ms is not None or killed_ms is not None:
            self.is_troubled = True
            self._wait(fetch, began_ms + (broken_ms if broken_ms is not None else killed_ms))
            fetch.is_connected = False
            if broken_ms is None:
                fetch.process.kill()
        else:
            self._wait(fetch, float("inf"))
        self._played_out(fetch)

    def _fetched(self, sid: str, epoch: int) -> Fetch:
        fetch = self.services.stream(sid, epoch, len(self.fetches))
        self.fetches.append(fetch)
        return fetch

    def _wait(self, fetch: Fetch, until_ms: float) -> None:
        while not fetch.is_over and self.world.time_ms < until_ms and self.hung_up_ms is None:
            self.world.sleep(20)

    def _played_out(self, fetch: Fetch) -> None:
        """The line plays what it holds, then asks for what comes next."""
        over_ms = self._play_times(fetch)[-1] + 20 if fetch.arrivals else self.world.time_ms
        while self.world.time_ms < over_ms and self.hung_up_ms is None:
            self.world.sleep(min(20, over_ms - self.world.time_ms))
        self._remember(fetch, self.hung_up_ms if self.hung_up_ms is not None else over_ms)

    def _play_times(self, fetch: Fetch) -> list[float]:
        times, free_ms = [], fetch.arrivals[0][0] + START_BUFFER_MS
        if not fetch.paced:
            free_ms = fetch.arrivals[-1][0]
        for arrived_ms, sound in fetch.arrivals:
            for _ in frames_in(sound):
                if times and arrived_ms > free_ms:
                    self.gaps.append(arrived_ms - free_ms)
                free_ms = max(free_ms, arrived_ms)
                times.append(free_ms)
                free_ms += 20
        return times

    def _remember(self, fetch: Fetch, until_ms: float) -> None:
        if fetch.is_remembered or not fetch.arrivals:
            return
        fetch.is_remembered = True
        frames = [frame for _, sound in fetch.arrivals for frame in frames_in(sound)]
        for number, (time_ms, frame) in enumerate(zip(self._play_times(fetch), frames, strict=True)):
            if time_ms < until_ms:
                self.heard.append(Heard(fetch.number, fetch.first + number, time_ms, frame))
