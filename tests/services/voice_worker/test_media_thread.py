"""One thread for the sound of all sessions: order, bound, faults, end."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from services.voice_worker.media_thread import MediaThread


class Results:
    def __init__(self) -> None:
        self.done: list[Any] = []
        self.failed: list[Exception] = []


async def test_results_come_on_the_loop_in_the_order_of_the_jobs() -> None:
    results, here = Results(), threading.get_ident()
    ran_on: list[int] = []
    threads: set[int] = set()

    def job(number: int) -> int:
        threads.add(threading.get_ident())
        return number

    def done(number: int) -> None:
        ran_on.append(threading.get_ident())
        results.done.append(number)

    async with MediaThread(asyncio.get_running_loop()) as media:
        for number in range(200):
            assert media.submit(lambda n=number: job(n), done, results.failed.append)  # type: ignore[misc]
        await media.drained()
        assert results.done == list(range(200))
    assert set(ran_on) == {here}
    assert len(threads) == 1
    assert here not in threads


async def test_the_loop_goes_on_while_a_job_runs_and_a_full_queue_refuses() -> None:
    results = Results()
    began, may_end = threading.Event(), threading.Event()

    def slow() -> str:
        began.set()
        may_end.wait(10)
        return "slow"

    async with MediaThread(asyncio.get_running_loop(), limit=2) as media:
        assert media.submit(slow, results.done.append, results.failed.append)
        await asyncio.to_thread(began.wait, 10)
        assert media.submit(lambda: 1, results.done.append, results.failed.append)
        assert media.submit(lambda: 2, results.done.append, results.failed.append)
        assert not media.submit(lambda: 3, results.done.append, results.failed.append)
        assert results.done == []
        may_end.set()
        await media.drained()
        assert results.done == ["slow", 1, 2]
        assert media.submit(lambda: 4, results.done.append, results.failed.append)
    assert results.done == ["slow", 1, 2, 4]


async def test_a_job_that_fails_tells_its_owner_only() -> None:
    results = Results()

    def broken() -> None:
        raise ValueError("no sound")

    async with MediaThread(asyncio.get_running_loop()) as media:
        media.submit(broken, results.done.append, results.failed.append)
        media.submit(lambda: "fine", results.done.append, results.failed.append)
    assert results.done == ["fine"]
    assert [str(error) for error in results.failed] == ["no sound"]


async def test_an_owner_that_fails_does_not_keep_others_from_their_results(caplog: pytest.LogCaptureFixture) -> None:
    results = Results()

    def bad_owner(_: Any) -> None:
        raise RuntimeError("owner")

    async with MediaThread(asyncio.get_running_loop()) as media:
        media.submit(lambda: 1, bad_owner, results.failed.append)
        media.submit(lambda: 2, results.done.append, results.failed.append)
    assert results.done == [2]
    assert "handling the result" in caplog.text


async def test_after_closing_nothing_is_taken_and_the_thread_is_gone() -> None:
    media = MediaThread(asyncio.get_running_loop())
    await media.close()
    await media.close()
    await media.drained()
    assert not media.submit(lambda: 1, lambda _: None, lambda _: None)
    assert "media" not in [thread.name for thread in threading.enumerate()]
