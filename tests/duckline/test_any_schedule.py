"""Whatever is asked for in whatever order, what the caller hears is continuous, whole and in order.

A desk does what render, voice and stream do with a call, without any sound, and remembers which clip each frame was
heard from. Every write goes through a store, so that one that would change what is sealed fails.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from duckline import schedule
from duckline.berth import (
    EDGE_FRAMES,
    Berth,
    Manner,
    bed_change_at,
    berth,
    fade_berth,
    interruption,
    is_next,
    longest_voice_frames,
)
from duckline.call import BedSpan, Call, Part, Speech, heard_before, stretches, surely_heard
from duckline.envelope import Duck, gain_at
from duckline.stores import Hold
from duckline.stores.memory import MemoryCalls
from duckline.window import open_window, take_hold, window_end

MANNER = Manner()
STEP_FRAMES = 13
MARGIN_MS = 2000
GAIN_STEP = 1e-3
BED_FADE_FRAMES = 100
NOBODY = ("", 0)


@dataclass(frozen=True)
class Made:
    """A clip as render would have mixed it: whose voice it holds, and the clip of which the rest fades out in it."""

    duck: Duck
    voice_at: int
    voice: tuple[str, int] = NOBODY  # the speech and the number of its part
    cut_at: int | None = None
    fading: str | None = None

    def speaks_at(self, frame: int) -> bool:
        return self.voice != NOBODY and self.voice_at <= frame < self.duck.up_at

    def gain(self, frame: int) -> float:
        return gain_at(self.duck, frame)


BED = Made(Duck(0, 0, 0, 3, 1.0), voice_at=0)


@dataclass(frozen=True)
class Heard:
    """Frames [start, end) as the caller heard them, from one clip or the bed; `fetch` numbers the streams."""

    fetch: int
    start: int
    end: int
    clip: str | None
    window: tuple[int, int]


@dataclass
class Desk:
    """One call, in the hands of everybody who changes it."""

    grid_frames: int
    calls: MemoryCalls = field(default_factory=MemoryCalls)
    made: dict[str, Made] = field(default_factory=dict)
    lines: dict[str, list[int]] = field(default_factory=dict)
    at_once: set[str] = field(default_factory=set)
    silenced: dict[str, int] = field(default_factory=dict)  # the cancelled, and from where they may not be heard
    heard: list[Heard] = field(default_factory=list)
    fetches: int = 0
    now_ms: int = 1_800_000_000_000

    def __post_init__(self) -> None:
        beds, until = (BedSpan(0, "b0", "b0"),), window_end(0, self.grid_frames)
        self.calls.create(Call("CA1", beds, window_until=until, grid_frames=self.grid_frames))
        self.fetch()

    @property
    def call(self) -> Call:
        return self.calls.get("CA1")

    def write(self, after: Call, *, exact: bool = False) -> None:
        self.calls.write(self.call, after, exact=exact)

    # -- render ---------------------------------------------------------------------------------------

    def reserve(self, when: str, lines: list[int]) -> None:
        if len(self.call.pending) == schedule.PENDING_LIMIT:
            return
        speech_id = f"sp{len(self.lines):03d}"
        self.lines[speech_id] = lines
        if when == "now":
            self.at_once.add(speech_id)
        self.write(schedule.reserve(self.call, speech_id, now_ms=self.now_ms, lease_ms=15_000))

    def make(self, which: int, guard_frames: int = 5) -> None:
        """Makes the next part of one of the speeches that may have a part placed."""
        call = self.call
        owed = [s for s in call.speeches if s.outcome is None and s.more]
        ready = [s for s in owed if is_next(call, s) or self._interrupts(s)]
        if ready:
            self._make(call, ready[which % len(ready)], guard_frames)

    def say(self, when: str, lines: list[int], guard_frames: int = 5) -> None:
        self.reserve(when, lines)
        self.make(-1, guard_frames)

    def _interrupts(self, speech: Speech) -> bool:
        return speech.speech_id in self.at_once and not speech.spoken_parts and not speech.had_place

    def _make(self, call: Call, speech: Speech, guard_frames: int) -> None:
        number, lines = len(speech.spoken_parts), self.lines[speech.speech_id]
        frames = min(lines[number], longest_voice_frames(call.grid_frames))
        more, voice = number < len(lines) - 1, (speech.speech_id, number)
        asked = (call, speech, frames, lambda frame: 0.1 + frame % 7 / 10)
        if not self._interrupts(speech):
            place = berth(*asked, guard_frames=guard_frames, manner=MANNER)
            self.write(schedule.place(call, speech.speech_id, self._part(call, place, voice), more=more))
            return
        cut = interruption(*asked, guard_frames=guard_frames, manner=MANNER)
        fade = self._part(call, cut.fade, NOBODY, cut.at) if cut.fade is not None else None
        part = self._part(call, cut.berth, voice, cut.at if cut.fade is None else None)
        self.write(schedule.interrupt(call, speech.speech_id, part, fade, at=cut.at, more=more))
        self._note_silenced(cut.at)

    def _part(self, call: Call, place: Berth, voice: tuple[str, int], cut_at: int | None = None) -> Part:
        clip = f"c{len(self.made)}"
        fading = heard_before(call, cut_at) if cut_at is not None else None
        self.made[clip] = Made(place.duck, place.voice_at, voice, cut_at, fading.clip if fading else None)
        return Part(clip, place.duck, place.voice_at)

    def cancel(self, which: int, count: int, guard_frames: int = 5) -> None:
        """Cancels `count` of the speeches that are not over yet."""
        call = self.call
        gone = [s for s in call.speeches if s.outcome is None][which:][:count]
        at = call.sealed + guard_frames
        place = fade_berth(call, guard_frames=guard_frames, manner=MANNER)
        ids = [s.speech_id for s in gone]
        silenced = partial(schedule.silence, call, ids, at=at, reason="cancelled", now_ms=self.now_ms, lease_ms=15_000)
        fades = place is not None and schedule.is_cut(silenced(None), at)
        self.write(silenced(self._part(call, place, NOBODY, at) if fades else None))
        self._note_silenced(at)

    def _note_silenced(self, at: int) -> None:
        for speech in self.call.speeches:
            if speech.outcome is not None:
                self.silenced.setdefault(speech.speech_id, at)

    def change_bed(self) -> None:
        at = bed_change_at(self.call, guard_frames=5)
        span = BedSpan(at, f"b{at}", f"b{at}", at, f"fade to b{at}", BED_FADE_FRAMES)
        self.write(schedule.change_bed(self.call, span))

    # -- stream and voice -----------------------------------------------------------------------------

    def seal(self, frames: int) -> None:
        """Seals and hears that many frames, in as many windows as it takes."""
        while frames > 0:
            call = self.call
            if call.sealed == call.window_until:
                self._seal(call.sealed, done=True)
                self.open()
                continue
            step = min(frames, call.window_until - call.sealed, STEP_FRAMES)
            self.now_ms += step * 20
            self._hear(self._seal(call.sealed + step), call.sealed)
            frames -= step

    def _seal(self, to: int, *, done: bool = False) -> Call:
        call = self.call
        over = schedule.over(call, surely_heard(call, self.now_ms, MARGIN_MS))
        return self.calls.seal(
            "CA1",
            Hold(call.epoch, call.holder),
            to,
            now_ms=self.now_ms,
            done=done,
            over=tuple(s.speech_id for s in over),
        )

    def open(self) -> None:
        now_ms, grid_frames = self.now_ms, self.grid_frames
        self.write(
            open_window(self.call, now_ms=now_ms, margin_ms=MARGIN_MS, grid_frames=grid_frames, paced=True), exact=True
        )
        self.fetch()

    def fetch(self, longest_frames: int = 44_000) -> None:
        """A fetch of the window that is open: the first, or one that takes the hold from the one before."""
        self.fetches += 1
        held = take_hold(
            self.call,
            f"holder{self.fetches}",
            now_ms=self.now_ms,
            margin_ms=MARGIN_MS,
            first_frames=30,
            longest_frames=longest_frames,
        )
        self.write(held, exact=True)
        self._hear(self.call, held.window_from)

    def break_off(self, silent_ms: int) -> None:
        """The stream dies unnoticed; that much later the next window is asked for."""
        self.now_ms += silent_ms
        self.open()

    def change_grid(self, grid_frames: int) -> None:
        """From the next window on."""
        self.grid_frames = grid_frames

    def _hear(self, call: Call, start: int) -> None:
        window = (call.window_from, call.window_until)
        for stretch in stretches(call, start, call.sealed):
            clip = stretch.clip.clip if stretch.clip is not None else None
            self.heard.append(Heard(self.fetches, stretch.start, stretch.end, clip, window))

    def finish(self) -> None:
        """Makes what is owed and plays on until all has been heard."""
        while self.call.pending:
            self.make(0)
            self.seal(20)
        self.seal(60)

    # -- what was heard -------------------------------------------------------------------------------

    def source(self, heard: Heard) -> Made:
        return self.made.get(heard.clip, BED)

    def joins(self) -> Iterator[tuple[Made, Made, int]]:
        """Where one source followed another within a stream: the two, and the first frame of the second."""
        for before, after in pairwise(self.heard):
            if before.fetch == after.fetch and before.clip != after.clip:
                yield self.source(before), self.source(after), after.start

    def words(self) -> list[tuple[str, int, int]]:
        """Every frame of voice in the order in which it was heard, as (speech, part, frame)."""
        return [
            (*made.voice, frame - made.voice_at)
            for heard in self.heard
            if (made := self.source(heard)).voice != NOBODY
            for frame in range(max(heard.start, made.voice_at), min(heard.end, made.duck.up_at))
        ]


# -- what may be asked for ------------------------------------------------------------------------

voices_frames = st.one_of(st.integers(1, 12), st.integers(13, 120), st.integers(121, 280))
whens = st.sampled_from(["queue", "queue", "now"])
texts = st.lists(voices_frames, min_size=1, max_size=3)
guards = st.sampled_from([5, 5, 8, 25])  # who lost a race keeps further from the seal
requests = st.one_of(
    st.tuples(st.just("say"), whens, texts, guards),
    st.tuples(st.just("say"), whens, texts, guards),
    st.tuples(st.just("reserve"), whens, texts),
    st.tuples(st.just("make"), st.integers(0, 2), guards),
    st.tuples(st.just("seal"), st.integers(1, 12)),
    st.tuples(st.just("seal"), st.integers(1, 150)),
    st.tuples(st.just("cancel"), st.integers(0, 2), st.integers(1, 3), guards),
    st.tuples(st.just("change_bed")),
)
troubles = st.one_of(
    st.tuples(st.just("fetch"), st.integers(60, 44_000)),
    st.tuples(st.just("break_off"), st.integers(0, 5000)),
    st.tuples(st.just("change_grid"), st.sampled_from([300, 400, 650])),
)
grids = st.sampled_from([300, 400, 42_000])
good_days = st.lists(requests, max_size=20)
bad_days = st.lists(st.one_of(requests, requests, troubles), max_size=20)


def played(grid_frames: int, asked: list[tuple]) -> Desk:
    desk = Desk(grid_frames)
    for name, *arguments in asked:
        getattr(desk, name)(*arguments)
    desk.finish()
    return desk


anything = settings(deadline=None, max_examples=80, derandomize=True)


# -- the rules ------------------------------------------------------------------------------------


def gain_never_steps(desk: Desk) -> bool:
    return all(abs(before.gain(frame) - after.gain(frame)) < GAIN_STEP for before, after, frame in desk.joins())


def no_voice_is_cut(desk: Desk) -> bool:
    """Whether a voice that is not over is followed by nothing but a clip in which it fades out."""
    cuts = [join for join in desk.joins() if join[0].speaks_at(join[2] - 1) and join[0].speaks_at(join[2])]
    return all((after.cut_at, desk.made.get(after.fading)) == (frame, before) for before, after, frame in cuts)


def no_fade_is_cut(desk: Desk) -> bool:
    """Whether what fades out is followed by nothing but another fade of it."""

    def has_voice(made: Made, frame: int) -> bool:
        return made.speaks_at(frame) or fades_at(made, frame)

    def fades_at(made: Made, frame: int) -> bool:
        is_due = made.fading is not None and 0 < frame - made.cut_at < MANNER.fade_out_frames
        return is_due and has_voice(desk.made[made.fading], made.cut_at)

    fades = [(before, after, frame) for before, after, frame in desk.joins() if fades_at(before, frame)]
    return all((after.cut_at, desk.made.get(after.fading)) == (frame, before) for before, after, frame in fades)


def what_fades_was_heard(desk: Desk) -> bool:
    """Whether every clip lets that fade out which was heard before it, and nothing else."""
    joins = [join for join in desk.joins() if join[1].fading and join[1].cut_at == join[2]]
    return all(desk.made[after.fading] == before for before, after, _ in joins)


def edges_are_free_of_voices(desk: Desk) -> bool:
    def edges(heard: Heard) -> list[int]:
        start, end = heard.window
        return [
            frame
            for frame in (*range(start, start + EDGE_FRAMES), *range(end - EDGE_FRAMES, end))
            if heard.start <= frame < heard.end
        ]

    return not any(desk.source(heard).speaks_at(frame) for heard in desk.heard for frame in edges(heard))


def cancelled_is_not_heard(desk: Desk) -> bool:
    """Whether nobody speaks any more from the frame on at which he was silenced."""
    return not any(
        made.speaks_at(frame)
        for heard in desk.heard
        if (made := desk.source(heard)).voice[0] in desk.silenced
        for frame in range(max(heard.start, desk.silenced[made.voice[0]]), heard.end)
    )


def rest_is_heard_whole_once_and_in_order(desk: Desk) -> bool:
    longest = longest_voice_frames(desk.grid_frames)
    whole = [
        (speech_id, number, frame)
        for speech_id, lines in desk.lines.items()
        for number, frames in enumerate(lines)
        for frame in range(min(frames, longest))
        if speech_id not in desk.silenced
    ]
    return [word for word in desk.words() if word[0] not in desk.silenced] == whole


# -- whatever is asked for ------------------------------------------------------------------------

cancelled_interruption = [("say", "queue", [100]), ("seal", 60), ("say", "now", [50]), ("cancel", 0, 1)]
second_interruption = [("say", "queue", [100]), ("seal", 60), ("say", "now", [50]), ("seal", 3), ("say", "now", [50])]
music_down_across_a_window = [("say", "queue", [340]), ("say", "queue", [200]), ("change_grid", 300)]
later_part_in_a_shorter_window = [("change_grid", 400), ("say", "queue", [1, 241])]


@anything
@example(42_000, second_interruption)
@example(300, [("say", "now", [1]), ("cancel", 0, 1, 25)])
@example(400, [("say", "queue", [7]), ("say", "queue", [90, 191]), ("cancel", 1, 1, 25), ("cancel", 0, 3, 8)])
@given(grids, bad_days)
def test_the_gain_of_the_music_never_steps(grid_frames: int, asked: list[tuple]):
    assert gain_never_steps(played(grid_frames, asked))


@anything
@example(42_000, second_interruption)
@example(300, [("say", "queue", [1]), ("cancel", 0, 1, 8), ("say", "queue", [1])])
@example(300, [("say", "queue", [13]), ("seal", 7), ("say", "now", [1]), ("cancel", 0, 1, 8), ("say", "queue", [1])])
@given(grids, bad_days)
def test_no_voice_is_cut_but_by_a_clip_in_which_it_fades_out(grid_frames: int, asked: list[tuple]):
    desk = played(grid_frames, asked)
    assert no_voice_is_cut(desk)
    assert no_fade_is_cut(desk)


@anything
@given(grids, bad_days)
def test_a_clip_lets_fade_out_what_was_heard_before_it(grid_frames: int, asked: list[tuple]):
    assert what_fades_was_heard(played(grid_frames, asked))


@anything
@example(300, later_part_in_a_shorter_window)
@example(400, music_down_across_a_window)
@given(grids, bad_days)
def test_no_voice_sounds_at_a_windows_edges(grid_frames: int, asked: list[tuple]):
    assert edges_are_free_of_voices(played(grid_frames, asked))


@anything
@example(300, [("reserve", "queue", [1]), ("say", "queue", [1]), ("cancel", 0, 1, 8)])
@given(grids, good_days)
def test_what_is_not_cancelled_is_heard_whole_once_and_in_order(grid_frames: int, asked: list[tuple]):
    assert rest_is_heard_whole_once_and_in_order(played(grid_frames, asked))


@anything
@example(42_000, cancelled_interruption)
@given(grids, good_days)
def test_a_cancelled_speech_is_not_heard_again(grid_frames: int, asked: list[tuple]):
    assert cancelled_is_not_heard(played(grid_frames, asked))


@anything
@given(grids, good_days)
def test_every_frame_of_the_call_is_heard_once(grid_frames: int, asked: list[tuple]):
    desk = played(grid_frames, asked)
    assert desk.heard[0].start == 0
    assert all(before.end == after.start for before, after in pairwise(desk.heard))


# -- what is rarely asked for ---------------------------------------------------------------------


def test_an_interruption_stands_when_something_else_is_cancelled():
    interruption_ahead = [("say", "queue", [100]), ("seal", 60), ("say", "now", [50], 25), ("reserve", "queue", [20])]
    desk = played(42_000, [*interruption_ahead, ("cancel", 1, 1)])
    assert gain_never_steps(desk)
    assert what_fades_was_heard(desk)


def test_of_two_cancels_the_one_further_from_the_seal_does_not_disturb_the_other():
    desk = Desk(42_000)
    desk.say("queue", [100])
    desk.seal(60)
    desk.say("queue", [50])
    desk.cancel(0, 1, guard_frames=25)
    desk.cancel(0, 1, guard_frames=5)
    desk.finish()
    assert gain_never_steps(desk)
    assert what_fades_was_heard(desk)


def test_an_interruption_is_heard_though_a_cancel_further_from_the_seal_came_before():
    desk = played(42_000, [("say", "queue", [1]), ("cancel", 0, 1, 8), ("say", "now", [1], 5)])
    assert rest_is_heard_whole_once_and_in_order(desk)


def test_what_was_interrupted_does_not_speak_on_when_the_interruption_is_owed_again():
    desk = played(42_000, [("say", "queue", [50]), ("say", "now", [1], 8), ("fetch", 44_000)])
    assert cancelled_is_not_heard(desk)
