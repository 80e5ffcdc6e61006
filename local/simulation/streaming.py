"""One fetch of one window, as the stream function serves it, in a process of its own."""

from dataclasses import dataclass, field

from duckline.delivery import Delivery
from duckline.stores import NotReached
from local.simulation import sound
from local.simulation.cloud import Cloud, Queue
from local.simulation.world import Process, World
from stream.books import Books
from stream.playing import NotHeld, Playing, Services
from stream.sources import Sources


@dataclass
class Fetch:
    """What came of a fetch. `first` is the call's frame that its body begins with."""

    number: int
    process: Process
    first: int = 0
    paced: bool = True
    arrivals: list[tuple[float, bytes]] = field(default_factory=list)
    is_over: bool = False
    is_connected: bool = True
    is_remembered: bool = False
    over_ms: float = 0.0
    late_ms: float = 0.0


def fetched(
    world: World, cloud: Cloud, sid: str, epoch: int, number: int, delivery: Delivery, lead_ms: float, skew_ms: float
) -> Fetch:
    """Starts the function; its chunks arrive over time."""
    process = Process(world, f"stream {number}", skew_ms)
    fetch = Fetch(number, process)

    def serve() -> None:
        world.sleep(cloud.rng.uniform(20, 80))
        table = cloud.table(process)
        sources = Sources(cloud.bucket(process), process.clock, process.start, sound.shipped)
        services = Services(
            calls=table,
            books=lambda: Books(table, Queue(cloud), Queue(cloud), process.start),
            sources=sources,
            clock=process.clock,
            background=process.start,
            log=lambda *args, **kwargs: None,
            faded=lambda body, *args, **kwargs: body,
            blended=sound.splice,
            echoed=sound.echo,
        )
        playing = Playing(services, delivery, lead_ms=lead_ms)
        try:
            call = playing.open(sid, epoch, f"holder{number}", longest_ms=880_000)
        except (NotHeld, NotReached):
            return
        fetch.first, fetch.paced = call.window_from, call.paced
        for chunk in playing.audio():
            if fetch.is_connected:
                fetch.arrivals.append((world.time_ms, chunk))
        fetch.late_ms = playing.tally.late_ms

    def run() -> None:
        try:
            serve()
        finally:
            fetch.is_over, fetch.over_ms = True, world.time_ms

    process.start_main(run)
    return fetch
