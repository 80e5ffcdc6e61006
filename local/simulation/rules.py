"""The eight rules of a call, checked: after every change of its item, and over all that its caller heard.

Nothing here knows how the code under test works; it looks at what was kept and at what came out.
"""

from dataclasses import dataclass, field

from duckline.call import Call
from duckline.records import status_of
from duckline.schedule import first_change
from duckline.stores.call_item import item_of
from local.simulation.cloud import Cloud
from local.simulation.line import Heard, Line
from local.simulation.sound import BEDS, Voices, bed_frames

GAIN_STEP = 0.01
ITEM_BYTES = 1024
ITEM_SPEECHES = 8


class RuleBroken(AssertionError):
    """One of the rules does not hold."""


@dataclass
class Watch:
    """Looks at every change of the call's item."""

    cloud: Cloud
    spans: set = field(default_factory=set)
    largest_item: int = 0

    def __call__(self, who: str, before: Call | None, after: Call) -> None:
        self.spans |= set(after.beds)
        if before is None:
            return
        self._seal(who, before, after)
        self._schedule(who, before, after)
        self._history(who, before, after)
        self._size(after)

    def _seal(self, who: str, before: Call, after: Call) -> None:
        if after.sealed < before.sealed:
            raise RuleBroken(f"1: {who} took the seal back from {before.sealed} to {after.sealed}")
        if after.sealed > before.sealed and after.holder != _holder(who):
            raise RuleBroken(f"1: {who} moved the seal, which {after.holder} holds")
        if after.epoch < before.epoch:
            raise RuleBroken(f"8: {who} took the epoch back from {before.epoch} to {after.epoch}")

    def _schedule(self, who: str, before: Call, after: Call) -> None:
        changes_at = first_change(before, after)
        if changes_at is None or changes_at >= before.sealed:
            return
        owed = {s.speech_id for s in after.speeches if s.more or s.outcome == "failed"}
        gone = {s.speech_id for s in before.speeches} - {s.speech_id for s in after.speeches}
        kept = [s for s in before.speeches if s.speech_id not in owed | gone]
        rest = [s for s in after.speeches if s.speech_id not in owed]
        if [s.parts for s in kept] != [s.parts for s in rest] or not ("stream" in who or "voice" in who):
            raise RuleBroken(f"2: {who} changed the schedule at {changes_at}, sealed to {before.sealed}")

    def _history(self, who: str, before: Call, after: Call) -> None:
        for speech in before.speeches:
            if after.speech(speech.speech_id) is None:
                record = self.cloud.speeches.get(before.call_sid, speech.speech_id)
                if record is None or not record.order:
                    raise RuleBroken(f"5: {who} dropped {speech.speech_id} before its history was written")

    def _size(self, after: Call) -> None:
        if len(after.speeches) <= ITEM_SPEECHES:
            size = item_bytes(after)
            self.largest_item = max(self.largest_item, size)
            if size > ITEM_BYTES and all(len(s.parts) <= 1 for s in after.speeches):
                raise RuleBroken(f"the call's item has {size} bytes with {len(after.speeches)} speeches")


def item_bytes(call: Call) -> int:
    """The size of the item as DynamoDB counts it: names and strings in UTF-8, a number half a byte a digit and one."""
    size = len("pk") + len(call.call_sid) + len("sk") + len("CALL") + len("expires_at") + 6
    for name, value in item_of(call).items():
        size += len(name) + _value_bytes(value)
    return size


def _value_bytes(value: dict) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return len(content) // 2 + 2
    if kind == "M":
        return 3 + sum(1 + len(name) + _value_bytes(inner) for name, inner in content.items())
    return 1


def check_heard(line: Line, watch: Watch, *, substitutes: bool) -> None:
    """Rules 3 and 4: the music is continuous in place and gain, within every fetch."""
    previous: Heard | None = None
    for heard in line.heard:
        _check_place(heard, watch, substitutes=substitutes)
        if previous is not None and previous.fetch == heard.fetch:
            if heard.at != previous.at + 1:
                raise RuleBroken(f"4: frame {heard.at} was heard after {previous.at}")
            if abs(previous.frame.gain_last - heard.frame.gain_first) > GAIN_STEP:
                steps = f"from {previous.frame.gain_last:.3f} to {heard.frame.gain_first:.3f}"
                raise RuleBroken(f"3: the gain steps {steps} at {heard.at}")
        elif previous is not None and heard.at <= previous.at and previous.fetch not in line.fetched_twice:
            raise RuleBroken(f"4: frame {heard.at} was heard again in another window, after {previous.at}")
        previous = heard


def _check_place(heard: Heard, watch: Watch, *, substitutes: bool) -> None:
    if heard.frame.bed == 9:
        if not substitutes:
            raise RuleBroken(f"4: the shipped bed was heard at {heard.at}, though the bucket was well")
        return
    version = BEDS[heard.frame.bed - 1]
    fits = any(
        span.version == version
        and span.start <= heard.at
        and (heard.at - span.origin) % bed_frames(version) == heard.frame.bed_frame
        for span in watch.spans
    )
    if not fits:
        raise RuleBroken(
            f"4: frame {heard.frame.bed_frame} of {version} was heard at {heard.at}, where it does not belong"
        )


@dataclass(frozen=True)
class Told:
    """What the application was told when it asked: the record's words, and its place in the order."""

    speech_id: str
    words: str


def check_speeches(call: Call, cloud: Cloud, line: Line, voices: Voices, told: list[Told], *, calm: bool) -> None:
    """Rule 5: what was accepted was heard whole, in order, or reported."""
    finished: list[tuple[int, int, str]] = []
    for speech in told:
        kept = call.speech(speech.speech_id)
        record = cloud.speeches.get(call.call_sid, speech.speech_id)
        status = status_of(call, kept, call.ended_at_ms + 1) if kept else record.status
        if status.state not in ("finished", "cancelled", "failed"):
            raise RuleBroken(f"5: {speech.speech_id} is {status.state} after the call")
        if status.state != "finished" and not status.reason:
            raise RuleBroken(f"5: {speech.speech_id} is {status.state} without a reason")
        hearings, fragments = _hearings(line.heard, _sequence(speech, voices))
        if status.state == "finished":
            if not hearings:
                raise RuleBroken(f"5: {speech.speech_id} is finished, but nobody heard it whole")
            if calm and (len(hearings) > 1 or fragments):
                raise RuleBroken(f"5: {speech.speech_id} was heard {len(hearings)} times and {fragments} fragments")
            finished.append((kept.order if kept else record.order, hearings[0], speech.speech_id))
        if calm and _resumes(line.heard, _sequence(speech, voices)):
            raise RuleBroken(f"5: {speech.speech_id} was heard on after it had broken off")
        if status.state != "finished" and calm and hearings and not status.reason.startswith("the call is over"):
            raise RuleBroken(f"5: {speech.speech_id} is {status.state}, but was heard whole")
    by_order = [speech_id for _, _, speech_id in sorted(finished)]
    by_hearing = [speech_id for _, _, speech_id in sorted(finished, key=lambda entry: entry[1])]
    if by_order != by_hearing:
        raise RuleBroken(f"5: asked for in the order {by_order}, heard in the order {by_hearing}")


def _sequence(speech: Told, voices: Voices) -> list[tuple[int, int]]:
    """Every word of a speech, as (voice, word)."""
    words = []
    for number, line in enumerate(speech.words.split(",")):
        voice = voices.numbers.get(f"{speech.speech_id}/{number}", 0)
        words += [(voice, word) for word in range(int(line))]
    return words


def _hearings(heard: list[Heard], sequence: list[tuple[int, int]]) -> tuple[list[int], int]:
    """Where a whole hearing of `sequence` began, with no other word in between, and how many broke off."""
    hearings, fragments, at, begun = [], 0, 0, 0
    mine = {voice for voice, _ in sequence}
    for number, entry in enumerate(heard):
        word = (entry.frame.voice, entry.frame.word)
        if entry.frame.voice == 0 or entry.frame.voice == 65535:
            continue
        if word == sequence[at]:
            begun = number if at == 0 else begun
            at += 1
            if at == len(sequence):
                hearings.append(begun)
                at = 0
        elif at or word[0] in mine:
            fragments += 1
            at = 1 if word == sequence[0] else 0
            begun = number
    return hearings, fragments + (1 if at else 0)


def _resumes(heard: list[Heard], sequence: list[tuple[int, int]]) -> bool:
    """Whether a voice is heard with a word that does not follow the last one heard of it."""
    mine, last = {voice for voice, _ in sequence}, {}
    for entry in heard:
        voice, word = entry.frame.voice, entry.frame.word
        if voice in mine:
            if word and last.get(voice) != word - 1:
                return True
            last[voice] = word
    return False


def _holder(who: str) -> str:
    return f"holder{who.split()[-1]}" if "stream" in who else ""
