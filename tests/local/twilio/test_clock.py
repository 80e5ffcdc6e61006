import asyncio

import pytest

from local.twilio.clock import RealClock, VirtualClock, within


async def test_sleepers_wake_in_order_each_at_its_own_time():
    clock = VirtualClock(start=10.0)
    woken = []

    async def sleep(at: float) -> None:
        await clock.sleep_until(at)
        woken.append((at, clock.time()))

    tasks = [asyncio.create_task(sleep(at)) for at in (12.0, 10.5, 11.0, 99.0)]
    await clock.advance(2.0)
    assert woken == [(10.5, 10.5), (11.0, 11.0), (12.0, 12.0)]
    assert clock.time() == 12.0
    tasks[-1].cancel()


async def test_what_a_sleeper_does_next_falls_into_the_same_stretch_of_time():
    clock = VirtualClock()
    started, ticks = clock.time(), []

    async def tick() -> None:
        for number in range(1, 6):
            await clock.sleep_until(started + number)
            ticks.append(clock.time() - started)

    task = asyncio.create_task(tick())
    await clock.advance(3.5)
    assert ticks == [1, 2, 3]
    await clock.advance(10)
    assert ticks == [1, 2, 3, 4, 5]
    await task


async def test_time_waits_until_all_is_quiet():
    busy = 3
    clock = VirtualClock(lambda: busy == 0)

    async def finish() -> None:
        nonlocal busy
        while busy:
            await asyncio.sleep(0)
            busy -= 1

    task = asyncio.create_task(finish())
    await clock.advance(1)
    assert busy == 0
    await task


@pytest.mark.parametrize("clock", [RealClock(), VirtualClock()])
async def test_within_gives_the_result_of_what_is_done_in_time(clock):
    assert await within(clock, 5, asyncio.sleep(0, "done")) == "done"


async def test_within_cancels_what_is_not_done_in_time():
    clock = VirtualClock()
    cancelled = asyncio.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    task = asyncio.create_task(within(clock, 15, never()))
    await clock.advance(14.9)
    assert not task.done()
    await clock.advance(0.2)
    with pytest.raises(TimeoutError, match="15 s"):
        await task
    assert cancelled.is_set()
