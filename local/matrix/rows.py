"""What the matrix is made of: every way in which Twilio may fetch and play, and the settings held against it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from local.matrix.service import Settings
from local.twilio import CUTS_AT_15_S, DOWNLOADS_FIRST, PLAYS_WHILE_DOWNLOADING, Behaviour

KINDS = {
    "(a) plays while it downloads": PLAYS_WHILE_DOWNLOADING,
    "(b) does so, and cuts at 15 s": CUTS_AT_15_S,
    "(c) downloads, then plays": DOWNLOADS_FIRST,
}
START_BUFFERS = (0, 8_000, 16_000, 32_768, 65_536)  # bytes; KINDS has (a) with 1,600
ODDITIES = {
    "HEAD first": {"head_first": True},
    "Range": {"range_header": True},
    "a second GET, which is played": {"repeated_get": True},
    "a GET that is closed at once, then another": {"closes_at_once": True},
    "the fetch goes on after the hang-up": {"fetch_goes_on_after_hangup": True},
    "a reader of 9,000 bytes a second": {"slow_reader_bytes_per_s": 9_000},
    "a proxy that joins chunks to 4 kB": {"joins_chunks_to_bytes": 4_096},
    "a proxy that joins chunks to 16 kB": {"joins_chunks_to_bytes": 16_384},
    "every webhook twice": {"webhooks_twice": True},
}
FIXED = {
    "`stream`": Settings("stream"),
    "`stream`, lead 0.45 s": Settings("stream", lead_seconds=0.45),
    "`stream`, lead 5 s": Settings("stream", lead_seconds=5),
    "`stream`, `pcm16`": Settings("stream", stream_format="pcm16"),
    "`short`": Settings("short"),
    "`burst`": Settings("burst"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One behaviour by its name."""

    name: str
    behaviour: Behaviour


def plain() -> Iterator[Row]:
    """The three kinds, and (a) with every start buffer."""
    for kind, behaviour in KINDS.items():
        yield Row(kind, behaviour)
        if behaviour == PLAYS_WHILE_DOWNLOADING:
            for size in START_BUFFERS:
                yield Row(f"(a), start buffer {size:,} bytes", replace(behaviour, start_buffer_bytes=size))


def odd() -> Iterator[Row]:
    """Each oddity with each kind."""
    for kind, behaviour in KINDS.items():
        for name, fields in ODDITIES.items():
            yield Row(f"{kind[:3]}, {name}", replace(behaviour, **fields))
