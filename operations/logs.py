"""`make logs`: what the three functions have logged, as it comes. CALL=CA… keeps to one call, MINUTES=60 goes back."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import boto3

from operations.deployment import CannotGoOn, configured_stack, run

FUNCTIONS = ("voice", "render", "stream")
LOOKS_EVERY_S = 2.0
LATE_MS = 10_000  # a line may be to be had that much later than its own time says
# Of every line anyhow, or of interest to a machine alone.
LEFT_OUT = {"level", "location", "message", "timestamp", "service", "function_name", "function_memory_size"} | {
    *("function_arn", "function_request_id", "xray_trace_id", "cold_start")
}


class Logs:
    """The log groups of a stack. `lines` may be asked again and again, and gives each line once."""

    def __init__(self, client: Any, stack: str, call_sid: str = "") -> None:
        self.client, self.stack, self.call_sid = client, stack, call_sid
        self.seen: dict[str, int] = {}

    def lines(self, since_ms: int) -> Iterator[str]:
        """What was logged from then on, in order of time. Raises CannotGoOn if there is no such log."""
        found = sorted(
            (event["timestamp"], event["eventId"], function, event["message"])
            for function in FUNCTIONS
            for event in self._events(function, since_ms)
            if event["eventId"] not in self.seen
        )
        for at_ms, event_id, function, message in found:
            self.seen[event_id] = at_ms
            yield (
                f"{datetime.fromtimestamp(at_ms / 1000, UTC):%H:%M:%S.%f}"[:12] + f" {function:<6} {readable(message)}"
            )
        self.seen = {event_id: at_ms for event_id, at_ms in self.seen.items() if at_ms >= since_ms}

    def _events(self, function: str, since_ms: int) -> Iterator[dict[str, Any]]:
        group = f"/duckline/{self.stack}/{function}"
        pattern = {"filterPattern": f'"{self.call_sid}"'} if self.call_sid else {}
        pages = self.client.get_paginator("filter_log_events")
        try:
            for page in pages.paginate(logGroupName=group, startTime=since_ms, **pattern):
                yield from page["events"]
        except self.client.exceptions.ResourceNotFoundException as error:
            raise CannotGoOn(f"there is no log {group}; make deploy makes it, STACK=… names another") from error


def readable(message: str) -> str:
    """A line of Powertools as level, text and fields; any other as it is."""
    try:
        told = json.loads(message)
    except ValueError:
        return message.strip()
    if not isinstance(told, dict) or "message" not in told:
        return message.strip()
    fields = " ".join(f"{name}={value}" for name, value in told.items() if name not in LEFT_OUT)
    return f"{told.get('level', ''):<7} {told['message']} {fields}".rstrip()


def follow(logs: Logs, minutes: float, tell: Callable[[str], None] = print) -> None:
    """Tells every line, until Ctrl-C."""
    since_ms = time.time_ns() // 1_000_000 - round(minutes * 60_000)
    while True:
        asked_ms = time.time_ns() // 1_000_000
        for line in logs.lines(since_ms):
            tell(line)
        since_ms = max(since_ms, asked_ms - LATE_MS)
        time.sleep(LOOKS_EVERY_S)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make logs", description=__doc__)
    parser.add_argument("--stack", default=configured_stack())
    parser.add_argument("--call", default="")
    parser.add_argument("--minutes", type=float, default=10)
    asked = parser.parse_args(arguments)
    return run(lambda: follow(Logs(boto3.client("logs"), asked.stack, asked.call), asked.minutes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
