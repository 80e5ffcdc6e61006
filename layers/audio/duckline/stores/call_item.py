"""A call as an item of the table: short names and packed speeches, so that eight of them stay within one write unit.

DynamoDB bills writes by the kilobyte and counts the names of attributes, so an item that is written four times a second
has short ones. They are listed here and nowhere else.
"""

import json
from collections.abc import Mapping
from typing import Any

from duckline.call import BedSpan, Call, Part, Speech
from duckline.envelope import Duck

Item = dict[str, dict[str, Any]]

NUMBERS = {
    "revision": "rev",
    "started_at_ms": "started_at_ms",  # by its full name: the index of live calls sorts by it
    "epoch": "epoch",
    "window_from": "wf",
    "window_until": "wu",
    "grid_frames": "grid",
    "opening_at_ms": "wg",
    "opened_at_ms": "wo",
    "done": "done",
    "sealed": "sealed",
    "sealed_at_ms": "sealed_at",
    "next_order": "next",
    "ended_at_ms": "ended",
}
HOLDER, PACED, BEDS, SPEECHES, END_REASON, LIVE = "holder", "paced", "beds", "sp", "why", "live"
SORT_KEY = "CALL"


def key_of(call_sid: str) -> Item:
    return {"pk": {"S": call_sid}, "sk": {"S": SORT_KEY}}


def item_of(call: Call) -> Item:
    """The call's attributes, without its key."""
    item: Item = {short: {"N": str(getattr(call, field))} for field, short in NUMBERS.items()}
    item[HOLDER] = {"S": call.holder}
    item[PACED] = {"BOOL": call.paced}
    item[BEDS] = {"S": json.dumps([_packed_bed(span) for span in call.beds], separators=(",", ":"))}
    item[SPEECHES] = {"M": {speech.speech_id: packed(speech) for speech in call.speeches}}
    if call.ended:
        item[END_REASON] = {"S": call.end_reason}
    else:
        item[LIVE] = {"S": "1"}  # only live calls are in the index of live calls
    return item


def call_of(item: Mapping[str, Any]) -> Call:
    """The call that an item holds. Raises KeyError for an item that is no call."""
    numbers = {field: int(item[short]["N"]) for field, short in NUMBERS.items()}
    speeches = [_speech(speech_id, value["S"]) for speech_id, value in item[SPEECHES]["M"].items()]
    return Call(
        call_sid=item["pk"]["S"],
        beds=tuple(BedSpan(*fields) for fields in json.loads(item[BEDS]["S"])),
        holder=item[HOLDER]["S"],
        paced=item[PACED]["BOOL"],
        speeches=tuple(sorted(speeches, key=lambda speech: speech.order)),
        end_reason=item.get(END_REASON, {"S": ""})["S"],
        **numbers,
    )


def _packed_bed(span: BedSpan) -> list[Any]:
    fields = [span.start, span.version, span.name, span.origin, span.fade, span.fade_frames]
    return fields if span.fade else fields[:4]


def packed(speech: Speech) -> dict[str, str]:
    """A speech as one string: its positions as differences, what is usual left out."""
    parts = [
        [
            part.clip,
            part.start,
            part.voice_at - part.start,
            part.duck.up_at - part.voice_at,
            part.duck.down,
            part.duck.up,
            part.duck.depth,
            part.duck.gain_in,
            *([] if part.cut_at is None else [part.cut_at - part.start]),
        ]
        for part in speech.parts
    ]
    fields = [
        speech.order,
        parts,
        int(speech.more),
        speech.lease_until_ms if speech.more else 0,
        speech.maker,
        speech.again,
        speech.outcome,
        speech.reason,
        int(speech.had_place),
    ]
    usual = [None, None, 0, 0, 1, 0, None, None, 0]
    while len(fields) > 2 and fields[-1] == usual[len(fields) - 1]:
        fields.pop()
    return {"S": json.dumps(fields, separators=(",", ":"), ensure_ascii=False)}


def _speech(speech_id: str, text: str) -> Speech:
    order, parts, *rest = json.loads(text)
    given = [*rest, *[0, 0, 1, 0, None, None, 0][len(rest) :]]
    more, lease_until_ms, maker, again, outcome, reason, had_place = given
    return Speech(
        speech_id,
        order,
        parts=tuple(_part(*fields) for fields in parts),
        more=bool(more),
        lease_until_ms=lease_until_ms,
        maker=maker,
        again=again,
        outcome=outcome,
        reason=reason,
        had_place=bool(had_place),
    )


def _part(
    clip: str,
    start: int,
    wait: int,
    voice: int,
    down: int,
    up: int,
    depth: float,
    gain_in: float,
    cut_after: int | None = None,
) -> Part:
    voice_at = start + wait
    duck = Duck(start, down, voice_at + voice, up, float(depth), float(gain_in))
    return Part(clip, duck, voice_at, cut_at=None if cut_after is None else start + cut_after)
