"""Where in the call a voice goes: behind what is placed, clear of the windows' ends, ahead of the seal.

Pure functions from a call to a place. `duckline.schedule` puts a clip there once its sound is made.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from duckline.call import Call, Speech, heard_before, music_gain, standing_beds
from duckline.envelope import DOWN_FRAMES, FADE_OUT_FRAMES, HOLD_FRAMES, UP_FRAMES, Duck, gain_at

EDGE_FRAMES = 10  # the first and last 200 ms of a window fade, and no voice sounds there


@dataclass(frozen=True, slots=True)
class Manner:
    """How speech comes in over the music, in frames of 20 ms."""

    down_frames: int = DOWN_FRAMES
    up_frames: int = UP_FRAMES
    pause_frames: int = 20  # between two speeches
    part_pause_frames: int = 8  # between two parts of one text, on top of the silence that a sentence ends with
    fade_out_frames: int = FADE_OUT_FRAMES  # of a voice that is cut
    hold_frames: int = HOLD_FRAMES  # the music stays down through a gap of up to a second


@dataclass(frozen=True, slots=True)
class Berth:
    """A place in the schedule: the music's curve and the frame where the voice begins."""

    duck: Duck
    voice_at: int


# -- finding a place ------------------------------------------------------------------------------


def is_next(call: Call, speech: Speech) -> bool:
    """Whether all that was reserved before `speech` has its place, so that this one may take one."""
    return all(other.is_placed for other in call.speeches if other.order < speech.order)


def berth(
    call: Call,
    speech: Speech,
    voice_frames: int,
    depth: Callable[[int], float],
    *,
    guard_frames: int,
    manner: Manner,
) -> Berth:
    """Where `voice_frames` of voice go, behind all that is placed before them.

    `depth` gives the music's gain under a voice that begins at a frame. `guard_frames` lie between the sealed edge and
    the earliest start: what the stream will seal while the clip is made. The voice never lies across a window's end.
    """
    # What a cut has left to fade out does so first: of two clips the one that starts later is heard.
    before = [part for other in call.speeches if other.order <= speech.order for part in other.parts]
    floor = max([call.sealed + guard_frames, *(min(part.voice_at, part.end) for part in before)])
    behind, quiet_from = _last_voice(call, speech, manner)
    pause = manner.part_pause_frames if behind is speech else manner.pause_frames
    voice_at = floor + manner.down_frames
    if behind is not None:
        voice_at = max(voice_at, quiet_from + pause)
    voice_at = clear_of_windows(call, voice_at, voice_frames)
    start = voice_at - manner.down_frames
    if behind is not None and 0 <= voice_at - quiet_from <= manner.hold_frames:
        start = min(start, max(floor, quiet_from))
    return _berth(call, start, voice_at, voice_frames, depth, manner)


@dataclass(frozen=True, slots=True)
class Interruption:
    """From frame `at` on nothing placed before is heard; `berth` is where the new voice goes.

    Where the voice begins within the hold, its own clip starts at `at` and takes the old voice's fade-out with it.
    Otherwise (the window ends too soon for it) `fade` is the place of a clip that lets the music return in between.
    """

    at: int
    berth: Berth
    fade: Berth | None


def interruption(
    call: Call,
    speech: Speech,
    voice_frames: int,
    depth: Callable[[int], float],
    *,
    guard_frames: int,
    manner: Manner,
) -> Interruption:
    """Where `voice_frames` of voice go that interrupt whatever is placed before them: at the seal."""
    at = call.sealed + guard_frames
    earlier = replace(call, speeches=tuple(s for s in call.speeches if s.order < speech.order))
    wait = max(manner.down_frames, manner.fade_out_frames if _sounds_at(earlier, at) else 0)
    voice_at = clear_of_windows(call, at + wait, voice_frames)
    if voice_at - at <= manner.hold_frames:
        return Interruption(at, _berth(earlier, at, voice_at, voice_frames, depth, manner), None)
    start = voice_at - manner.down_frames
    return Interruption(
        at,
        _berth(replace(earlier, speeches=()), start, voice_at, voice_frames, depth, manner),
        fade_berth(earlier, guard_frames=guard_frames, manner=manner),
    )


def _berth(
    call: Call, start: int, voice_at: int, voice_frames: int, depth: Callable[[int], float], manner: Manner
) -> Berth:
    duck = Duck(
        start=start,
        down=manner.down_frames,
        up_at=voice_at + voice_frames,
        up=manner.up_frames,
        depth=_stored(depth(voice_at)),
        gain_in=_stored(music_gain(call, start)),
    )
    return Berth(duck, voice_at)


def _stored(gain: float) -> float:
    """A gain as the table keeps it: to four places, a step of −80 dB at the most."""
    return max(round(gain, 4), 0.0001)


def _sounds_at(call: Call, frame: int) -> bool:
    part = heard_before(call, frame)
    return part is not None and part.voice_at < frame < part.duck.up_at


def _fades_at(call: Call, frame: int, manner: Manner) -> bool:
    cuts = [part.cut_at for part in call.parts if part.cut_at is not None and part.voice_at < part.cut_at]
    return any(cut_at < frame < cut_at + manner.fade_out_frames for cut_at in cuts)


def _last_voice(call: Call, speech: Speech, manner: Manner) -> tuple[Speech | None, int]:
    """The speech that sounds last before `speech` (or itself, by its earlier parts), and when its voice is over."""
    last, quiet_from = None, 0
    for other in call.speeches:
        if other.order <= speech.order and other.spoken_parts:
            fade = manner.fade_out_frames if other.voice_end == other.silenced_at else 0
            if other.voice_end + fade >= quiet_from:
                last, quiet_from = other, other.voice_end + fade
    return last, quiet_from


def clear_of_windows(call: Call, voice_at: int, voice_frames: int) -> int:
    """The first frame from `voice_at` on at which `voice_frames` of voice lie within one window, clear of its fades.

    Raises ValueError for a voice that no window can hold: it wants to be cut at its pauses first.
    """
    if voice_frames > longest_voice_frames(call.grid_frames):
        raise ValueError(f"{voice_frames} frames of voice fit no window of {call.grid_frames} frames")
    voice_at = max(voice_at, call.window_from + EDGE_FRAMES)
    edge = call.window_until
    while True:
        if voice_at + voice_frames <= edge - EDGE_FRAMES:
            return voice_at
        if voice_at < edge + EDGE_FRAMES:
            voice_at = edge + EDGE_FRAMES
        edge = (edge // call.grid_frames + 1) * call.grid_frames


def longest_voice_frames(grid_frames: int) -> int:
    """The longest stretch of voice that lies within a window on this grid, clear of its fades."""
    return grid_frames - 2 * EDGE_FRAMES


def fade_berth(call: Call, *, guard_frames: int, manner: Manner) -> Berth | None:
    """The place of the clip in which whatever sounds at the seal fades out; None where the music is up anyway."""
    start = call.sealed + guard_frames
    part = heard_before(call, start)
    if part is None:
        return None
    gain = _stored(gain_at(part.duck, start))
    fades = _sounds_at(call, start) or _fades_at(call, start, manner)
    up_at = start + (manner.fade_out_frames if fades else 0)
    return Berth(Duck(start, 0, up_at, manner.up_frames, depth=gain, gain_in=gain), voice_at=up_at)


def bed_change_at(call: Call, *, guard_frames: int) -> int:
    """Where a change of bed can begin: after the last placed speech, and after a fade that is under way."""
    ends = [part.end for part in call.parts] + [span.start + span.fade_frames for span in standing_beds(call)]
    return max([call.sealed + guard_frames, *ends])
