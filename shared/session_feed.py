"""Feeds one session's events to its handler, and keeps an event that makes it fail from being the session's end.

Owns no lease and no decision of the role: what is tried how often, what is set aside, and when a handler is made anew.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from shared import metrics
from shared.broker import Broker
from shared.broker.append import FIELD
from shared.broker.connection import TRANSIENT
from shared.broker.entries import readable
from shared.clock import raise_if_cancelled, to_the_end
from shared.dead_letters import MAX_TRIES, DeadLetter, DeadLetters, Kind, reason_of
from shared.errors import Overloaded, SplitbrainError
from shared.events import Body, Event, Role, SessionEnded
from shared.leases import Lease
from shared.session_inbox import EpochFilter, Inbox, Item
from shared.wire import decode_event

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_SET_ASIDE = 8
"""Events of one session that one owner sets aside; with the next one the session as a whole is."""

CALM_EPOCH = 5
"""Up to so many owners, since one handed it over by itself, a session begins without being watched: they end and freeze
for reasons of their own."""

MAX_STARTS = 3
"""Owners in a row that took a watched session and were not seen to go on; the next one sets it aside."""

SETTLE_S = 1.0
"""How long a watched session may wait for its first event; then it has begun well."""

EVENT_LIMIT_S = 30.0
"""How long a handler may take over one event; then it has failed at it. An hour's past is folded in a tenth of that."""

CLOSE_LIMIT_S = 5.0
"""How long a handler may take to close; then it is left behind and logged."""


class Publisher(Protocol):
    """Publishes one role's events of one session, with its epoch."""

    session_id: str

    def publish(self, body: Body, *, event_id: str, media_ms: int) -> None:
        """Append an event; never waits."""
        ...


class SessionHandler(Protocol):
    """What a role does for one session.

    One that raises may be half changed: it is closed with the reason "failed", its publisher falls silent, and a new
    one is restored from the events before the one that it failed at. So nothing has to be undone in a handler, and what
    it published before it raised it publishes again: ids are made from what an event is about, and readers drop
    the second one. Overloaded is no failure: the session is given back and taken again from its stream.
    """

    def restore(self, history: Sequence[Event]) -> None:
        """Take in all events so far, this role's own too, before the first `on_event`; none for a new session."""
        ...

    async def on_event(self, event: Event) -> None:
        """Take in one event, in stream order, one at a time; this role's own come too."""
        ...

    async def close(self, reason: str) -> None:
        """The session ended, failed or is lost to another owner: release all."""
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


class Poisoned(SplitbrainError):
    """The session as a whole cannot be served. `attempts` says how often it was tried."""

    def __init__(self, message: str, attempts: int) -> None:
        super().__init__(message)
        self.attempts = attempts


class SessionFeed:
    """Serves one session of a role from its first event to its last.

    An event that makes the handler fail, or keeps it for longer than EVENT_LIMIT_S, is tried MAX_TRIES times, each time
    by a handler made anew, then set aside. Before that its past is walked: a handler may keep the past and work through
    it later, so that an older event fails it. `alone` is held by one watched session of the process at a time while it
    begins.
    """

    def __init__(
        self, broker: Broker, role: Role, lease: Lease, make_handler: HandlerFactory, alone: asyncio.Lock
    ) -> None:
        self._broker = broker
        self._role = role
        self._lease = lease
        self._make_handler = make_handler
        self._alone = alone
        self._keys = broker.keys(lease.session_id)
        self._letters = DeadLetters(broker.client)
        self._inbox = Inbox()
        self._publisher = BrokerPublisher(broker, lease.session_id, role, lease.epoch)
        self._handler: SessionHandler | None = None
        self._set_aside: frozenset[str] = frozenset()
        self._n_set_aside = 0
        self._is_watched = self._goes_on = False
        self._given_early: set[str] = set()  # own events behind the one at which a handler was made anew

    async def run(self) -> None:
        """Return at the session's end. Raises TooMany and Overloaded to give it back, Poisoned to set it aside."""
        restless = self._lease.epoch
        if restless > CALM_EPOCH:
            restless -= await self._patiently(lambda: self._letters.calm_epoch(self._keys, self._role))
        if restless <= CALM_EPOCH:
            ended = await self._begin()
        else:
            ended = await self._begin_alone()
        self._goes_on = True
        while not ended:
            raise_if_cancelled()
            ended = await self._give(await self._inbox.get())

    def mute(self) -> None:
        """The lease is lost: publish nothing more."""
        self._publisher.active = False

    async def leave(self) -> None:
        """The process is told to end: that is no session's fault, and one that went on counts as calm."""
        if self._is_watched:
            await self._letters.forget_starts(self._keys, self._role)
        elif self._goes_on:
            await self._letters.note_calm(self._keys, self._role, self._lease.epoch)

    async def close(self, reason: str) -> None:
        """Stop reading and release the handler."""
        self._broker.reader.unsubscribe(self._keys.events)
        handler, self._handler = self._handler, None
        if handler:
            await to_the_end(self._close(handler, reason))

    async def put_aside(self, error: BaseException, attempts: int) -> None:
        """Set the session as a whole aside for this role."""
        await self._put("session", "", "session", attempts, error)

    # --- the beginning

    async def _begin(self) -> bool:
        """Give a handler the past and follow the stream; True if the session ended while nobody served it."""
        self._set_aside = await self._patiently(lambda: self._letters.set_aside(self._keys, self._role))
        entries, last_id = await self._entries()
        if not entries:  # the first event is there before any request: the session is over and has expired
            log.info("nothing is left of a session that the %s was asked for", self._role)
            return True
        self._inbox = Inbox(self._set_aside)
        past, ended = self._inbox.prime(entries)
        if ended and ended[0] in self._set_aside:
            return True
        await self._make(past)
        if ended:
            return await self._give(ended)
        self._broker.reader.subscribe(self._keys.events, last_id, self._inbox.put)
        return False

    async def _begin_alone(self) -> bool:
        """Begin a session that has had many owners: one at a time, so that the one that ends processes stands out.

        The start is counted before the past is touched and forgotten once an event was handled or none came. What a
        process that ends, or stands still for longer than its lease, leaves behind is that count.
        """
        async with self._alone:
            self._is_watched = True
            n = await self._patiently(lambda: self._letters.count_start(self._keys, self._role))
            if n > MAX_STARTS:
                raise Poisoned(f"{MAX_STARTS} owners in a row took the session and did not go on", n - 1)
            ended = await self._begin()
            if not ended:
                try:
                    async with asyncio.timeout(SETTLE_S):
                        item = await self._inbox.get()
                except TimeoutError:
                    pass
                else:
                    ended = await self._give(item)
            await self._patiently(lambda: self._letters.forget_starts(self._keys, self._role))
            self._is_watched = False
        return ended

    # --- trying

    async def _give(self, item: Item) -> bool:
        """Have an event handled or set aside; True if it is the session's end."""
        failures = 0
        while item[0] not in self._given_early:
            assert self._handler is not None
            try:
                async with asyncio.timeout(EVENT_LIMIT_S):
                    await self._handler.on_event(item[1])
                break
            except Overloaded:
                raise
            except Exception as error:
                failures += 1
                await self._failed(error)
                if failures == MAX_TRIES:
                    past = await self._past(item[0])
                    guilty, why = await self._find(past) or (item, error)
                    await self._put_event_aside(guilty, failures, why)
                    failures = 0
            await self._make(await self._past(item[0]))
            if item[0] in self._set_aside:
                break
        return isinstance(item[1].body, SessionEnded)

    async def _make(self, past: list[Item]) -> None:
        """Make a handler and give it the past, without what makes it fail. Raises Poisoned where that is not found."""
        failures = 0
        while True:
            self._publisher = BrokerPublisher(self._broker, self._lease.session_id, self._role, self._lease.epoch)
            try:
                self._handler = self._make_handler(self._lease.session_id, self._publisher)
                self._handler.restore([event for _, event in past])
                return
            except Overloaded:
                raise
            except Exception as error:
                failures += 1
                await self._failed(error)
                if failures == MAX_TRIES:
                    found = await self._find(past)
                    if found is None:
                        raise Poisoned("its handler cannot be made from its events", failures) from error
                    await self._put_event_aside(found[0], failures, found[1])
                    failures = 0
            past = [item for item in past if item[0] not in self._set_aside]

    async def _failed(self, error: Exception) -> None:
        """Count a failed try and get rid of the handler; what it published meanwhile is written out."""
        metrics.HANDLER_FAILURES.labels(self._role).inc()
        log.warning("the %s failed at a session: %s", self._role, reason_of(error))
        self._publisher.active = False
        handler, self._handler = self._handler, None
        if handler:
            await to_the_end(self._close(handler, "failed"))
        await self._broker.writer.drain()

    async def _find(self, past: Sequence[Item]) -> tuple[Item, Exception] | None:
        """Return the first event of the past that a handler fails at when it is given one after the other, silenced."""
        silent = BrokerPublisher(self._broker, self._lease.session_id, self._role, self._lease.epoch)
        silent.active = False
        try:
            probe = self._make_handler(self._lease.session_id, silent)
        except Exception:
            return None
        try:
            probe.restore([])
            for item in past:
                try:
                    async with asyncio.timeout(EVENT_LIMIT_S):
                        await probe.on_event(item[1])
                except Exception as error:
                    return item, error
        except Exception:
            log.warning("the %s cannot begin a session without a past", self._role)
        finally:
            await to_the_end(self._close(probe, "probe"))
        return None

    async def _past(self, before: str) -> list[Item]:
        """Return what counts before an entry, and this role's own events wherever they are: they answer that past."""
        entries, _ = await self._entries()
        accepts, limit = EpochFilter().accepts, _order(before)
        past: list[Item] = []
        for entry_id, event in entries:
            if not accepts(event) or entry_id in self._set_aside:
                continue
            if _order(entry_id) < limit:
                past.append((entry_id, event))
            elif event.source == self._role and entry_id != before:
                past.append((entry_id, event))
                self._given_early.add(entry_id)
        return past

    # --- setting aside

    async def _put_event_aside(self, item: Item, attempts: int, error: Exception) -> None:
        self._n_set_aside += 1
        if self._n_set_aside > MAX_SET_ASIDE:
            raise Poisoned(f"more than {MAX_SET_ASIDE} of its events make its handler fail", attempts) from error
        await self._put("event", item[0], item[1].body.kind, attempts, error)
        self._set_aside |= {item[0]}

    async def _put(self, kind: Kind, entry_id: str, about: str, attempts: int, error: BaseException) -> None:
        cause = error.__cause__ or error if isinstance(error, Poisoned) else error
        reason = reason_of(cause)
        if isinstance(error, Poisoned):
            reason = f"{error}: {reason}" if error.__cause__ else str(error)
        log.error(
            "the %s set aside after %d tries: %s of a session (%s)\n%s",
            *(self._role, attempts, about, reason),
            "".join(traceback.format_tb(cause.__traceback__)),  # without the error's words: they may be a user's
        )
        session_id, shard = self._lease.session_id, self._keys.shard
        now_ms = self._broker.clock.wall_ms()
        letter = DeadLetter(
            self._role, kind, session_id, shard, entry_id, about, attempts, reason, self._lease.epoch, now_ms
        )
        await self._patiently(lambda: self._letters.put(letter, cause))

    async def _close(self, handler: SessionHandler, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await handler.close(reason)
        except Exception:
            log.exception("the %s did not close a session cleanly", self._role)

    # --- Redis

    async def _entries(self) -> tuple[list[Item], str]:
        """Return all events so far and the id of the last entry."""
        answer = await self._patiently(lambda: self._broker.client.xrange(self._keys.events))
        raw = [(entry_id.decode(), fields.get(FIELD, b"")) for entry_id, fields in answer]
        return list(readable(raw, decode_event, "events")), raw[-1][0] if raw else "0"

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call Redis until it answers; a session that was stopped meanwhile goes no further."""
        while True:
            try:
                answer = await call()
                raise_if_cancelled()
                return answer
            except TRANSIENT:
                await self._broker.clock.sleep(0.2)


def _order(entry_id: str) -> tuple[int, ...]:
    return tuple(map(int, entry_id.split("-")))
