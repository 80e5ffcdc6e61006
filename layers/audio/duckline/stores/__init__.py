"""Where calls, speeches, beds and sound are kept: the interfaces, and what can go wrong at them.

`memory` serves the rules' tests and the simulation, `dynamodb` and `s3` the cloud and moto's stand-in for it. They are
the only place where boto3 is.
"""

from dataclasses import dataclass
from typing import Protocol

from duckline.call import Call
from duckline.records import BedRecord, SpeechRecord, SpeechStatus


class Lost(Exception):
    """The condition of a write did not hold: somebody else was first. `current` is the call as it is; None: no call."""

    def __init__(self, current: Call | None) -> None:
        super().__init__("the call has moved on")
        self.current = current


class NotReached(Exception):
    """No answer in time, or a refusal for load. A write may have happened all the same, or may still happen."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Who may seal: the fetch `holder` of the window `epoch`."""

    epoch: int
    holder: str


class Calls(Protocol):
    """One item a call."""

    def create(self, call: Call) -> Call:
        """Keeps a new call; answers with the one that is kept, which is another if there was one."""

    def get(self, call_sid: str) -> Call | None:
        """The call as of now."""

    def write(self, before: Call, after: Call, *, exact: bool = False) -> Call:
        """Makes `after` of `before` in one conditional write, and raises the revision.

        Where the two sound different, the difference must lie beyond the seal as it is at that moment, which may have
        moved since `before` was read. With `exact` nothing at all may have moved, not even the seal; only so can an
        epoch be taken or something that is past be changed. Raises Lost, NotReached.
        """

    def seal(
        self,
        call_sid: str,
        hold: Hold,
        to: int,
        *,
        now_ms: int,
        done: bool = False,
        over: tuple[str, ...] = (),
    ) -> Call:
        """Promises the frames below `to`, drops the speeches `over` (their history is written), and reads the call.

        A second seal to the same frame is a success. Raises Lost when the hold is another's or the call has ended,
        NotReached.
        """

    def live(self, limit: int, after: str | None = None) -> tuple[list[str], str | None]:
        """The sids of up to `limit` calls that have not ended, and where to go on reading."""


class Speeches(Protocol):
    """One item a speech: what was asked for, and in the end what became of it."""

    def keep(self, record: SpeechRecord, instead_of: SpeechRecord | None = None) -> SpeechRecord:
        """Keeps a new record; answers with the one that is kept, which is another if there was one.

        It takes the place of `instead_of`, if that is what is kept and it is not over.
        """

    def get(self, call_sid: str, speech_id: str) -> SpeechRecord | None: ...

    def close(self, call_sid: str, status: SpeechStatus, order: int) -> None:
        """Writes the history of a speech that is over. Twice is once. Raises NotReached."""

    def latest(self, call_sid: str, limit: int) -> list[SpeechRecord]:
        """The speeches that are over, the latest in order first."""


class Beds(Protocol):
    """One item a bed's name: which version it means, or why there is none."""

    def keep(self, record: BedRecord) -> None: ...

    def get(self, name: str) -> BedRecord | None: ...

    def all(self) -> list[BedRecord]: ...


class Sounds(Protocol):
    """Immutable objects of sound by key."""

    def get(self, key: str) -> bytes | None:
        """The object whole, None if there is none. Raises NotReached."""

    def put(self, key: str, body: bytes, *, content_type: str = "application/octet-stream") -> None:
        """Raises NotReached."""
