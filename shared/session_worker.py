"""Serves the sessions of a role that follows events (coach, evaluator): leases, history, one task per session.

Owns no decision of the role itself: that is the handler's. A handler that fails ends its own session's
service only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from shared import metrics
from shared.broker import Broker
from shared.broker.connection import TRANSIENT
from shared.broker.entries import readable
from shared.broker.reader import Entries
from shared.clock import to_the_end
from shared.events import Body, Event, Role, SessionEnded
from shared.leases import Lease, LeaseHolder, sessions_of
from shared.logs import session_id_var
from shared.streams import request_stream
from shared.wire import decode_event

log = logging.getLogger(__name__)

QUEUE_BOUND = 2_000
"""Events that may wait for one handler; beyond it the session is handed over and taken again from its stream."""

CLOSE_LIMIT_S = 5.0
"""How long a handler may take to close; then it is left behind and logged."""


class Publisher(Protocol):
    """Publishes one role's events of one session, with its epoch."""

    session_id: str

    def publish(self, body: Body, *, event_id: str, media_ms: int) -> None:
        """Append an event; never waits."""
        ...


class SessionHandler(Protocol):
    """What a role does for one session."""

    def restore(self, history: Sequence[Event]) -> None:
        """Take in all events so far, this role's own too, before the first `on_event`."""
        ...

    async def on_event(self, event: Event) -> None:
        """Take in one event, in stream order, one at a time; this role's own come too."""
        ...

    async def close(self, reason: str) -> None:
        """The session ended or is lost to another owner: release all."""
        ...


HandlerFactory = Callable[[str, Publisher], SessionHandler]


class BrokerPublisher:
    """Publisher on the broker."""

    def __init__(self, broker: Broker, session_id: str, role: Role, epoch: int) -> None:
        self.session_id = session_id
        self.active = True
        self._broker = broker
        self._keys = broker.keys(session_id)
        self._role = role
        self._epoch = epoch

    def publish(self, body: Body, *, event_id: str, media_ms: int) -> None:
        if not self.active:  # the lease is lost: the new owner speaks for the session
            return
        event = Event(
            event_id, self.session_id, self._role, self._epoch, max(media_ms, 0), self._broker.clock.wall_ms(), body
        )
        self._broker.publish_event(self._keys, event)


class EpochFilter:
    """Drops what an older owner of the same role published after a newer one, and ids seen before."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._seen: set[str] = set()

    def accepts(self, event: Event) -> bool:
        """True if the event is to be taken in."""
        if event.epoch < self._newest.get(event.source, 0):
            metrics.STALE_EPOCH.inc()
            return False
        self._newest[event.source] = event.epoch
        if event.id in self._seen:
            return False
        self._seen.add(event.id)
        return True


class SessionWorker:
    """Holds leases of one role and runs a handler for each session."""

    def __init__(
        self, broker: Broker, role: Role, make_handler: HandlerFactory, *, consumer: str, capacity: int, lease_s: float
    ) -> None:
        self._broker = broker
        self._role = role
        self._make_handler = make_handler
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self.holder = LeaseHolder(
            broker,
            request_stream(role),
            consumer=consumer,
            capacity=capacity,
            lease_s=lease_s,
            on_grant=self._start,
            on_lost=self._stop,
        )

    @property
    def sessions(self) -> tuple[str, ...]:
        """Ids of the sessions served now."""
        return tuple(sessions_of(self.holder.held))

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until `stopping` is set; then hand every session over and return."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            keeper = group.create_task(self.holder.run(), name="leases")
            await stopping.wait()
            self.holder.set_accepting(False)
            keeper.cancel()  # first: nothing may be granted behind the loop below
            await asyncio.wait({keeper})
            for lease in self.holder.held:
                self._stop(lease)
                await self._try(self.holder.hand_over(lease))
            await self._broker.writer.drain()
        await self._try(self.holder.leave())

    def _start(self, lease: Lease) -> None:
        assert self._group is not None
        task = self._group.create_task(self._serve(lease), name=f"{self._role} {lease.session_id}")
        self._tasks[lease.entry_id] = task
        metrics.SESSIONS.set(len(self._tasks))
        task.add_done_callback(lambda _: self._forget(lease.entry_id, task))

    def _forget(self, entry_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(entry_id) is task:
            del self._tasks[entry_id]
        metrics.SESSIONS.set(len(self._tasks))

    def _stop(self, lease: Lease) -> None:
        task = self._tasks.pop(lease.entry_id, None)
        if task:
            task.cancel()

    async def _serve(self, lease: Lease) -> None:
        """Serve one session from grant to end. Whatever its handler raises stays in here."""
        session_id_var.set(lease.session_id)
        publisher = BrokerPublisher(self._broker, lease.session_id, self._role, lease.epoch)
        handler: SessionHandler | None = None
        reason = "lease lost"
        try:
            handler = self._make_handler(lease.session_id, publisher)
            await self._feed(lease.session_id, handler)
            reason = "ended"
        except asyncio.CancelledError:
            publisher.active = False
            raise
        except _TooMany as error:
            publisher.active = False
            reason = "overloaded"
            log.warning("the %s gives a session back: %s", self._role, error)
        except Exception:
            reason = "failed"
            log.exception("the %s cannot go on with a session", self._role)
        finally:
            self._broker.reader.unsubscribe(self._broker.keys(lease.session_id).events)
            if handler:
                await to_the_end(self._close(handler, reason))
        give_up = self.holder.hand_over if reason == "overloaded" else self.holder.finish
        await self._try(give_up(lease))

    async def _feed(self, session_id: str, handler: SessionHandler) -> None:
        """Give the handler the past, then each event until the session's end."""
        inbox = _Inbox()
        history, last_id = await self._history(session_id)
        if not history:  # the first event is there before any request: the session is over and has expired
            log.info("nothing is left of a session that the %s was asked for", self._role)
            return
        past, ended = inbox.prime(history)
        handler.restore(past)
        if ended:  # the session ended while nobody of this role served it
            await handler.on_event(ended)
            return
        self._broker.reader.subscribe(self._broker.keys(session_id).events, last_id, inbox.put)
        await self._follow(inbox, handler)

    async def _close(self, handler: SessionHandler, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await handler.close(reason)
        except Exception:
            log.exception("the %s did not close a session cleanly", self._role)

    async def _history(self, session_id: str) -> tuple[list[Event], str]:
        while True:
            try:
                return await self._broker.history(session_id)
            except TRANSIENT:
                await self._broker.clock.sleep(0.2)

    async def _follow(self, inbox: _Inbox, handler: SessionHandler) -> None:
        """Hand on events until the session has ended; what stands behind that event belongs to nobody."""
        while True:
            event = await inbox.get()
            await handler.on_event(event)
            if isinstance(event.body, SessionEnded):
                return

    async def _try(self, call: Awaitable[object]) -> None:
        try:
            await call
        except TRANSIENT as error:
            log.warning("Redis did not take a lease change (%s); it will lapse by itself", type(error).__name__)


class _Inbox:
    """Bounded queue of decoded, filtered events of one session."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event] = asyncio.Queue(QUEUE_BOUND)
        self._filter = EpochFilter()
        self._overflow = False

    def prime(self, history: Sequence[Event]) -> tuple[list[Event], Event | None]:
        """Return the events that count before the session's end, and that end if it is among them."""
        past: list[Event] = []
        for event in history:
            if not self._filter.accepts(event):
                continue
            if isinstance(event.body, SessionEnded):
                return past, event
            past.append(event)
        return past, None

    def put(self, key: str, entries: Entries) -> None:
        for _, event in readable(entries, decode_event, "events"):
            if self._filter.accepts(event):
                self._append(event)

    def _append(self, event: Event) -> None:
        if self._overflow:
            return
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self._overflow = True

    async def get(self) -> Event:
        """Return the next event; _TooMany where the gap is."""
        if self._overflow and self._queue.empty():
            raise _TooMany(f"more than {QUEUE_BOUND} events waited for its handler")
        return await self._queue.get()


class _TooMany(Exception):
    """Events came faster than the handler took them: the stream still has them, for the next owner."""
