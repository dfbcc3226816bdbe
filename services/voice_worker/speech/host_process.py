"""A supervised model host: starts it, starts it again when it dies, and carries requests to it. Knows no model.

A request that the host's death cut off fails with SpeechHostDied; `request` repeats it once by itself, since asking for
the same recognition twice changes nothing. A stream is repeated by its caller, who knows what was delivered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from services.voice_worker.speech.frames import Message
from services.voice_worker.speech.gate import Gate
from services.voice_worker.speech.host_life import HostLife, HostSpec, error_of
from shared.clock import Clock, SystemClock
from shared.errors import SpeechError, SpeechHostDied

BACKOFF_S: Final = (0.0, 0.2, 1.0, 3.0, 10.0)
GIVES_UP_AFTER: Final = 3
SETTLED_S: Final = 30.0

log = logging.getLogger(__name__)


class HostProcess:
    """A host that is there whenever it can be. Use `start`, then `request` and `stream`, then `aclose`."""

    def __init__(self, spec: HostSpec, models_dir: Path, *, clock: Clock | None = None) -> None:
        self._spec = spec
        self._models_dir = models_dir
        self._clock = clock or SystemClock()
        self._gate = Gate(spec.parallel, spec.max_waiting)
        self._supervisor: asyncio.Task[None] | None = None
        self._life: HostLife | None = None
        self._ready = asyncio.Event()  # set: `_life` is usable, or `_fault` says why none will be
        self._fault: SpeechError | None = None
        self._deaths = 0
        self._closed = False
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The number of the process that answers now, or None."""
        return self._life.pid if self._life and self._ready.is_set() else None

    @property
    def info(self) -> Message:
        """What the host said of itself when it became ready; empty before that."""
        return self._life.info if self._life else {}

    async def start(self) -> None:
        """Return when the host is ready. Idempotent; also tries anew after a fault.

        ModelMissing, ModelCorrupt, or SpeechError when the host cannot start; then nothing is left running.
        """
        if self._closed:
            raise SpeechError(f"the host {self._spec.module} was closed")
        if self._supervisor is None or self._supervisor.done():
            self._fault, self._deaths = None, 0
            self._ready.clear()
            # One task for the host's whole time; `aclose` ends it. Its own tasks live in a group per process.
            self._supervisor = asyncio.create_task(self._supervise(), name=f"host {self._spec.module}")
        await self._alive(self._spec.ready_timeout_s + 5.0)

    async def request(self, op: str, fields: Message, *, timeout_s: float, urgent: bool = True) -> Message:
        """Return the one chunk that `op` answers. Repeated once when the host dies. Errors as for `stream`."""
        for attempt in (1, 2):
            try:
                async with aclosing(self.stream(op, fields, timeout_s=timeout_s, urgent=urgent)) as chunks:
                    async for chunk in chunks:
                        return chunk
                raise SpeechError(f"the host {self._spec.module} answered {op!r} with nothing")
            except SpeechHostDied:
                if attempt == 2:
                    raise
                log.warning("the host %s died during %s; asking again", self._spec.module, op)
        raise AssertionError("unreachable")

    async def stream(
        self, op: str, fields: Message, *, timeout_s: float, urgent: bool = True
    ) -> AsyncGenerator[Message, None]:
        """Yield the chunks that `op` answers; each may take `timeout_s`, as may the wait for a place.

        Leaving the iterator early cancels the request in the host. Overloaded: too many wait. SpeechHostDied: the
        process ended. SpeechError: it refused or was silent too long, in which case it is ended and started again.
        """
        async with self._gate.place(urgent=urgent, timeout_s=timeout_s):
            life = await self._alive(self._spec.ready_timeout_s)
            number, queue = life.open({**fields, "op": op})
            finished = False
            try:
                while True:
                    message = await self._next(life, queue, timeout_s)
                    finished = message.get("kind") != "chunk"
                    if message.get("kind") == "error":
                        raise error_of(message)
                    if finished:
                        return
                    yield message
            finally:
                life.close(number, finished=finished)

    async def aclose(self) -> None:
        """End the process and wait for it. Requests under way fail with SpeechHostDied. Idempotent."""
        self._closed = True
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
        self._fault = self._fault or SpeechError(f"the host {self._spec.module} was closed")
        self._ready.set()

    async def _next(self, life: HostLife, queue: asyncio.Queue[Message | None], timeout_s: float) -> Message:
        try:
            async with asyncio.timeout(timeout_s):
                message = await queue.get()
        except TimeoutError as error:
            life.kill()
            raise SpeechError(
                f"the host {self._spec.module} gave no answer in {timeout_s:.0f} s and is started again; "
                "the machine may be too slow for this model"
            ) from error
        if message is None:
            raise SpeechHostDied(f"the host {self._spec.module} ended while it worked on a request")
        return message

    async def _alive(self, timeout_s: float) -> HostLife:
        """Return the life that can take requests, waiting for a restart if need be."""
        if self._supervisor is None:
            raise SpeechError(f"the host {self._spec.module} was not started")
        try:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        except TimeoutError as error:
            raise SpeechError(f"the host {self._spec.module} did not come up in {timeout_s:.0f} s") from error
        if self._fault is not None:
            raise self._fault
        assert self._life is not None
        return self._life

    async def _supervise(self) -> None:
        """Run one process after the other until closed. A host that cannot start the first time is not tried again.

        The first restart is immediate, later ones wait longer; meanwhile callers wait too, but after GIVES_UP_AFTER
        deaths in a row they are told at once, so that another engine or voice can take over.
        """
        ran = False
        while True:
            began = self._clock.monotonic()
            fault = await self._live()
            ran = ran or fault is None
            settled = self._clock.monotonic() - began > SETTLED_S
            self._deaths = 1 if settled else self._deaths + 1
            if not ran or self._deaths >= GIVES_UP_AFTER:
                self._fault = fault or SpeechError(f"the host {self._spec.module} dies again and again; see its log")
                self._ready.set()
            if not ran:
                return
            await self._clock.sleep(BACKOFF_S[min(self._deaths, len(BACKOFF_S)) - 1])
            self.restarts += 1

    async def _live(self) -> SpeechError | None:
        """Run one process to its end. Return why it could not start, or None when it did."""
        try:
            life = await HostLife.spawn(self._spec, self._models_dir)
        except SpeechError as error:
            return error
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(life.pump_stderr())]
            try:
                await life.handshake()
                self._life, self._fault = life, None
                self._ready.set()
                helpers.append(group.create_task(life.watch()))
                log.info("the host %s is ready (pid %d)", self._spec.module, life.pid)
                await life.read()
            except SpeechError as error:
                return error
            finally:
                self._ready.clear()
                await life.end()
                for helper in helpers:
                    helper.cancel()
        return None
