import threading
import time
from concurrent.futures import Future

import pytest

from duckline.clock import Background, SystemClock


@pytest.fixture
def logged():
    return []


@pytest.fixture
def background(logged):
    background = Background(lambda message, **fields: logged.append((message, fields)), threads=2)
    yield background
    background.pool.shutdown()


def test_wall_clock_time_is_in_whole_milliseconds_since_1970():
    before_ms = time.time_ns() // 1_000_000
    now_ms = SystemClock().now_ms()
    assert isinstance(now_ms, int)
    assert before_ms <= now_ms <= time.time_ns() // 1_000_000


def test_monotonic_time_goes_on_in_milliseconds():
    before_s = time.monotonic()
    now_ms = SystemClock().monotonic_ms()
    assert before_s * 1000 <= now_ms <= time.monotonic() * 1000


def test_a_time_that_has_come_is_not_slept_for(monkeypatch):
    clock = SystemClock()
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"slept for {seconds} s"))
    clock.sleep_until(clock.monotonic_ms() - 1)


def test_sleep_lasts_until_the_time_that_was_given(monkeypatch):
    clock, slept_s = SystemClock(), []
    monkeypatch.setattr(clock, "monotonic_ms", lambda: 1000.0)
    monkeypatch.setattr(time, "sleep", slept_s.append)
    clock.sleep_until(1250.0)
    assert slept_s == [0.25]


def test_a_task_is_waited_for_until_it_is_done():
    clock, task = SystemClock(), Future()
    threading.Timer(0.01, task.set_result, ["done"]).start()
    clock.wait(task, clock.monotonic_ms() + 60_000)
    assert task.result(timeout=0) == "done"


def test_a_task_is_not_waited_for_beyond_the_time_that_was_given():
    clock, task = SystemClock(), Future()
    clock.wait(task, clock.monotonic_ms() - 1)
    assert not task.done()


def test_work_in_the_background_does_not_hold_up_whoever_asks_for_it(background):
    may_go_on = threading.Event()
    task = background(may_go_on.wait, timeout=60)
    assert not task.done()
    may_go_on.set()
    assert task.result(timeout=60) is True


def test_work_in_the_background_hands_back_what_it_made(background):
    assert background(divmod, 7, 2).result(timeout=60) == (3, 1)


def test_what_fails_in_the_background_is_logged_and_told_to_whoever_asks(background, logged):
    task = background(int, "seven")
    with pytest.raises(ValueError, match="seven"):
        task.result(timeout=60)
    background.settle(60_000)
    background.pool.shutdown()
    assert [message for message, _ in logged] == ["background work failed"]
    assert "seven" in logged[0][1]["error"]


def test_settling_waits_for_what_is_under_way(background):
    may_go_on = threading.Event()
    tasks = [background(may_go_on.wait, timeout=60) for _ in range(4)]
    threading.Timer(0.01, may_go_on.set).start()
    background.settle(60_000)
    assert all(task.done() for task in tasks)


def test_settling_gives_up_when_its_time_is_over(background):
    may_go_on = threading.Event()
    task = background(may_go_on.wait, timeout=60)
    background.settle(0)
    assert not task.done()
    may_go_on.set()


def test_what_is_done_is_not_kept(background):
    background(int, "7").result(timeout=60)
    background.pool.shutdown()
    assert background.pending == set()
