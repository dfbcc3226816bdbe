"""One session's calls to the recogniser: at most one at a time, the most urgent next, and none that hangs.

Urgent first: the text of a finished turn, then of a pause that may end one, then partials. A partial never waits,
and gives way; a pause's text is replaced by the next pause's; a finished turn's text is never given up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from services.voice_worker.listener.metrics import RECOGNITION_FAILED, RECOGNITION_SECONDS
from services.voice_worker.speech.interfaces import Recognition, Transcriber, WindowTranscriber
from shared.clock import Clock
from shared.errors import SplitbrainError
from shared.events import Language

MAX_FINALS: Final = 4
"""Finished turns that may wait for their text. The oldest beyond that fails: its turn ends without text."""

Purpose = Literal["partial", "pause", "final"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """Sound of one utterance (`pcm`: 16 kHz, from `start_ms` to `end_ms` of media time). `pause` 0: at no pause."""

    utterance: int
    purpose: Purpose
    pause: int
    start_ms: int
    end_ms: int
    pcm: NDArray[np.float32]


OnResult = Callable[[Request, Recognition | None], None]
"""Takes the result; None: failed or timed out."""


class RecognitionQueue:
    """Runs the calls in tasks of the session's group."""

    def __init__(
        self,
        transcriber: Transcriber | WindowTranscriber,
        language: Language,
        timeout_s: float,
        clock: Clock,
        on_result: OnResult,
    ) -> None:
        self._transcriber = transcriber
        self._language = language
        self._timeout_s = timeout_s
        self._clock = clock
        self._on_result = on_result
        self._finals: deque[Request] = deque()
        self._pause: Request | None = None
        self._current: Request | None = None
        self._call: asyncio.Task[Recognition | None] | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.last_partial_s = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return self._idle.is_set()

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Run the calls in `tasks`, which must outlive `close`."""
        self._tasks = tasks

    def submit(self, request: Request) -> None:
        """Take a request in by its purpose. A partial is refused unless the queue is idle."""
        if request.purpose == "partial" and not self.idle:
            return
        if request.purpose == "final":
            self._finals.append(request)
            if len(self._finals) > MAX_FINALS:
                self._on_result(self._finals.popleft(), None)
        elif request.purpose == "pause":
            self._pause = request
        else:
            self._begin(request)
            return
        self._make_way(request)
        self._next()

    def promote(self, utterance: int, pause: int) -> bool:
        """The turn of `utterance` ended at `pause`: the request for it is its final text now. False: there is none."""
        waiting = self._pause
        if waiting is not None and (waiting.utterance, waiting.pause) == (utterance, pause):
            self._pause = None
            self.submit(replace(waiting, purpose="final"))
            return True
        running = self._current
        if running is None or self._call is None or self._call.cancelling():
            return False
        if running.purpose != "pause" or (running.utterance, running.pause) != (utterance, pause):
            return False
        self._current = replace(running, purpose="final")
        return True

    def withdraw(self, utterance: int) -> None:
        """Nobody wants the text of `utterance` any more."""
        if self._pause is not None and self._pause.utterance == utterance:
            self._pause = None
        running = self._current
        if running is not None and running.utterance == utterance and self._call is not None:
            self._call.cancel()

    async def settled(self) -> None:
        """Return when nothing runs and nothing waits."""
        await self._idle.wait()

    def close(self) -> None:
        """Give everything up; no result comes after this."""
        self._tasks = None
        self._finals.clear()
        self._pause = None
        if self._call is not None:
            self._call.cancel()

    def _make_way(self, request: Request) -> None:
        """Cancel what runs if `request` makes it worthless: a partial, or an earlier pause of the same utterance."""
        running = self._current
        if running is None or self._call is None:
            return
        replaced = running.purpose == "pause" and running.utterance == request.utterance
        if running.purpose == "partial" or replaced:
            self._call.cancel()

    def _next(self) -> None:
        if self._current is not None:
            return
        if self._finals:
            self._begin(self._finals.popleft())
        elif self._pause is not None:
            waiting, self._pause = self._pause, None
            self._begin(waiting)
        else:
            self._idle.set()

    def _begin(self, request: Request) -> None:
        if self._tasks is None:
            return
        self._idle.clear()
        self._current = request
        self._call = self._tasks.create_task(self._recognise(request))
        # A callback, for a task that is cancelled before its first step never reaches its own `finally`.
        self._call.add_done_callback(self._finished)

    def _finished(self, call: asyncio.Task[Recognition | None]) -> None:
        request, self._current, self._call = self._current, None, None  # its purpose may have been raised meanwhile
        if self._tasks is None:
            self._idle.set()
            return
        self._next()
        if request is not None and not call.cancelled():
            self._on_result(request, call.result())

    async def _recognise(self, request: Request) -> Recognition | None:
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(request)
        except (SplitbrainError, TimeoutError) as error:
            _LOG.warning("recognition (%s) failed: %s", request.purpose, type(error).__name__)
        except Exception:
            # A provider's fault must not end the session: it goes on without this text.
            _LOG.exception("recognition (%s) failed", request.purpose)
        finally:
            took_s = self._clock.monotonic() - began
            RECOGNITION_SECONDS.labels(request.purpose).observe(took_s)
            if request.purpose == "partial":
                self.last_partial_s = took_s
        RECOGNITION_FAILED.labels(request.purpose).inc()
        return None

    async def _ask(self, request: Request) -> Recognition:
        partial = request.purpose == "partial"
        if isinstance(self._transcriber, WindowTranscriber):
            return await self._transcriber.transcribe_window(request.start_ms, request.end_ms, partial=partial)
        return await self._transcriber.transcribe(request.pcm, language=self._language, partial=partial)
