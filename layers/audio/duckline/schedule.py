"""How a call becomes the next one: pure functions from a call to a call.

Nothing here reads a clock, a table or a sound. What may not break: a clip enters, moves or leaves only at frames that
are not sealed (`limit_of_seal` tells the store where the difference begins); the gain envelope stays continuous;
speeches keep the order in which they were reserved; and what the caller cannot surely have heard is spoken again.
"""

from collections.abc import Iterable
from dataclasses import replace

from duckline.call import BedSpan, Call, Part, Speech, is_past, spoken_clips, standing_beds
from duckline.errors import Conflict, NotFound, TooManyPending

PENDING_LIMIT = 32
AGAIN_LIMIT = 5  # a speech that broke off this often is reported as failed: the line is not worth a sixth try


# -- speaking -------------------------------------------------------------------------------------


def reserve(call: Call, speech_id: str, *, now_ms: int, lease_ms: int) -> Call:
    """The call with a place in the order promised to `speech_id`; the same call if it has one already.

    Raises Conflict if the call is over, TooManyPending if `PENDING_LIMIT` speeches wait already.
    """
    if call.speech(speech_id) is not None:
        return call
    if call.ended:
        raise Conflict(f"call {call.call_sid} is over: {call.end_reason}")
    if len(call.pending) >= PENDING_LIMIT:
        raise TooManyPending(f"{len(call.pending)} speeches are pending; at most {PENDING_LIMIT} may be")
    reserved = Speech(speech_id, order=call.next_order, lease_until_ms=now_ms + lease_ms)
    return replace(call, next_order=call.next_order + 1, speeches=(*call.speeches, reserved))


def place(call: Call, speech_id: str, part: Part, *, more: bool) -> Call:
    """The call with one more part of `speech_id` in its place."""
    speech = _known(call, speech_id)
    lease_until_ms = speech.lease_until_ms if more else 0
    return call.with_speech(replace(speech, parts=(*speech.parts, part), more=more, lease_until_ms=lease_until_ms))


def interrupt(call: Call, speech_id: str, part: Part, fade: Part | None, *, at: int, more: bool) -> Call:
    """The call with `part` in its place, and with all that was before it silenced from frame `at` on."""
    own = _known(call, speech_id)
    for speech in call.speeches:
        if speech.order < own.order:
            call = call.with_speech(_silenced(speech, at, f"interrupted by {speech_id}", fade))
    return place(call, speech_id, part, more=more)


def fail(call: Call, speech_id: str, reason: str) -> Call:
    """The call with `speech_id` given up: its place is free for those behind it."""
    return call.with_speech(
        replace(_known(call, speech_id), more=False, lease_until_ms=0, outcome="failed", reason=reason)
    )


def withdraw(call: Call, speech_id: str, maker: int) -> Call:
    """The call as if `speech_id` had never been asked for, unless something of it is placed or another makes it."""
    speech = call.speech(speech_id)
    if speech is None or speech.parts or speech.outcome is not None or speech.maker != maker:
        return call
    return replace(call, speeches=tuple(other for other in call.speeches if other is not speech))


def _known(call: Call, speech_id: str) -> Speech:
    speech = call.speech(speech_id)
    if speech is None:
        raise NotFound(f"call {call.call_sid} has no pending speech {speech_id}")
    return speech


# -- silencing ------------------------------------------------------------------------------------


def silence(
    call: Call, speech_ids: Iterable[str], fade: Part | None, *, at: int, reason: str, now_ms: int, lease_ms: int
) -> Call:
    """The call with these speeches cancelled from frame `at` on.

    `fade` is the clip in which the voice that sounds at `at` dies away and the music comes back: see `fade_berth`.
    What stood behind them loses its place and is owed again, by the one who silences, so that it moves up.
    """
    for speech_id in speech_ids:
        speech = _known(call, speech_id)
        silenced = _silenced(speech, at, reason, fade)
        if silenced != speech:
            call = unplaced(call.with_speech(silenced), speech.order, at, now_ms=now_ms, lease_ms=lease_ms)
            for behind in call.speeches:
                if behind.order > speech.order and behind.outcome is not None:
                    call = call.with_speech(_cut(behind, at, fade))
    starts = {part.start for part in call.parts}
    for speech in call.speeches:
        # What was to be cut later, by something that is gone now, is cut here as well.
        if speech.silenced_at is not None and speech.silenced_at >= at and speech.silenced_at not in starts:
            call = call.with_speech(_cut(speech, at, fade))
    return call


def is_cut(call: Call, at: int) -> bool:
    """Whether anything is cut at frame `at` and nothing takes over there: it wants a clip to fade out in."""
    return any(part.cut_at == at for part in call.parts) and all(part.start != at for part in call.parts)


def _silenced(speech: Speech, at: int, reason: str, fade: Part | None) -> Speech:
    """`speech` cancelled from frame `at` on; unchanged if it is over by then. `fade` is its last clip if it sounds."""
    if speech.outcome is None and (speech.more or speech.voice_end > at):
        speech = replace(speech, more=False, lease_until_ms=0, outcome="cancelled", reason=reason)
    return _cut(speech, at, fade) if speech.outcome is not None else speech


def _cut(speech: Speech, at: int, fade: Part | None) -> Speech:
    """`speech` not heard from frame `at` on, but for `fade` if it is heard until then. Earlier cuts stand."""
    begun = []
    for part in speech.parts:
        if part.start < at:
            uncut = part if part.cut_at is None or part.cut_at < at else replace(part, cut_at=None)
            begun.append(replace(uncut, cut_at=at) if uncut.end > at else uncut)
    if fade is not None and any(part.cut_at == at for part in begun):
        begun.append(fade)
    return replace(speech, parts=tuple(begun))


def unplaced(call: Call, from_order: int, sent: int, *, now_ms: int, lease_ms: int) -> Call:
    """The call with all that begins at frame `sent` or later of the speeches from `from_order` on owed again."""
    for speech in call.speeches:
        begun = tuple(part for part in speech.parts if part.start < sent)
        if speech.order >= from_order and speech.outcome is None and len(begun) < len(speech.parts):
            call = call.with_speech(_owed(speech, now_ms + lease_ms, begun))
    return call


def _owed(speech: Speech, lease_until_ms: int, parts: tuple[Part, ...] = ()) -> Speech:
    return replace(
        speech, parts=parts, more=True, maker=speech.maker + 1, lease_until_ms=lease_until_ms, had_place=True
    )


# -- speaking again -------------------------------------------------------------------------------


def abandoned(call: Call, now_ms: int) -> tuple[Speech, ...]:
    """The speeches that are owed and whose maker's lease has run out, in order."""
    return tuple(s for s in call.speeches if s.outcome is None and s.more and s.lease_until_ms <= now_ms)


def take_over(call: Call, speech_id: str, *, now_ms: int, lease_ms: int) -> Call:
    """The call with an abandoned speech in the hands of a new maker."""
    speech = _known(call, speech_id)
    return call.with_speech(replace(speech, maker=speech.maker + 1, lease_until_ms=now_ms + lease_ms))


def renew(call: Call, speech_id: str, *, now_ms: int, lease_ms: int) -> Call:
    """The call with its maker's lease on `speech_id` running on."""
    return call.with_speech(replace(_known(call, speech_id), lease_until_ms=now_ms + lease_ms))


def speak_again(call: Call, speech_ids: Iterable[str], *, sent: int | None = None) -> Call:
    """The call with these speeches owed from their beginning, before anything later.

    What has not begun at frame `sent`, at the seal if there is none, moves back behind them.
    A speech that came to this `AGAIN_LIMIT` times is failed instead.
    """
    sent = call.sealed if sent is None else sent
    missed = [_known(call, speech_id) for speech_id in speech_ids]
    for speech in missed:
        if speech.again >= AGAIN_LIMIT:
            given_up = f"broke off {speech.again + 1} times"
            call = call.with_speech(
                replace(speech, parts=(), more=False, lease_until_ms=0, outcome="failed", reason=given_up)
            )
        else:
            call = call.with_speech(replace(_owed(speech, 0), again=speech.again + 1))
    if not missed:
        return call
    return _hushed(unplaced(call, min(s.order for s in missed), sent, now_ms=0, lease_ms=0), sent)


def refit(call: Call, from_order: int) -> Call:
    """The call with every voice of the speeches from `from_order` on that has not begun at the seal owed again.

    Its clip may have begun: music held down for it. Only at the beginning of a window, which fades in, that can go too.
    """
    for speech in call.speeches:
        begun = tuple(part for part in speech.parts if part.voice_at < call.sealed)
        if speech.order >= from_order and speech.outcome is None and len(begun) < len(speech.parts):
            call = call.with_speech(_owed(speech, 0, begun))
    return _hushed(call, call.sealed)


def _hushed(call: Call, at: int) -> Call:
    """The call without what sounds at frame `at` and was to be cut later by a speech that has lost its place."""
    starts = {part.start for part in call.parts}
    for speech in call.speeches:
        if speech.silenced_at is not None and speech.silenced_at >= at and speech.silenced_at not in starts:
            call = call.with_speech(replace(speech, parts=tuple(part for part in speech.parts if part.end <= at)))
    return call


def unheard(call: Call, heard: int) -> tuple[str, ...]:
    """The speeches that have begun by the seal and whose end the caller cannot surely have heard."""
    return tuple(
        speech.speech_id
        for speech in call.speeches
        if speech.outcome is None
        and any(part.start < call.sealed and part.voice_end > heard for part in speech.spoken_parts)
    )


def over(call: Call, heard: int) -> tuple[Speech, ...]:
    """The speeches of which nothing more is to come and all has been heard: their history can be written."""
    return tuple(s for s in call.speeches if s.is_placed and all(part.end <= heard for part in s.parts))


def end(call: Call, *, now_ms: int, reason: str) -> Call:
    """The call, over. The first end counts."""
    return call if call.ended else replace(call, ended_at_ms=now_ms, end_reason=reason)


# -- the bed --------------------------------------------------------------------------------------


def change_bed(call: Call, span: BedSpan) -> Call:
    """The call with another bed from `span.start` on; a change that nothing depends on yet is dropped for it."""
    return replace(call, beds=(*standing_beds(call), span))


# -- what the store must hold to ------------------------------------------------------------------


def limit_of_seal(before: Call, after: Call, *, exact: bool) -> int | None:
    """How far the call may have been sealed when `after` is written: to where the two begin to sound different.

    None if they sound the same, or if the write is exact and the seal may not have moved at all. Raises ValueError for
    a change of what was sealed already when `before` was read, which only an exact write may make.
    """
    limit = None if exact else first_change(before, after)
    if limit is not None and limit < before.sealed:
        raise ValueError(f"the schedule would change at frame {limit}, but is sealed to {before.sealed}")
    return limit


def first_change(before: Call, after: Call) -> int | None:
    """The first frame at which the two schedules may sound different; None if they sound the same."""
    ends = [{(clip.clip, clip.start, clip.frames): clip.end for clip in spoken_clips(call)} for call in (before, after)]
    in_both = ends[0].keys() & ends[1].keys()
    starts = [start for _, start, _ in ends[0].keys() ^ ends[1].keys()]
    starts += [min(ends[0][clip], ends[1][clip]) for clip in in_both if ends[0][clip] != ends[1][clip]]
    starts += [span.start for span in set(before.beds) ^ set(after.beds) if not is_past(span, before)]
    return min(starts, default=None)
