"""Part one, without Twilio: how the function URL hands on small chunks, how long it takes, what a broken line does.

The webhooks are ours, signed as Twilio would; the stack cannot tell the difference.
"""

import http.client
import itertools
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from duckline.timeline import SAMPLE_RATE_HZ
from operations.verify_live.target import Target

LISTENS_FOR_S = 12.0
BREAKS_AFTER_S = 3.0
HEADER_BYTES = 58
READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Fetch:
    """One stream as it came: the first byte after the request, then (seconds after it, bytes) for every read."""

    first_byte_s: float
    arrivals: tuple[tuple[float, int], ...]
    bytes_per_s: int = SAMPLE_RATE_HZ

    @property
    def least_cushion_s(self) -> float:
        """The least that a player who starts with the first byte had in hand: below 0 it would have run dry."""
        sent, least = -HEADER_BYTES, float("inf")
        for at_s, size in self.arrivals:
            if sent > 0:
                least = min(least, sent / self.bytes_per_s - at_s)
            sent += size
        return least if least < float("inf") else 0.0

    @property
    def longest_pause_s(self) -> float:
        times = [at_s for at_s, _ in self.arrivals]
        return max((after - before for before, after in itertools.pairwise(times)), default=0.0)


@dataclass(frozen=True, slots=True)
class StreamCheck:
    """What part one has measured. `resumed` is whether a broken window was followed by the next."""

    cold: Fetch
    warm: Fetch
    ended_after_s: float | None
    resumed: bool


def listen(url: str, for_s: float, clock: Callable[[], float] = time.monotonic) -> Fetch:
    """Fetches a stream for so long, from its first byte on, and drops the connection."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=20)
    asked = clock()
    try:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        if response.status != 200:
            raise ConnectionError(f"the stream was answered {response.status}: {response.read(200)!r}")
        first, arrivals = 0.0, []
        while (not first or clock() < first + for_s) and (data := response.read1(READ_BYTES)):
            now = clock()
            first = first or now
            arrivals.append((now - first, len(data)))
        return Fetch(first - asked, tuple(arrivals))
    finally:
        connection.close()


def check(target: Target, for_s: float = LISTENS_FOR_S) -> StreamCheck:
    """Two calls without a caller: one to its end, one whose connection breaks. Raises Refused."""
    sid = new_call_sid()
    cold = listen(target.window(target.voice_url, sid)[0], for_s)
    target.webhook(target.status_url, sid, CallStatus="completed")
    ended_after_s = target.until_over(sid, within_s=10)
    sid = new_call_sid()
    music_url, next_url = target.window(target.voice_url, sid)
    try:
        warm = listen(music_url, BREAKS_AFTER_S)
        following = listen(target.window(next_url, sid)[0], BREAKS_AFTER_S)
    finally:
        target.webhook(target.status_url, sid, CallStatus="completed")
    return StreamCheck(cold, warm, ended_after_s, resumed=len(following.arrivals) > 1)


def new_call_sid() -> str:
    return f"CA{uuid.uuid4().hex}"
