"""One coalescing writer per process: what is added while a write is on its way leaves with the next one.

While Redis is away, entries wait in order. What a bound sheds is counted and told to `on_shed`: audio by
age (at most `max_audio_per_key` a stream, oldest dropped; while Redis answers, `max_burst_per_key`), everything
else only when `max_entries` wait, and then by refusing the new entry with Overloaded.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from redis.exceptions import (
    AskError,
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from shared import metrics
from shared.broker.append import FIELD as FIELD  # named here for those who read entries by themselves
from shared.broker.append import Appender, Entry
from shared.broker.connection import TRANSIENT
from shared.clock import Clock, SystemClock, raise_if_cancelled
from shared.errors import Overloaded

log = logging.getLogger(__name__)

ShedCallback = Callable[[str, int], None]
HealthCallback = Callable[[bool], None]


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """Bounds of the writer. Five seconds of audio are 62 frames of 80 ms.

    A burst is what a new owner of a session makes at once of the frames that waited for it (a minute at most).
    """

    max_audio_per_key: int = 62
    max_burst_per_key: int = 750
    max_entries: int = 50_000
    max_batch: int = 512
    backoff_s: float = 0.1
    max_backoff_s: float = 1.0
    forget_failure_s: float = 5.0


class StreamWriter:
    """Appends entries to streams. `add` never waits; `run` must be running for anything to leave.

    Order is kept within a key. A batch that fails half-way is sent again whole: readers drop what they have
    seen by `seq` and event id.
    """

    def __init__(self, appender: Appender, limits: WriterLimits | None = None, clock: Clock | None = None) -> None:
        self._appender = appender
        self._limits = limits or WriterLimits()
        self._clock = clock or SystemClock()
        self._pending: deque[Entry] = deque()
        self._audio_waiting: dict[str, int] = {}
        self._ready = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._shed_callbacks: list[ShedCallback] = []
        self._health_callbacks: list[HealthCallback] = []
        self._up = True
        self._failed_s = float("-inf")

    def on_shed(self, callback: ShedCallback) -> None:
        """Have `callback(key, n)` called when n entries of a stream were dropped."""
        self._shed_callbacks.append(callback)

    def on_health(self, callback: HealthCallback) -> None:
        """Have `callback(up)` called when Redis is lost and when it is back."""
        self._health_callbacks.append(callback)

    @property
    def up(self) -> bool:
        """False while the last batch could not be written."""
        return self._up

    @property
    def _fails_now(self) -> bool:
        """True while writes fail. One that had nothing to write since the last failure does not know."""
        return not self._up and self._clock.monotonic() - self._failed_s < self._limits.forget_failure_s

    def add(self, key: str, data: bytes, *, maxlen: int, droppable: bool = False) -> None:
        """Append `data` to the stream `key`, trimmed to about `maxlen` entries.

        `droppable` marks live audio. Raises Overloaded for other entries when the writer is full.
        """
        if droppable:
            waiting = self._audio_waiting.get(key, 0)
            limits = self._limits
            if waiting >= (limits.max_audio_per_key if self._fails_now else limits.max_burst_per_key):
                self._drop_oldest_audio(key)
                waiting -= 1
            self._audio_waiting[key] = waiting + 1
        elif len(self._pending) >= self._limits.max_entries:
            metrics.BROKER_SHED.labels("event").inc()
            raise Overloaded(f"{len(self._pending)} entries wait for Redis; it may be down or too slow")
        self._pending.append(Entry(key, data, maxlen, droppable))
        self._idle.clear()
        self._ready.set()

    async def run(self) -> None:
        """Write until cancelled. Call `drain` first if all shall be written."""
        try:
            await self._run()
        finally:
            await self._appender.aclose()

    async def _run(self) -> None:
        backoff_s = self._limits.backoff_s
        while True:
            raise_if_cancelled()
            await self._ready.wait()
            left = self._take()
            try:
                left = await self._write(left)
            finally:
                if left:  # also when cancelled: nothing that was added is forgotten
                    self._put_back(left)
            if left:
                await self._clock.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, self._limits.max_backoff_s)
                continue
            backoff_s = self._limits.backoff_s
            if not self._pending:
                self._idle.set()

    async def drain(self, timeout_s: float = 2.0) -> bool:
        """Wait until everything that was added is written; False if `timeout_s` was not enough."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def _take(self) -> list[Entry]:
        pending = self._pending
        batch = [pending.popleft() for _ in range(min(len(pending), self._limits.max_batch))]
        for entry in batch:
            if entry.droppable:
                self._uncount(entry.key)
        if not pending:
            self._ready.clear()
        metrics.BROKER_PENDING.set(len(pending))
        return batch

    def _put_back(self, batch: list[Entry]) -> None:
        self._pending.extendleft(reversed(batch))
        for entry in batch:
            if entry.droppable:
                self._audio_waiting[entry.key] = self._audio_waiting.get(entry.key, 0) + 1
        for key in {entry.key for entry in batch if entry.droppable}:
            while self._audio_waiting.get(key, 0) > self._limits.max_audio_per_key:
                self._drop_oldest_audio(key)
        self._ready.set()

    async def _write(self, batch: list[Entry]) -> list[Entry]:
        """Write a batch in one write and return what is still to be written, in order."""
        with metrics.BROKER_FLUSH.time():
            try:
                answers = await self._appender.append(batch)
            except TRANSIENT as error:
                metrics.BROKER_ERRORS.labels("write").inc()
                self._set_up(False, error)
                return batch
        refused = [(entry, answer) for entry, answer in zip(batch, answers, strict=True) if _failed(answer)]
        again = [entry for entry, answer in refused if _may_pass_later(answer)]
        metrics.BROKER_WRITES.inc(len(batch) - len(refused))
        if len(again) < len(refused):
            metrics.BROKER_SHED.labels("refused").inc(len(refused) - len(again))
            log.error("Redis refused %d entries for good: %s", len(refused) - len(again), refused[0][1])
        self._set_up(not again, refused[0][1] if again else None)
        return again

    def _set_up(self, up: bool, error: object) -> None:
        if not up:
            self._failed_s = self._clock.monotonic()
        if up == self._up:
            return
        self._up = up
        metrics.BROKER_UP.set(1 if up else 0)
        if up:
            log.info("Redis answers again")
        else:
            hint = f" ({error})" if isinstance(error, ResponseError) else ""
            hint = " (its memory is full: see docs/operations.md)" if isinstance(error, OutOfMemoryError) else hint
            log.warning("Redis does not take writes: %s%s", type(error).__name__, hint)
        for callback in self._health_callbacks:
            callback(up)

    def _drop_oldest_audio(self, key: str) -> None:
        for index, entry in enumerate(self._pending):
            if entry.droppable and entry.key == key:
                del self._pending[index]
                self._uncount(key)
                metrics.BROKER_SHED.labels("audio").inc()
                for callback in self._shed_callbacks:
                    callback(key, 1)
                return

    def _uncount(self, key: str) -> None:
        left = self._audio_waiting.get(key, 0) - 1
        if left > 0:
            self._audio_waiting[key] = left
        else:
            self._audio_waiting.pop(key, None)


def _failed(answer: object) -> bool:
    return isinstance(answer, Exception)


def _may_pass_later(answer: object) -> bool:
    """Full memory, a loading or a failing-over server pass; a key of another type never does.

    By class where redis-py made one of the reply (it cuts the code off the text then), else by the code.
    """
    return (
        not isinstance(answer, ResponseError) or isinstance(answer, _PASSING) or str(answer).startswith(_PASSING_CODES)
    )


_PASSING = (OutOfMemoryError, ReadOnlyError, ClusterDownError, MasterDownError, TryAgainError, AskError)
_PASSING_CODES = (
    *("OOM ", "LOADING ", "READONLY ", "MASTERDOWN ", "NOREPLICAS ", "MISCONF ", "BUSY "),
    *("CLUSTERDOWN ", "TRYAGAIN ", "ASK ", "MOVED "),
)
