"""Clocks: the manual one wakes sleepers in order, at their time, and not before."""

from __future__ import annotations

import asyncio

import pytest

from shared.clock import Clock, ManualClock, SystemClock, to_the_end


async def test_sleepers_wake_in_the_order_of_their_time() -> None:
    clock = ManualClock(start_s=10.0, wall_ms=1_000)
    woke: list[tuple[str, float]] = []

    async def sleeper(name: str, delay_s: float) -> None:
        await clock.sleep(delay_s)
        woke.append((name, clock.monotonic()))

    tasks = [asyncio.create_task(sleeper(name, s)) for name, s in (("c", 3), ("a", 1), ("b", 2), ("b2", 2))]
    await clock.advance(0)
    await clock.advance(0.999)
    assert woke == []
    await clock.advance(1.001)
    assert woke == [("a", 11.0), ("b", 12.0), ("b2", 12.0)]
    await clock.advance(5)
    assert woke[-1] == ("c", 13.0)
    assert (clock.monotonic(), clock.wall_ms()) == (17.0, 8_000)
    await asyncio.gather(*tasks)


async def test_one_that_sleeps_again_wakes_again_in_the_same_advance() -> None:
    clock = ManualClock(start_s=0)
    beats: list[float] = []

    async def heart() -> None:
        while True:
            await clock.sleep(0.25)
            beats.append(clock.monotonic())

    task = asyncio.create_task(heart())
    await clock.advance(0)
    await clock.advance(1)
    assert beats == [0.25, 0.5, 0.75, 1.0]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_cancelled_sleeper_is_passed_over() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1))
    await clock.advance(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await clock.advance(2)
    assert task.cancelled()


async def test_the_machines_clock_never_goes_back() -> None:
    clock: Clock = SystemClock()
    times = [clock.monotonic() for _ in range(1_000)]
    assert times == sorted(times)
    assert clock.wall_ms() > 1_700_000_000_000
    await clock.sleep(0)


async def test_a_task_that_was_told_to_end_does_not_sleep_on() -> None:
    """A driver that swallows a cancellation must not keep a loop that retries alive."""
    clock = SystemClock()
    tries = 0

    async def retry_for_ever() -> None:
        nonlocal tries
        while True:
            tries += 1
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                await clock.sleep(0.01)

    task = asyncio.create_task(retry_for_ever())
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert tries == 1


async def test_what_must_be_done_is_done_by_a_task_that_is_not_cancelled() -> None:
    """In a cancelled one, time limits end in CancelledError on Python before 3.11.3."""
    seen: list[object] = []

    async def cleanup() -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError as error:
            seen.extend([task.cancelling(), type(error)])

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await to_the_end(cleanup())

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert seen == [0, TimeoutError]
    assert task.cancelled()
