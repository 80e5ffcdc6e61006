"""The windows of a call: each one `<Play>`, given out by voice and held by one stream.

Pure functions from a call to a call. A window is done when its stream said so; one that is followed by the next before
that broke off, and what the caller cannot surely have heard of it is spoken again.
"""

from dataclasses import replace

from duckline.berth import clear_of_windows, longest_voice_frames
from duckline.call import Call, playhead, surely_heard
from duckline.schedule import refit, silence, speak_again, unheard
from duckline.timeline import FRAMES_PER_SECOND, frames_from_ms

WINDOW_MIN_FRAMES = FRAMES_PER_SECOND  # a shorter window would be more joins than music
UNSEALED_MS = 500  # a step, and what two clocks may differ


def open_window(
    call: Call,
    *,
    now_ms: int,
    margin_ms: float,
    grid_frames: int,
    paced: bool,
    asked_ms: int | None = None,
    cut_at_ms: int | None = None,
) -> Call:
    """The call with the next window given out. The one before is done, or broke off and is made good.

    `asked_ms` is when the next window was first asked for, if not now; the caller has heard nothing since. `cut_at_ms`
    is when the caller's own input cut the window short, if it did: what was being said then is cancelled.
    """
    if cut_at_ms is None:
        call = _made_good(call, now_ms, now_ms if asked_ms is None else asked_ms, margin_ms)
    else:
        call = _cut_short(call, now_ms, cut_at_ms)
    call = replace(
        call,
        epoch=call.epoch + 1,
        holder="",
        window_from=call.sealed,
        grid_frames=grid_frames,
        paced=paced,
        opening_at_ms=now_ms,
        opened_at_ms=0,
    )
    return _fitted(replace(call, window_until=window_end(call.window_from, grid_frames)))


def take_hold(
    call: Call, holder: str, *, now_ms: int, margin_ms: float, first_frames: int, longest_frames: int
) -> Call:
    """The call with `holder` streaming its window, `first_frames` of it sealed.

    A second fetch takes the hold from the first. While nothing can surely have been heard it sends the same frames
    again, as a proxy that asks twice wants them; after that it goes on at the seal. `longest_frames` is what the
    function's own deadline leaves; a window that would last longer ends earlier.
    """
    if call.holder and surely_heard(call, now_ms, margin_ms) > call.window_from:
        call = _made_good(call, now_ms, now_ms, margin_ms)
        call = replace(call, window_from=call.sealed)
    if call.window_until - call.window_from < WINDOW_MIN_FRAMES:
        call = replace(call, window_until=window_end(call.window_from, call.grid_frames))
    call = _fitted(replace(call, window_until=min(call.window_until, call.window_from + longest_frames)))
    sealed = min(max(call.sealed, call.window_from + first_frames), call.window_until)
    return replace(call, holder=holder, opened_at_ms=now_ms, sealed=sealed, sealed_at_ms=now_ms, done=call.epoch - 1)


def _made_good(call: Call, now_ms: int, asked_ms: int, margin_ms: float) -> Call:
    # A stream behind a broken line goes on, and may be done before the next window can be opened.
    if call.done == call.epoch and call.sealed_at_ms <= asked_ms:
        return call
    call = replace(call, sealed=_perhaps_sent(call, now_ms))
    return speak_again(call, unheard(call, surely_heard(call, asked_ms, margin_ms)))


def _cut_short(call: Call, now_ms: int, cut_at_ms: int) -> Call:
    """The call whose caller pressed a key or spoke: what was being said is cancelled, what was sent ahead is owed."""
    heard = playhead(call, cut_at_ms)
    call = replace(call, sealed=_perhaps_sent(call, now_ms))
    missed = unheard(call, heard)
    said = [speech_id for speech_id in missed if call.speech(speech_id).spoken_parts[0].voice_at < heard]
    call = silence(call, said, None, at=heard, reason="input", now_ms=now_ms, lease_ms=0)
    return speak_again(call, [speech_id for speech_id in missed if speech_id not in said])


def _perhaps_sent(call: Call, now_ms: int) -> int:
    """The frame up to which a window that broke off may have been sent: a stream goes on when it cannot seal."""
    if not call.opened_at_ms:
        return call.sealed
    since_ms = max(0, now_ms - call.sealed_at_ms) + UNSEALED_MS
    return min(max(call.sealed, call.window_until), call.sealed + frames_from_ms(since_ms))


def window_end(window_from: int, grid_frames: int) -> int:
    """The first point of the grid at which a window from `window_from` on is not too short to be worth its joins."""
    return -(-(window_from + WINDOW_MIN_FRAMES) // grid_frames) * grid_frames


def _fitted(call: Call) -> Call:
    """The call with every voice that would lie across a window's end owed again, to be placed anew."""
    for speech in call.speeches:
        for part in speech.spoken_parts:
            frames = part.voice_end - part.voice_at
            fits = frames <= longest_voice_frames(call.grid_frames)
            is_clear = fits and clear_of_windows(call, part.voice_at, frames) == part.voice_at
            if part.voice_at >= call.sealed and not is_clear:
                return refit(call, speech.order)
    return call
