"""One thread per process for the sound work of all sessions: decoding, voice activity, pitch.

Jobs run one after the other in the order of `submit`, and their results reach the event loop in that order.
At the bound `submit` says no and the job is not kept: the caller counts the frame as lost. (A late frame of live
audio is worth nothing, and a queue that grows would make every session late.)
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from prometheus_client import Counter, Gauge

QUEUE_LIMIT: Final = 512
"""Jobs that may wait. At about 0.7 ms a frame that is 0.4 s of work: later than that is too late to answer."""

_LOG = logging.getLogger(__name__)
_WAITING = Gauge("splitbrain_media_jobs", "Sound jobs that wait for the media thread.")
_REFUSED = Counter("splitbrain_media_jobs_refused_total", "Sound jobs refused because the queue was full.")
_FAILED = Counter("splitbrain_media_jobs_failed_total", "Sound jobs that raised an error.")

Job = Callable[[], Any]
Done = Callable[[Any], None]
Failed = Callable[[Exception], None]
_Entry = tuple[Job, Done, Failed]


class MediaThread:
    """Runs jobs off the event loop and posts their results back to it, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int = QUEUE_LIMIT) -> None:
        self._loop = loop
        self._jobs: queue.Queue[_Entry | None] = queue.Queue()
        self._limit = limit
        self._results: deque[Callable[[], None]] = deque()
        self._wake_lock = threading.Lock()
        self._waking = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="media", daemon=True)
        self._thread.start()

    def submit(self, job: Job, on_done: Done, on_failed: Failed) -> bool:
        """Queue `job`; later `on_done(result)` or `on_failed(error)` runs on the loop. False: full or closed."""
        if self._closed or self._jobs.qsize() >= self._limit:
            _REFUSED.inc()
            return False
        self._jobs.put((job, on_done, on_failed))
        _WAITING.set(self._jobs.qsize())
        return True

    async def drained(self) -> None:
        """Return when every job queued until now has run and its result was handed over on the loop."""
        if self._closed:
            return
        passed: asyncio.Future[None] = self._loop.create_future()
        # Not subject to the bound: one marker per waiter, and a waiter waits.
        self._jobs.put((lambda: None, lambda _: _settle(passed), lambda _: _settle(passed)))
        await passed

    async def close(self) -> None:
        """Finish the queued jobs, hand their results over and end the thread. Idempotent."""
        if self._closed:
            return
        await self.drained()
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (entry := self._jobs.get()) is not None:
            job, on_done, on_failed = entry
            try:
                result = job()
            except Exception as error:  # the job's owner decides what an error means for its session
                _FAILED.inc()
                self._post(_bound(on_failed, error))
            else:
                self._post(_bound(on_done, result))

    def _post(self, call: Callable[[], None]) -> None:
        """Hand one result over; the loop is woken once for all that wait."""
        self._results.append(call)
        with self._wake_lock:
            if self._waking:
                return
            self._waking = True
        try:
            self._loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:  # the loop is closed: nobody is left to tell
            self._results.clear()

    def _deliver(self) -> None:
        with self._wake_lock:
            self._waking = False
        _WAITING.set(self._jobs.qsize())
        while self._results:
            call = self._results.popleft()
            try:
                call()
            except Exception:
                # One session's fault must not keep the others from their results.
                _LOG.exception("handling the result of a sound job failed")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _bound(call: Callable[[Any], None], value: Any) -> Callable[[], None]:
    return lambda: call(value)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
