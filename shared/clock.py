"""Time comes from a Clock, so that tests can hold it. Owns no timers."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


def raise_if_cancelled() -> None:
    """Raise the cancellation that a driver has swallowed. Every endless loop around a driver's call needs it.

    redis-py sends through `asyncio.wait_for`, which on Python 3.11 forgets a cancellation that comes when its
    inner call is done, and turns others into errors of its own. A loop that retries after such an error would
    never end, and whoever waits for it neither.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` in a task of its own: for what must be done although this task was cancelled.

    In a cancelled task every time limit of Python before 3.11.3 (Debian 12 has 3.11.2) ends in CancelledError, and
    redis-py sets one with each call.
    """
    return await asyncio.create_task(work)


class Clock(Protocol):
    """Source of time for everything that waits or stamps."""

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC. For people and logs, never for scoring."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Return after `delay_s` seconds of this clock."""
        ...


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep(self, delay_s: float) -> None:
        """Sleep; a task that was told to end does not (see `raise_if_cancelled`)."""
        raise_if_cancelled()
        await asyncio.sleep(delay_s)


class ManualClock:
    """A clock that moves only by `advance`; sleepers wake in order of their time."""

    def __init__(self, start_s: float = 1_000.0, wall_ms: int = 1_700_000_000_000) -> None:
        self._now = start_s
        self._wall_ms = wall_ms
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self._now

    def wall_ms(self) -> int:
        return self._wall_ms

    async def sleep(self, delay_s: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + delay_s, next(self._order), future))
        await future

    async def advance(self, delta_s: float) -> None:
        """Move on by `delta_s` seconds and let every sleeper that is due run."""
        target = self._now + delta_s
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, future = heapq.heappop(self._sleepers)
            self._set(due)
            if not future.done():
                future.set_result(None)
            await _settle()
        self._set(target)
        await _settle()

    def _set(self, now: float) -> None:
        self._wall_ms += round((now - self._now) * 1000)
        self._now = now


async def _settle() -> None:
    """Give every task that is ready a few turns of the loop."""
    for _ in range(5):
        await asyncio.sleep(0)
