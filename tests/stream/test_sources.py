"""Where the bytes come from: fetched ahead, never waited for too long, and replaced when they do not come."""

from collections import Counter

import pytest

from duckline import shipped
from duckline.call import BedSpan, Call, Clip, Part, Speech, Stretch
from duckline.envelope import Duck
from duckline.stores import NotReached
from duckline.timeline import FRAME_BYTES, SEGMENT_FRAMES
from stream.sources import AGAIN_AFTER_MS, AHEAD_FRAMES, KEPT_BYTES, Sources

SID = "CA" + "0" * 32
CALM = BedSpan(0, "calm", "calm")


class Clock:
    """Time that passes only where something is waited for."""

    def __init__(self):
        self.time_ms = 0.0

    def monotonic_ms(self):
        return self.time_ms

    def wait(self, task, until_ms):
        self.time_ms = max(self.time_ms, min(task.due_ms, until_ms))


class Task:
    """A fetch that is done when its time has come."""

    def __init__(self, clock, due_ms, get):
        self.clock, self.due_ms, self.get = clock, due_ms, get

    def done(self):
        return self.clock.time_ms >= self.due_ms

    def result(self):
        return self.get()


class Bucket:
    """Objects by key, each of which takes its time; `down` says that none can be had."""

    def __init__(self, clock):
        self.clock, self.objects, self.asked = clock, {}, Counter()
        self.takes_ms, self.down = 25, False

    def get(self, key):
        raise AssertionError("the stream itself must not fetch")

    def start(self, function, key):
        assert function == self.get
        self.asked[key] += 1
        down = self.down

        def get():
            if down:
                raise NotReached("500 Internal Error")
            return self.objects.get(key)

        return Task(self.clock, self.clock.time_ms + self.takes_ms, get)


class Room:
    def __init__(self, bed):
        self.clock = Clock()
        self.bucket = Bucket(self.clock)
        self.sources = Sources(self.bucket, self.clock, self.bucket.start, lambda first, count: b"\xaa" * 160 * count)
        self.bed = bed

    def music(self, start, end, *, wait_ms=500, span=CALM):
        return self.sources.bed(Stretch(start, end, None, span), self.clock.time_ms + wait_ms)

    def clip(self, start, end, *, wait_ms=500, clip=None):
        return self.sources.clip(SID, clip or Clip("one", 100, 140, 40), start, end, self.clock.time_ms + wait_ms)

    @property
    def fetched(self):
        return {key.removeprefix("beds/calm/").removesuffix(".ulaw") for key in self.bucket.asked}


@pytest.fixture
def room(stage):
    room = Room(stage.bed)
    room.bucket.objects = dict(stage.cloud.sounds.objects)
    room.bucket.objects[f"clips/{SID}/one.ulaw"] = bytes(range(40)) * FRAME_BYTES
    return room


CALL = Call(SID, beds=(CALM,), window_until=42_000, sealed=50)


# -- music ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end"), [(0, 13), (190, 215), (0, 2150), (2145, 2158), (2150, 2151), (720_000, 720_013), (1999, 4301)]
)
def test_music_is_cut_out_of_the_segments_wherever_it_lies(room, start, end):
    assert room.music(start, end, wait_ms=5000) == room.bed("calm", start, end - start)


def test_a_bed_that_began_later_in_the_call_is_counted_from_its_own_beginning(room):
    span = BedSpan(700, "warm", "warm", origin=700)
    assert room.music(700, 713, span=span) == room.bed("warm", 0, 13)
    assert room.music(2000, 2013, span=span) == room.bed("warm", 1300, 13)


def test_the_shipped_bed_is_asked_of_nobody(room):
    assert room.music(5, 18, span=shipped.SPAN) == b"\xaa" * 160 * 13
    assert room.bucket.asked == {}
    assert room.sources.substituted_frames == 0


def test_music_that_does_not_come_in_time_is_replaced_and_counted(room):
    room.bucket.takes_ms = 10_000
    assert room.music(0, 13, wait_ms=500) == b"\xaa" * 160 * 13
    assert room.clock.time_ms == 500
    assert room.sources.substituted_frames == 13


def test_of_two_segments_the_one_that_is_there_is_played(room):
    assert room.music(0, SEGMENT_FRAMES) == room.bed("calm", 0, SEGMENT_FRAMES)
    room.bucket.down = True
    sound = room.music(SEGMENT_FRAMES - 5, SEGMENT_FRAMES + 8)
    assert sound == room.bed("calm", SEGMENT_FRAMES - 5, 5) + b"\xaa" * 160 * 8
    assert room.sources.substituted_frames == 8


def test_while_nothing_can_be_had_nobody_waits_longer_than_allowed(room):
    room.bucket.takes_ms = 1e9
    room.music(0, 13, wait_ms=300)
    room.clip(100, 113, wait_ms=200)
    assert room.clock.time_ms == 500


def test_an_object_that_was_refused_is_asked_for_again_after_a_while_and_not_before(room):
    room.bucket.down = True
    key = "beds/calm/playlist.json"
    room.music(0, 13)
    room.music(13, 26)
    assert room.bucket.asked[key] == 1
    room.clock.time_ms += AGAIN_AFTER_MS
    room.bucket.down = False
    assert room.music(26, 39) == room.bed("calm", 26, 13)
    assert room.bucket.asked[key] == 2


# -- clips ----------------------------------------------------------------------------------------


def test_a_clip_is_cut_by_the_calls_frames(room):
    whole = bytes(range(40)) * FRAME_BYTES
    assert room.clip(100, 140) == whole
    assert room.clip(103, 116) == whole[3 * FRAME_BYTES : 16 * FRAME_BYTES]


def test_a_clip_that_does_not_come_in_time_is_none(room):
    room.bucket.takes_ms = 10_000
    assert room.clip(100, 113) is None
    assert room.clock.time_ms == 500
    room.clock.time_ms = 10_000
    assert room.clip(100, 113, wait_ms=0) is not None


def test_a_clip_that_is_not_there_or_too_short_is_none(room):
    assert room.clip(100, 113, clip=Clip("two", 100, 140, 40)) is None
    room.bucket.objects[f"clips/{SID}/short.ulaw"] = b"\xff" * (39 * FRAME_BYTES)
    assert room.clip(100, 113, clip=Clip("short", 100, 140, 40)) is None


# -- fetching ahead -------------------------------------------------------------------------------


def want_until_quiet(room, call, start):
    """Calls `want` as the stream does, step after step, while what it asked for arrives."""
    for _ in range(3):
        room.sources.want(call, start)
        room.clock.time_ms += room.bucket.takes_ms


def test_what_will_be_needed_is_fetched_before_it_is(room):
    want_until_quiet(room, CALL, 50)
    assert {"00000", "00001", "00002", "00003"} <= room.fetched
    at_ms = room.clock.time_ms
    assert room.music(50, 50 + AHEAD_FRAMES, wait_ms=0) == room.bed("calm", 50, AHEAD_FRAMES)
    assert room.clock.time_ms == at_ms


def test_beyond_the_loops_end_its_beginning_is_fetched(room):
    want_until_quiet(room, CALL, 2100)
    assert {"00010", "00000", "00001", "00002"} <= room.fetched


def test_the_clips_of_speeches_and_of_bed_changes_are_fetched(room):
    speech = Speech("sp_1", 1, (Part("one", Duck(100, 6, 110, 30, 0.2), 106),), more=False)
    span = BedSpan(300, "warm", "warm", origin=300, fade="fade", fade_frames=100)
    room.sources.want(Call(SID, beds=(CALM, span), speeches=(speech,), sealed=50), 50)
    assert {f"clips/{SID}/one.ulaw", f"clips/{SID}/fade.ulaw"} <= set(room.bucket.asked)
    past = Room(room.bed)
    past.sources.want(Call(SID, beds=(CALM, span), speeches=(speech,), sealed=500), 500)
    assert not any(key.startswith("clips/") for key in past.bucket.asked)


def test_the_bed_to_come_is_fetched_ahead_as_well(room):
    span = BedSpan(400, "warm", "warm", origin=400)
    want_until_quiet(room, Call(SID, beds=(CALM, span), sealed=50), 50)
    assert "beds/warm/00000.ulaw" in room.bucket.asked


def test_nothing_is_fetched_twice(room):
    for start in range(50, 4000, 13):
        room.sources.want(CALL, start)
        room.clock.time_ms += 260
    assert set(room.bucket.asked.values()) == {1}
    assert len(room.bucket.asked) == 1 + 11  # the playlist, and every segment of a bed of 43 s


def test_the_next_call_finds_what_this_one_fetched(room):
    want_until_quiet(room, CALL, 50)
    asked = room.bucket.asked.copy()
    room.sources.want(Call("CA" + "1" * 32, beds=(CALM,), sealed=50), 50)
    assert room.bucket.asked == asked


def test_what_is_kept_is_bounded_and_the_longest_unused_goes_first(room):
    size = KEPT_BYTES // 4
    for number in range(4):
        room.bucket.objects[f"clips/{SID}/c{number}.ulaw"] = b"\xff" * size
    room.clip(100, 101, clip=Clip("c0", 100, 101, 1))
    room.clip(100, 101, clip=Clip("c1", 100, 101, 1))
    room.clip(100, 101, clip=Clip("c2", 100, 101, 1))
    room.clip(100, 101, clip=Clip("c0", 100, 101, 1))
    room.music(0, 1)
    room.clip(100, 101, clip=Clip("c3", 100, 101, 1))
    assert sum(map(len, room.sources.objects.values())) <= KEPT_BYTES
    room.clip(100, 101, clip=Clip("c0", 100, 101, 1))
    room.clip(100, 101, clip=Clip("c1", 100, 101, 1))
    assert room.bucket.asked[f"clips/{SID}/c0.ulaw"] == 1
    assert room.bucket.asked[f"clips/{SID}/c1.ulaw"] == 2
