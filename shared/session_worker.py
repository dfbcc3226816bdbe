"""Serves the sessions of a role that follows events (coach, evaluator): leases, one task per session.

Owns no decision of the role itself: that is the handler's. What a handler that fails leads to is `session_feed`'s, and
stays within its own session.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from shared import metrics
from shared.broker import Broker
from shared.broker.connection import TRANSIENT
from shared.errors import Overloaded
from shared.events import Role
from shared.leases import Lease, LeaseHolder, sessions_of
from shared.logs import session_id_var
from shared.session_feed import BrokerPublisher as BrokerPublisher  # named here for the services
from shared.session_feed import HandlerFactory, Poisoned, SessionFeed
from shared.session_feed import Publisher as Publisher
from shared.session_feed import SessionHandler as SessionHandler
from shared.session_inbox import EpochFilter as EpochFilter
from shared.session_inbox import TooMany
from shared.streams import request_stream

log = logging.getLogger(__name__)


class SessionWorker:
    """Holds leases of one role and runs a handler for each session."""

    def __init__(
        self, broker: Broker, role: Role, make_handler: HandlerFactory, *, consumer: str, capacity: int, lease_s: float
    ) -> None:
        self._broker = broker
        self._role = role
        self._make_handler = make_handler
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._feeds: dict[str, SessionFeed] = {}
        self._group: asyncio.TaskGroup | None = None
        self._alone = asyncio.Lock()
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
            held = self.holder.held
            for lease in held:  # all before any is handed over: one that ends lets the next one begin (`_alone`)
                self._stop(lease)
            feeds = dict(self._feeds)  # each is forgotten when its task ends
            for lease in held:
                if feed := feeds.get(lease.entry_id):
                    await self._try(feed.leave())
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
        """Serve one session from grant to end. Whatever its handlers raise stays in here."""
        session_id_var.set(lease.session_id)
        feed = SessionFeed(self._broker, self._role, lease, self._make_handler, self._alone)
        self._feeds[lease.entry_id] = feed
        reason = "lease lost"
        try:
            reason = await self._run(feed)
        except asyncio.CancelledError:
            feed.mute()
            raise
        finally:
            if self._feeds.get(lease.entry_id) is feed:
                del self._feeds[lease.entry_id]
            await feed.close(reason)
        give_up = self.holder.hand_over if reason == "overloaded" else self.holder.finish
        await self._try(give_up(lease))

    async def _run(self, feed: SessionFeed) -> str:
        """Return why the session is served no longer."""
        try:
            await feed.run()
        except (TooMany, Overloaded) as error:
            feed.mute()
            log.warning("the %s gives a session back: %s", self._role, error)
            return "overloaded"
        except Poisoned as error:
            await feed.put_aside(error, error.attempts)
            return "failed"
        except Exception:
            log.exception("the %s cannot go on with a session", self._role)
            return "failed"
        return "ended"

    async def _try(self, call: Awaitable[object]) -> None:
        try:
            await call
        except TRANSIENT as error:
            log.warning("Redis did not take a lease change (%s); it will lapse by itself", type(error).__name__)
