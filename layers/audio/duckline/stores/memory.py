"""The stores in memory: the conditions of the real ones, for the rules' tests and the simulation."""

from dataclasses import replace

from duckline.call import Call
from duckline.records import BedRecord, SpeechRecord, SpeechStatus
from duckline.schedule import limit_of_seal
from duckline.stores import Hold, Lost


class MemoryCalls:
    """`duckline.stores.Calls` in a dictionary. `writes` counts what a table would be asked to write."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}
        self.writes = 0

    def create(self, call: Call) -> Call:
        self.writes += 1
        return self.calls.setdefault(call.call_sid, call)

    def get(self, call_sid: str) -> Call | None:
        return self.calls.get(call_sid)

    def write(self, before: Call, after: Call, *, exact: bool = False) -> Call:
        self.writes += 1
        current = self.calls.get(before.call_sid)
        if current is None or current.revision != before.revision:
            raise Lost(current)
        if exact and current.sealed != before.sealed:
            raise Lost(current)
        limit = limit_of_seal(before, after, exact=exact)
        if limit is not None and current.sealed > limit:
            raise Lost(current)
        if not exact:  # what a seal writes is the stream's
            after = replace(after, sealed=current.sealed, sealed_at_ms=current.sealed_at_ms, done=current.done)
        self.calls[before.call_sid] = replace(after, revision=before.revision + 1)
        return self.calls[before.call_sid]

    def seal(
        self, call_sid: str, hold: Hold, to: int, *, now_ms: int, done: bool = False, over: tuple[str, ...] = ()
    ) -> Call:
        self.writes += 1
        current = self.calls.get(call_sid)
        if current is None or current.ended or Hold(current.epoch, current.holder) != hold:
            raise Lost(current)
        if current.sealed > to:
            return current
        kept = tuple(speech for speech in current.speeches if speech.speech_id not in over)
        self.calls[call_sid] = replace(
            current,
            sealed=to,
            sealed_at_ms=now_ms,
            speeches=kept,
            done=hold.epoch if done else current.done,
            revision=current.revision + (1 if over else 0),
        )
        return self.calls[call_sid]

    def live(self, limit: int, after: str | None = None) -> tuple[list[str], str | None]:
        sids = sorted(sid for sid, call in self.calls.items() if not call.ended and (after is None or sid > after))
        return sids[:limit], sids[limit - 1] if len(sids) > limit else None


class MemorySpeeches:
    """`duckline.stores.Speeches` in a dictionary."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], SpeechRecord] = {}

    def keep(self, record: SpeechRecord, instead_of: SpeechRecord | None = None) -> SpeechRecord:
        if instead_of is not None and self.get(record.call_sid, record.speech_id) == instead_of:
            self.records[record.call_sid, record.speech_id] = record
        return self.records.setdefault((record.call_sid, record.speech_id), record)

    def get(self, call_sid: str, speech_id: str) -> SpeechRecord | None:
        return self.records.get((call_sid, speech_id))

    def close(self, call_sid: str, status: SpeechStatus, order: int) -> None:
        kept = self.records.get((call_sid, status.speech_id)) or SpeechRecord(call_sid, status.speech_id)
        self.records[call_sid, status.speech_id] = kept.closed(status, order)

    def latest(self, call_sid: str, limit: int) -> list[SpeechRecord]:
        closed = [r for (sid, _), r in self.records.items() if sid == call_sid and r.order]
        return sorted(closed, key=lambda record: -record.order)[:limit]


class MemoryBeds:
    """`duckline.stores.Beds` in a dictionary."""

    def __init__(self) -> None:
        self.records: dict[str, BedRecord] = {}

    def keep(self, record: BedRecord) -> None:
        self.records[record.name] = record

    def get(self, name: str) -> BedRecord | None:
        return self.records.get(name)

    def all(self) -> list[BedRecord]:
        return [self.records[name] for name in sorted(self.records)]


class MemorySounds:
    """`duckline.stores.Sounds` in a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def put(self, key: str, body: bytes, *, content_type: str = "application/octet-stream") -> None:
        self.objects[key] = body
