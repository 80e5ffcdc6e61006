"""A call of four hours, the longest by Twilio's default, with a thousand speeches: nothing may grow with its length.

Its first and its last half-hour are played, in virtual time and without any fault. All four hours take half a minute of
processor time, and are played by `LONG_CALL=whole make test`.
"""

import os
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import pytest

from duckline.call import BedSpan, Call, playhead
from duckline.delivery import Delivery
from duckline.timeline import FRAME_MS, FRAMES_PER_SECOND
from duckline.window import window_end
from local.simulation.cloud import Cloud, Faults
from local.simulation.line import Line, Trouble
from local.simulation.rules import ITEM_BYTES, Told, check_heard, item_bytes
from local.simulation.scenario import SID, Plan, Run
from local.simulation.sound import bed_frames
from local.simulation.streaming import Fetch
from local.simulation.world import START_MS, Process

MINUTES, SPEECHES = 240, 1000
WINDOW_S = 840
QUARTER_MS = 15 * 60_000
LOOK_MS = 500.0  # how often anybody looks, who in shorter runs looks all the time
ASKED_MS = 20_000.0  # how often the call's position is asked for
WHOLE = os.environ.get("LONG_CALL") == "whole"


@dataclass(frozen=True)
class Window:
    """What was heard of one fetch: frames [first, end), the first of them at `began_ms`."""

    first: int
    end: int
    began_ms: float

    @property
    def end_ms(self) -> float:
        return self.began_ms + (self.end - self.first) * FRAME_MS

    def ear(self, time_ms: float) -> int:
        """The frame that is heard at a time."""
        return self.first + int((time_ms - self.began_ms) // FRAME_MS)


class LongLine(Line):
    """A caller who checks every window as soon as it is over, and of the sound keeps the words alone."""

    windows: list[Window]
    words: dict[tuple[int, int], int]  # the frame at which each was heard

    def _wait(self, fetch: Fetch, until_ms: float) -> None:
        while not fetch.is_over and self.hung_up_ms is None:
            self.world.sleep(LOOK_MS)

    def _remember(self, fetch: Fetch, until_ms: float) -> None:
        super()._remember(fetch, until_ms)
        fetch.arrivals.clear()
        if not self.heard:
            return
        check_heard(self, self.services.watch, substitutes=False)
        assert all(heard.frame.bed_frame == heard.at % bed_frames("calm") for heard in self.heard)
        first, last = self.heard[0], self.heard[-1]
        self.windows.append(Window(first.at, last.at + 1, first.time_ms))
        for heard in self.heard:
            if heard.frame.voice:
                word = (heard.frame.voice, heard.frame.word)
                assert word not in self.words
                self.words[word] = heard.at
        self.heard.clear()


class Counted:
    """A cloud that counts what the table is asked to write, by the quarter of an hour, and measures the call's item."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.ask = cloud, cloud.call
        self.writes: Counter[int] = Counter()
        self.largest_item_bytes = self.most_speeches = 0
        cloud.call = self
        cloud.watchers.append(self.watch)

    def __call__(self, process, operation, sid, *, writes):
        if writes:
            self.writes[int(self.cloud.world.time_ms // QUARTER_MS)] += 1
        return self.ask(process, operation, sid, writes=writes)

    def watch(self, who: str, before: Call | None, after: Call) -> None:
        if before is None or before.speeches != after.speeches:
            self.most_speeches = max(self.most_speeches, len(after.speeches))
            self.largest_item_bytes = max(self.largest_item_bytes, item_bytes(after))


class LongRun(Run):
    """The minutes [first, end) of a long call, in which everybody looks around less often than in shorter runs."""

    def __init__(self, first: int, end: int) -> None:
        self.length_ms = (end - first) * 60_000
        self.asked_for = SPEECHES * (end - first) // MINUTES
        plan = Plan(7, Delivery("stream", WINDOW_S), 1000, Faults(), Trouble(), self.asked_for, self.length_ms)
        super().__init__(plan)
        self.cloud.watchers.remove(self.watch)
        self.cloud.watchers.append(lambda who, before, after: self.watch.spans.update(after.beds))
        self.counted = Counted(self.cloud)
        self.line = LongLine(self.world, self.cloud, self.rng, plan.trouble, self)
        self.line.windows, self.line.words = [], {}
        self.positions: list[tuple[float, int]] = []
        self.first_frame = first * 60 * FRAMES_PER_SECOND
        if first:
            self.cloud.calls.create(self._long_under_way())

    def _long_under_way(self) -> Call:
        """The call when a window has just been given out, after hours of windows and speeches."""
        grid_frames = WINDOW_S * FRAMES_PER_SECOND
        windows, spoken = self.first_frame // grid_frames, SPEECHES * self.first_frame // FRAMES_PER_SECOND // 14_400
        return Call(
            SID,
            (BedSpan(0, "calm", "calm"),),
            revision=3 * spoken,
            started_at_ms=START_MS - self.first_frame * FRAME_MS,
            epoch=windows + 1,
            done=windows,
            window_from=self.first_frame,
            window_until=window_end(self.first_frame, grid_frames),
            grid_frames=grid_frames,
            opening_at_ms=START_MS,
            sealed=self.first_frame,
            sealed_at_ms=START_MS,
            next_order=spoken + 1,
        )

    def _talk(self) -> None:
        # From when the call is known to when there is a minute left for the last speech.
        times = sorted(self.rng.uniform(2000, self.length_ms - 60_000) for _ in range(self.asked_for))
        for time_ms in times:
            self.world.sleep(time_ms - self.world.time_ms)
            Process(self.world, "application").start_main(self._speak)

    def _work(self) -> None:
        while True:
            self.world.sleep(LOOK_MS)
            while self.cloud.queue:
                Process(self.world, "queue").start_main(self._deliver, self.cloud.queue.pop(0))

    def _ask(self) -> None:
        while self.line.hung_up_ms is None:
            self.world.sleep(ASKED_MS)
            call = self.cloud.calls.get(SID)
            self.positions.append((self.world.time_ms, playhead(call, START_MS + self.world.time_ms)))

    def play(self) -> "LongRun":
        for name, function, *arguments in (
            ("line", self.line.live, SID),
            ("queue", self._work),
            ("talk", self._talk),
            ("ask", self._ask),
        ):
            Process(self.world, name).start_main(function, *arguments)
        self.world.run(self.length_ms)
        self._raise_crashes()
        self._hang_up()
        self._raise_crashes()
        return self

    def order(self, told: Told) -> int:
        return self.cloud.speeches.get(SID, told.speech_id).order

    def words_of(self, told: Told) -> list[tuple[int, int]]:
        """Every frame of a speech's voice, as (voice, word)."""
        return [
            (self.voices.numbers[f"{told.speech_id}/{part}"], word)
            for part, frames in enumerate(told.words.split(","))
            for word in range(int(frames))
        ]


STRETCHES = {"all four hours": (0, 240)} if WHOLE else {"the first half-hour": (0, 30), "the last": (210, 240)}


@pytest.fixture(scope="module", params=STRETCHES.values(), ids=STRETCHES)
def run(request):
    return LongRun(*request.param).play()


def test_every_frame_is_heard_in_its_place_to_the_end(run):
    windows = run.line.windows
    assert windows[0].first == run.first_frame
    assert all(before.end == after.first for before, after in pairwise(windows))
    joined_ms = run.length_ms - (windows[-1].end - run.first_frame) * FRAME_MS
    assert 0 < joined_ms < 400 * len(windows)  # a webhook, a fetch and a start before each


def test_windows_end_on_their_grid(run):
    ends = [window.end for window in run.line.windows[:-1]]
    assert ends
    assert all(end % (WINDOW_S * FRAMES_PER_SECOND) == 0 for end in ends)


def test_the_position_that_is_told_does_not_drift_from_the_frame_that_is_heard(run):
    looked_at = 0
    for window in run.line.windows:
        ahead = [told - window.ear(at_ms) for at_ms, told in run.positions if window.began_ms <= at_ms < window.end_ms]
        looked_at += len(ahead)
        assert max(ahead) - min(ahead) <= 1  # neither of the two falls on whole frames
        assert all(-5 <= frames <= 15 for frames in ahead)  # two clocks, the start, and what the line holds back
    assert looked_at > run.length_ms / ASKED_MS * 0.95


def test_every_speech_is_heard_whole_once_and_in_order(run):
    states = Counter(run.cloud.speeches.get(SID, told.speech_id).state for told in run.told)
    assert states == {"finished": run.asked_for}
    in_order = sorted(run.told, key=run.order)
    assert list(run.line.words) == [word for told in in_order for word in run.words_of(told)]


def test_every_speech_is_told_to_have_begun_where_it_was_heard_to_begin(run):
    for told in run.told:
        record = run.cloud.speeches.get(SID, told.speech_id)
        assert record.starts_at_ms == run.line.words[run.words_of(told)[0]] * FRAME_MS


def test_the_calls_item_stays_within_one_write_unit(run):
    assert 2 <= run.counted.most_speeches <= 8
    assert run.counted.largest_item_bytes < ITEM_BYTES


def test_the_table_is_written_at_most_four_times_a_second_and_ten_times_a_speech(run):
    heard_ms = [run.line.words[run.words_of(told)[0]] * FRAME_MS - run.first_frame * FRAME_MS for told in run.told]
    speeches = Counter(int(at_ms // QUARTER_MS) for at_ms in heard_ms)
    for quarter in range(run.length_ms // QUARTER_MS):
        assert 3 * 900 < run.counted.writes[quarter] <= 4 * 900 + 10 * speeches[quarter]


def test_nothing_that_is_over_is_left_behind(run):
    assert run.cloud.calls.get(SID).speeches == ()
    assert run.cloud.queue == []
