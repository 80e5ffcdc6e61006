"""A whole run from a seed: a caller, an application, the three functions, and what goes wrong."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from duckline.berth import Manner
from duckline.call import Call
from duckline.delivery import HEARD_MARGIN_MS, Delivery
from duckline.errors import DucklineError
from duckline.records import BedRecord, SpeechRecord, speech_id_for, status_of
from duckline.stores import NotReached
from duckline.stores.findings import MemoryFindings
from local.simulation import sound
from local.simulation.cloud import Cloud, Faults, Queue
from local.simulation.line import Line, Trouble
from local.simulation.rules import RuleBroken, Told, Watch, check_heard, check_speeches
from local.simulation.streaming import Fetch, fetched
from local.simulation.world import START_MS, Process, World
from render.beds import BedChange
from render.silencing import Silencing
from render.speaking import Speaking
from voice.answering import Answering
from voice.ending import Ending
from voice.notices import Notices

SID = "CA" + "5" * 32
AFTER_TALK_MS = 150_000  # the longest that a call goes on once nobody asks for anything more
STOPPED_WITHIN_MS = 1000 + 260
RENDER_GIVES_UP = 12


@dataclass
class Plan:
    """What a run consists of; `from_seed` draws one."""

    seed: int
    delivery: Delivery
    lead_ms: float
    faults: Faults
    trouble: Trouble
    speeches: int
    talk_ms: float
    cancels: float = 0.0
    interrupts: float = 0.0
    bed_changes: int = 0
    hangs_up_early: bool = False

    @property
    def is_calm(self) -> bool:
        """Whether nothing goes wrong that could make a speech be heard twice or in part."""
        f, t = self.faults, self.trouble
        return not (
            t.broken or t.killed or t.fetched_twice or f.table_down or f.bucket_down or f.lost or f.late or f.unanswered
            or f.bucket_slow
        )  # fmt: skip

    @classmethod
    def from_seed(cls, seed: int) -> "Plan":
        rng = random.Random(seed)
        talk_ms = rng.choice([10_000, 25_000, 60_000])
        mode, seconds = rng.choice([("stream", 840), ("stream", rng.randint(5, 30)), ("short", 840), ("burst", 840)])
        faults, trouble = Faults(), Trouble(webhooks_twice=rng.choice([0, 0.3]))
        kinds = rng.choice([(), ("table",), ("bucket",), ("line",), ("render",), ("table", "bucket", "line", "render")])
        if "table" in kinds:
            faults.lost, faults.late, faults.unanswered = (rng.choice([0, 0.02, 0.08]) for _ in range(3))
            faults.table_down = _times(rng, talk_ms, longest_ms=4000)
        if "bucket" in kinds:
            faults.bucket_slow = rng.choice([0, 0.05])
            faults.bucket_down = _times(rng, talk_ms, longest_ms=3000)
        if "line" in kinds:
            trouble.broken = [rng.uniform(0, 20_000) for _ in range(rng.randint(0, 2))]
            trouble.killed = [rng.uniform(0, 20_000) for _ in range(rng.randint(0, 2))]
            trouble.fetched_twice = [rng.choice([0, rng.uniform(0, 3000)]) for _ in range(rng.randint(0, 1))]
        if "render" in kinds:
            faults.work_lost = 0.2
        return cls(
            seed,
            Delivery(mode, seconds),
            lead_ms=rng.choice([450, 1000]),
            faults=faults,
            trouble=trouble,
            speeches=rng.randint(1, 12),
            talk_ms=talk_ms,
            cancels=rng.choice([0, 0.3]),
            interrupts=rng.choice([0, 0.25]),
            bed_changes=rng.choice([0, 0, 2]),
            hangs_up_early=rng.random() < 0.2,
        )


def _times(rng: random.Random, within_ms: float, longest_ms: float) -> list[tuple[float, float]]:
    starts = [rng.uniform(1000, within_ms) for _ in range(rng.randint(0, 2))]
    return [(start, start + rng.uniform(200, longest_ms)) for start in starts]


@dataclass
class Outcome:
    """What a run came to, for those who look closer."""

    call: Call
    line: Line
    cloud: Cloud
    watch: Watch
    told: list[Told]
    latencies_ms: list[float] = field(default_factory=list)


class Run:
    """One plan, played."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.rng = plan, random.Random(plan.seed + 1)
        self.world = World(self.rng)
        self.cloud = Cloud(self.world, self.rng, plan.faults)
        self.watch = Watch(self.cloud)
        self.cloud.watchers.append(self.watch)
        self.voices, self.told, self.working = sound.Voices(), [], True
        self.renders = 0
        sound.keep_beds(self.cloud.sounds)
        for name in sound.BEDS:
            self.cloud.beds.keep(BedRecord(name, "ready", version=name))
        self.line = Line(self.world, self.cloud, self.rng, plan.trouble, self)

    # -- the functions, each in a process of its own ------------------------------------------------------

    def voice(self, process: Process) -> Answering:
        notices = Notices(Queue(self.cloud), Queue(self.cloud), process.start)
        table = self.cloud.table(process)
        return Answering(table, self.cloud.beds, MemoryFindings(), notices, self.plan.delivery, "calm")

    def stream(self, sid: str, epoch: int, number: int) -> Fetch:
        skew_ms = self.rng.uniform(-100, 100)
        return fetched(self.world, self.cloud, sid, epoch, number, self.plan.delivery, self.plan.lead_ms, skew_ms)

    def render(self) -> tuple[Process, Speaking]:
        self.renders += 1
        process = Process(self.world, f"render {self.renders}", self.rng.uniform(-100, 100))
        table = self.cloud.table(process)
        if not self.cloud.is_calm and self.rng.random() < self.plan.faults.work_lost:
            Process(self.world, "fate").start(self._die, process, self.rng.uniform(50, 600))
        speaking = Speaking(
            calls=table,
            speeches=table,
            studio=sound.SymbolicStudio(self.cloud.bucket(process), self.voices, self._delay),
            work=Queue(self.cloud),
            events=Queue(self.cloud),
            clock=process.clock,
            background=process.start,
            manner=Manner(),
        )
        return process, speaking

    def _die(self, process: Process, after_ms: float) -> None:
        self.world.sleep(after_ms)
        process.kill()

    def _delay(self, what: str) -> None:
        usual_ms = {"synthesis": 200, "bucket": 50}[what]
        self.world.sleep(self.rng.choice([usual_ms, usual_ms * self.rng.uniform(0.3, 4)]))

    # -- the application ----------------------------------------------------------------------------------

    def _talk(self) -> None:
        for _ in range(self.plan.speeches):
            self.world.sleep(self.rng.expovariate(1) * self.plan.talk_ms / self.plan.speeches)
            Process(self.world, "application").start_main(self._speak)
            if self.rng.random() < self.plan.cancels:
                Process(self.world, "application").start_main(self._cancel)
        for _ in range(self.plan.bed_changes):
            self.world.sleep(self.rng.uniform(0, 5000))
            Process(self.world, "application").start_main(self._change_bed, self.rng.choice(sound.BEDS))

    def _speak(self) -> None:
        lengths = self.rng.choice(["3", "40", "100", "250", "60,150", "50,120,300", "1,1,2", "420", "900"])
        key = f"key {self.rng.random()}"
        when = "now" if self.rng.random() < self.plan.interrupts else "queue"
        record = SpeechRecord(SID, speech_id_for(SID, key), "same", 0, text=lengths, when=when)
        for _ in range(2 if self.rng.random() < 0.15 else 1):
            status = self._requested(lambda speaking: speaking.accept(record))
            if status is not None and all(told.speech_id != status.speech_id for told in self.told):
                self.told.append(Told(status.speech_id, lengths))

    def _cancel(self) -> None:
        self.world.sleep(self.rng.uniform(0, 6000))
        if self.rng.random() < 0.2:
            self._requested(lambda speaking: Silencing(speaking).cancel_all(SID))
        elif self.told:
            chosen = self.rng.choice(self.told).speech_id
            self._requested(lambda speaking: Silencing(speaking).cancel(SID, chosen))

    def _change_bed(self, name: str) -> None:
        self._requested(
            lambda speaking: BedChange(speaking.calls, self.cloud.beds, speaking.studio.fade).change(SID, name)
        )

    def _requested(self, ask: Callable[[Speaking], Any]) -> Any:
        """One request of the API; None if it was refused, or if the one who served it died."""
        process, speaking = self.render()
        task = process.start(ask, speaking)
        process.clock.wait(task, self.world.time_ms + 30_000)
        if not task.done():
            return None
        try:
            return task.result()
        except (DucklineError, NotReached):
            return None

    # -- the work queue -----------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            self.world.sleep(50)
            if self.cloud.queue:
                Process(self.world, "queue").start_main(self._deliver, self.cloud.queue.pop(0))

    def _deliver(self, message: dict[str, Any], tries: int = 1) -> None:
        def work(speaking: Speaking) -> bool:
            if message["kind"] == "go_on":
                speaking.go_on(message["call_sid"], message["speech_id"], message["maker"])
            else:
                speaking.take_up(message["call_sid"])
            return True

        process, speaking = self.render()
        task = process.start(work, speaking)
        process.clock.wait(task, self.world.time_ms + 60_000)
        try:
            if task.done() and task.result():
                return
        except DucklineError:
            return
        except NotReached:
            pass
        if tries < RENDER_GIVES_UP:
            self.world.sleep(2000)
            self._deliver(message, tries + 1)

    # -- the run ------------------------------------------------------------------------------------------

    def play(self) -> Outcome:
        """Plays the plan to its end. Raises RuleBroken, with what the seed was."""
        try:
            return self._play()
        except RuleBroken as broken:
            raise RuleBroken(f"seed {self.plan.seed}: {broken}") from broken

    def _play(self) -> Outcome:
        plan, world = self.plan, self.world
        Process(world, "line").start_main(self.line.live, SID)
        Process(world, "queue").start_main(self._work)
        Process(world, "talk").start_main(self._talk)
        world.run(plan.talk_ms if plan.hangs_up_early else plan.talk_ms + 8000)
        self._raise_crashes()
        if not plan.hangs_up_early:
            self.cloud.is_calm = True
            give_up_ms = world.time_ms + AFTER_TALK_MS
            while self._is_busy() and world.time_ms < give_up_ms:
                world.run(world.time_ms + 500)
                self._raise_crashes()
            if self._is_busy():
                call = self.cloud.calls.get(SID)
                raise RuleBroken(f"5: still pending long after the last request: {call.pending}")
            world.run(world.time_ms + HEARD_MARGIN_MS + 1000)
        self._hang_up()
        self._raise_crashes()
        call = self.cloud.calls.get(SID)
        substitutes = bool(plan.faults.bucket_down or plan.faults.bucket_slow)
        check_heard(self.line, self.watch, substitutes=substitutes)
        check_speeches(
            call, self.cloud, self.line, self.voices, self.told, calm=plan.is_calm and not self.line.is_troubled
        )
        for fetch in self.line.fetches:
            if fetch.late_ms > 0:
                raise RuleBroken(f"6: {fetch.process.name} was {fetch.late_ms:.0f} ms late")
        return Outcome(call, self.line, self.cloud, self.watch, self.told)

    def _is_busy(self) -> bool:
        call = self.cloud.calls.get(SID)
        now_ms = START_MS + self.world.time_ms
        return any(status_of(call, s, now_ms).state in ("scheduled", "playing") for s in call.speeches)

    def _hang_up(self) -> None:
        world = self.world
        self.line.hung_up_ms = world.time_ms
        process = Process(world, "status")
        table = self.cloud.table(process)
        ending = Ending(table, table, Notices(Queue(self.cloud), Queue(self.cloud), process.start))
        self.cloud.is_calm = True

        def call_back() -> None:
            world.sleep(self.rng.uniform(50, 500))
            for _ in range(self.rng.choice([1, 2])):
                ending.call_over(SID, "completed", process.clock.now_ms())
            self.ended_ms = world.time_ms

        process.start_main(call_back)
        world.run(world.time_ms + 40_000)
        for fetch in self.line.fetches:
            if not fetch.is_over and not fetch.process.is_dead:
                raise RuleBroken(f"7: {fetch.process.name} goes on after the hang-up")
            if fetch.over_ms > self.ended_ms + STOPPED_WITHIN_MS:
                raise RuleBroken(
                    f"7: {fetch.process.name} stopped {fetch.over_ms - self.ended_ms:.0f} ms after the end"
                )

    def _raise_crashes(self) -> None:
        for name, error in self.world.crashes:
            if isinstance(error, RuleBroken):
                raise error
            raise RuleBroken(f"{name} crashed: {error!r}") from error


def broken_among(seeds: range) -> list[str]:
    """What was found broken in the runs of these seeds, a line for each."""
    broken = []
    for seed in seeds:
        try:
            Run(Plan.from_seed(seed)).play()
        except RuleBroken as error:
            broken.append(str(error))
    return broken
