"""Measuring side by side: every round runs each candidate once, so that a busy minute is everybody's."""

import resource
import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 9


def side_by_side(candidates: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """The median wall-clock milliseconds of each candidate over `rounds` rounds, after one that does not count.

    The order turns by one from round to round, so that nobody always comes after the same neighbour.
    """
    names = list(candidates)
    taken_ms: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            began = time.perf_counter()
            candidates[name]()
            if number:
                taken_ms[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(times) for name, times in taken_ms.items()}


def children_cpu_s() -> float:
    """Seconds of processor that processes of this one have used, once they are over and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
