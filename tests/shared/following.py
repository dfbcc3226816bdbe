"""Handlers and workers for tests of sessions that follow events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from shared.broker import Broker
from shared.events import Event, Notice, SessionEnded
from shared.leases import RequestQueue, ensure_group
from shared.session_worker import Publisher, SessionWorker
from shared.streams import new_session_id, request_stream

STREAM = request_stream("coach")


class Handler:
    """Keeps all it is told; answers each voice event with one of its own; breaks where a test says so."""

    def __init__(self, made: Made, session_id: str, publisher: Publisher) -> None:
        self.made, self.session_id, self.publisher = made, session_id, publisher
        self.history: list[str] = []
        self.restored = False
        self.taken: list[str] = []
        self.closed: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def restore(self, history: Sequence[Event]) -> None:
        assert not self.taken
        self.history = [event.id for event in history if event.id != "begin"]
        self.restored = True
        self.made.changed.set()

    async def on_event(self, event: Event) -> None:
        await self.gate.wait()
        if event.id == "break" and not self.made.mended:
            raise RuntimeError("the handler broke")
        self.taken.append(event.id)
        if event.source == "voice":
            self.publisher.publish(Notice("n", "info", "m"), event_id=f"coach:{event.id}", media_ms=event.media_ms)
        self.made.changed.set()

    async def close(self, reason: str) -> None:
        self.closed.append(reason)
        self.made.changed.set()
        if self.session_id in self.made.bad_closers:
            raise RuntimeError("cannot close")


class Made:
    """The handlers of one worker, in the order in which they were made, and a way to wait for them."""

    def __init__(self) -> None:
        self.handlers: list[Handler] = []
        self.changed = asyncio.Event()
        self.unmakeable: set[str] = set()
        self.bad_closers: set[str] = set()
        self.shut = False
        self.mended = False

    def __call__(self, session_id: str, publisher: Publisher) -> Handler:
        if session_id in self.unmakeable:
            raise RuntimeError("cannot be made")
        handler = Handler(self, session_id, publisher)
        if self.shut:
            handler.gate.clear()
        self.handlers.append(handler)
        self.changed.set()
        return handler

    async def until(self, n: int = 1, taken: Sequence[str] | None = None, closed: str = "") -> Handler:
        """Wait until the nth handler is restored and has taken (or closed) what is named, and return it."""
        async with asyncio.timeout(20):
            while True:
                self.changed.clear()
                if len(self.handlers) >= n and self.handlers[n - 1].restored:
                    handler = self.handlers[n - 1]
                    if (taken is None or handler.taken == list(taken)) and (not closed or handler.closed == [closed]):
                        return handler
                await self.changed.wait()


@asynccontextmanager
async def worker(broker: Broker, made: Made, name: str = "a", lease_s: float = 0.2) -> AsyncIterator[SessionWorker]:
    serving = SessionWorker(broker, "coach", made, consumer=name, capacity=4, lease_s=lease_s)
    stopping = asyncio.Event()
    task = asyncio.create_task(serving.run(stopping))
    try:
        yield serving
    finally:
        stopping.set()
        async with asyncio.timeout(10):
            await task


async def ask(broker: Broker, *, begun: bool = True) -> str:
    await ensure_group(broker.client, STREAM)
    session_id = new_session_id(1)
    if begun:
        say(broker, session_id, "begin", source="edge")
        assert await broker.writer.drain()
    admission = await RequestQueue(broker).admit(STREAM, session_id, {}, by_slots=False)
    assert admission.outcome == "admitted"
    return session_id


def say(broker: Broker, session_id: str, *ids: str, source: str = "voice", epoch: int = 1) -> None:
    for event_id in ids:
        body = SessionEnded("client_closed") if event_id == "end" else Notice("x", "info", "y")
        event = Event(event_id, session_id, source, epoch, 0, 0, body)  # type: ignore[arg-type]
        broker.publish_event(broker.keys(session_id), event)
