"""Admits a bounded number of callers at once, urgent ones first, and a bounded number of waiters. No I/O."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.errors import Overloaded


class Gate:
    """`places` callers inside; up to `max_waiting` wait. Beyond that, and after its time, a caller gets Overloaded."""

    def __init__(self, places: int, max_waiting: int) -> None:
        self._free = places
        self._max_waiting = max_waiting
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @property
    def n_waiting(self) -> int:
        """Callers that wait at present."""
        return sum(not future.done() for _, _, future in self._waiting)

    @asynccontextmanager
    async def place(self, *, urgent: bool, timeout_s: float) -> AsyncIterator[None]:
        """Hold a place. Callers that are not urgent may fill half of the waiting room only."""
        await self._enter(urgent, timeout_s)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, urgent: bool, timeout_s: float) -> None:
        if self._free:
            self._free -= 1
            return
        if self.n_waiting >= (self._max_waiting if urgent else max(1, self._max_waiting // 2)):
            raise Overloaded(f"{self.n_waiting} calls wait for this speech model; add voice workers", 1.0)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (0 if urgent else 1, next(self._order), future))
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError as error:
            self._abandon(future)
            raise Overloaded(f"no speech model was free for {timeout_s:.0f} s; add voice workers", 1.0) from error
        except BaseException:
            self._abandon(future)
            raise

    def _abandon(self, future: asyncio.Future[None]) -> None:
        """Give up waiting. A place that was given in the same turn of the loop goes to the next."""
        if future.done() and not future.cancelled():
            self._leave()
        else:
            future.cancel()

    def _leave(self) -> None:
        while self._waiting:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)
                return
        self._free += 1
