"""What a deployment's dashboard and alarms show, measured where it happens and written out once an invocation.

Whoever measures is handed a `Meter` as a plain callable. Powertools, which writes CloudWatch's embedded metric format
into the log, is known to the entry modules alone.
"""

from threading import Lock
from typing import Any

NAMESPACE = "Duckline"
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html for the units' names
UNITS = {
    "Windows": "Count",  # that a stream has ended
    "ConcurrentCalls": "Count",  # as a call comes in, and with it
    "LateMs": "Milliseconds",  # that the caller of one window had nothing to hear
    "SpeechLatencyMs": "Milliseconds",  # from a request to the first sample heard
    "SpeechesRescheduled": "Count",  # to be spoken again, since nobody can have heard them whole
    "SpeechesFailed": "Count",  # accepted, and never heard
    "OrphanSecondsSaved": "Seconds",  # of streaming to nobody, by a stop at the hang-up
}


class Meter:
    """`meter("Windows")` counts one, `meter("LateMs", 12.5)` keeps a value; from any thread."""

    def __init__(self, metrics: Any) -> None:
        """`metrics` is Powertools' `Metrics`, or what looks like it."""
        self.metrics = metrics
        self.kept: list[tuple[str, float]] = []
        self.lock = Lock()

    def __call__(self, name: str, value: float = 1) -> None:
        """Raises ValueError for a name that no dashboard knows."""
        if name not in UNITS:
            raise ValueError(f"there is no metric {name!r}; {', '.join(UNITS)} are there")
        with self.lock:
            self.kept.append((name, value))

    def flush(self) -> None:
        """Writes out what was measured since the last time; nothing if nothing was."""
        with self.lock:
            taken, self.kept = self.kept, []
        for name, value in taken:
            self.metrics.add_metric(name=name, unit=UNITS[name], value=value)
        if taken:
            self.metrics.flush_metrics()
