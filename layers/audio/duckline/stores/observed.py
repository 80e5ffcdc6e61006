"""Stores that tell of what goes through them: a line for every speech that is over, and counts for the dashboard.

Every speech ends in its history, and every repetition is a write of its call, whoever found it out. So both are seen at
one place, and the rules need not know that they are watched.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from duckline.call import Call
from duckline.records import SpeechStatus
from duckline.stores import Calls, Speeches


class ObservedCalls:
    """`duckline.stores.Calls`; `count` is told how many speeches a write has spoken again."""

    def __init__(self, calls: Calls, count: Callable[[str, float], None]) -> None:
        self.calls, self.count = calls, count

    def __getattr__(self, name: str) -> Any:
        return getattr(self.calls, name)

    def write(self, before: Call, after: Call, *, exact: bool = False) -> Call:
        written = self.calls.write(before, after, exact=exact)
        had = {speech.speech_id: speech.again for speech in before.speeches}
        again = sum(speech.again - had.get(speech.speech_id, speech.again) for speech in after.speeches)
        if again > 0:
            self.count("SpeechesRescheduled", again)
        return written


class ObservedSpeeches:
    """`duckline.stores.Speeches`; `log` is told of every speech that is over, `count` of those that failed.

    A history that is written twice, as after an answer that was lost, is told of twice.
    """

    def __init__(self, speeches: Speeches, log: Callable[..., None], count: Callable[[str, float], None]) -> None:
        self.speeches, self.log, self.count = speeches, log, count

    def __getattr__(self, name: str) -> Any:
        return getattr(self.speeches, name)

    def close(self, call_sid: str, status: SpeechStatus, order: int) -> None:
        self.speeches.close(call_sid, status, order)
        self.log("speech over", call_sid=call_sid, order=order, **asdict(status))
        if status.state == "failed":
            self.count("SpeechesFailed", 1)
