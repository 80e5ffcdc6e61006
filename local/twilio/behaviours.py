"""How Twilio may fetch and play: what its documentation leaves open, each possibility a field.

Nobody has shown whether `<Play>` plays while it downloads, cuts a request at 15 s, or downloads first. The simulator
can do each, with or without the oddities of a caching proxy in between, so that the stack can be held against all.
"""

from dataclasses import dataclass

MOST_START_BUFFER_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One way to fetch and play. The default is (a): plays while it downloads, after 200 ms of µ-law.

    Attributes:
        start_buffer_bytes: audio bytes that must have come before the first is heard, 0 to 65536.
        downloads_first: (c): nothing is heard before the whole body is there.
        media_limit_s: (b): a media request is cut this long after it was asked; None for never.
        head_first: a HEAD of the same URL goes before the GET, and must be answered as the GET would be.
        range_header: the GET asks for `Range: bytes=0-`.
        repeated_get: once the GET's headers are there the same URL is fetched again; the second fetch is what is heard,
            the first is read on to its end and dropped.
        closes_at_once: a GET whose connection is closed as soon as its headers are there goes before the one played.
        fetch_goes_on_after_hangup: the media request is read to its end after the caller has gone.
        slow_reader_bytes_per_s: the body is read no faster than this, through a small receive buffer; None for freely.
        joins_chunks_to_bytes: a proxy in between hands on nothing until it holds this many bytes (or the body's end).
        webhooks_twice: every webhook is sent a second time once the first was answered, as after an answer that was
            lost on its way: same parameters, same idempotency token. The second answer is obeyed.
        failed_play_ends_call: a media URL that cannot be played drops the call; otherwise the next verb follows.
    """

    start_buffer_bytes: int = 1600
    downloads_first: bool = False
    media_limit_s: float | None = None
    head_first: bool = False
    range_header: bool = False
    repeated_get: bool = False
    closes_at_once: bool = False
    fetch_goes_on_after_hangup: bool = False
    slow_reader_bytes_per_s: int | None = None
    joins_chunks_to_bytes: int = 0
    webhooks_twice: bool = False
    failed_play_ends_call: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.start_buffer_bytes <= MOST_START_BUFFER_BYTES:
            raise ValueError(
                f"start_buffer_bytes is {self.start_buffer_bytes}; 0 to {MOST_START_BUFFER_BYTES} are right"
            )
        for name in ("media_limit_s", "slow_reader_bytes_per_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}; a number above 0 is right, or None for no limit")


PLAYS_WHILE_DOWNLOADING = Behaviour()
CUTS_AT_15_S = Behaviour(media_limit_s=15.0)
DOWNLOADS_FIRST = Behaviour(downloads_first=True)
