"""Replays a recording into the running evaluator workers of a deployment: a session of its own on the streams.

The door to Redis of a replay. Decides nothing about the card: an evaluator worker serves the session as it serves any,
with leases, epochs and takeovers, and what it publishes at the end is the answer.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate

from redis.exceptions import ResponseError

from services.evaluator.replay.in_process import events_for_evaluator
from services.evaluator.scorecard import canonical_json
from shared.broker import Broker
from shared.broker.append import FIELD
from shared.broker.broker import EVENTS_MAXLEN
from shared.broker.connection import TRANSIENT
from shared.broker.entries import readable
from shared.broker.reader import Entries
from shared.clock import raise_if_cancelled, to_the_end
from shared.errors import BrokerError, Overloaded, SplitbrainError
from shared.events import Event, ScorecardReady, SessionEnded
from shared.leases import GROUP, RequestQueue
from shared.session_inbox import QUEUE_BOUND
from shared.streams import new_session_id, request_stream
from shared.wire import decode_event, encode_event

log = logging.getLogger(__name__)

LEAVE_LIMIT_S = 5.0


class ReplayFailed(SplitbrainError):
    """No scorecard came out of the deployment."""


@dataclass(frozen=True, slots=True)
class ReplayLimits:
    """Bounds of a replay.

    `max_ahead` events may be ahead of what the evaluator has told of: half of what may wait for its handler. It tells
    of itself at each turn's end and every 5 s of media time; after `stall_s` without a word the next events go out
    anyhow, and after `silence_s` the replay fails. Its keys live for `kept_s` after its end.
    """

    max_ahead: int = QUEUE_BOUND // 2
    stall_s: float = 2.0
    silence_s: float = 60.0
    kept_s: int = 60


class StreamReplay:
    """One recording on its way through a deployment. `speed` 1 is real time; 0 is as fast as the evaluator follows.

    `broker` must be running.
    """

    def __init__(
        self, broker: Broker, events: Sequence[Event], speed: float = 1.0, limits: ReplayLimits | None = None
    ) -> None:
        """Raises ReplayFailed for events without an end: nobody would ever give a card."""
        own = events_for_evaluator(events)
        if not any(isinstance(event.body, SessionEnded) for event in own):
            raise ReplayFailed("the recording has no end: replay it in process, without --redis-url and --speed")
        self.session_id = new_session_id(broker.clock.wall_ms())
        self._broker = broker
        self._queue = RequestQueue(broker)
        self._events = [replace(event, session_id=self.session_id) for event in own]
        self._due_ms = list(accumulate((event.media_ms for event in own), max))
        self._speed = speed
        self._limits = limits or ReplayLimits()
        self._keys = broker.keys(self.session_id)
        self._is_asked = False
        self._entry_id = ""
        self._n_fed = self._n_told = 0
        self._told = asyncio.Event()
        self._card: bytes | None = None

    async def run(self) -> bytes:
        """Return the scorecard that the evaluator published.

        Raises BrokerError (no evaluator, or Redis is away), Overloaded (no evaluator has room), ReplayFailed. However
        it ends, the session is over then, and its keys expire.
        """
        try:
            await self._open()
            await self._feed()
            while self._card is None:
                if not await self._wait_for_word(self._limits.silence_s):
                    raise ReplayFailed(f"the evaluator said nothing for {self._limits.silence_s:.0f} s")
            return self._card
        except TRANSIENT as error:
            raise BrokerError(f"Redis does not answer ({type(error).__name__})") from error
        finally:
            await to_the_end(self._leave())

    async def _open(self) -> None:
        """Write the first event, then ask for an evaluator: the order in which an edge does it."""
        lives_s = int(self._due_ms[-1] / 1000 / self._speed if self._speed else 0) + 3600
        key, first = self._keys.events, encode_event(self._events[0])
        pipe = self._broker.client.pipeline(transaction=False)
        pipe.execute_command("XADD", key, "MAXLEN", "~", EVENTS_MAXLEN, "*", FIELD, first)
        pipe.expire(key, lives_s)
        await pipe.execute()
        self._n_fed = 1
        self._broker.reader.subscribe(key, "0", self._hear)
        self._is_asked = True  # also where the answer is lost
        answer = await self._queue.admit(request_stream("evaluator"), self.session_id, {}, by_slots=True)
        self._is_asked = answer.outcome == "admitted"
        if answer.outcome == "nobody":
            raise BrokerError("no evaluator runs on this Redis")
        if answer.outcome == "full":
            raise Overloaded("all evaluators of this deployment are full")
        self._entry_id = answer.entry_id

    async def _feed(self) -> None:
        """Write the events in stream order, each when its media time has come."""
        clock, began_s = self._broker.clock, self._broker.clock.monotonic()
        for event, due_ms in zip(self._events[1:], self._due_ms[1:], strict=True):
            if self._speed:
                wait_s = began_s + due_ms / 1000 / self._speed - clock.monotonic()
                if wait_s > 0:
                    await clock.sleep(wait_s)
            await self._stay_near()
            if self._card is not None:
                return  # what stands behind the session's end is nobody's
            self._broker.publish_event(self._keys, event)
            self._n_fed += 1

    async def _stay_near(self) -> None:
        while self._n_fed - self._n_told >= self._limits.max_ahead:
            raise_if_cancelled()
            if not await self._wait_for_word(self._limits.stall_s):
                self._n_told = self._n_fed

    async def _wait_for_word(self, limit_s: float) -> bool:
        """Return True once the evaluator said something; False if it did not within the limit."""
        self._told.clear()
        try:
            async with asyncio.timeout(limit_s):
                await self._told.wait()
        except TimeoutError:
            return False
        return True

    def _hear(self, key: str, entries: Entries) -> None:
        for _, event in readable(entries, decode_event, "events"):
            if event.source != "evaluator":
                continue
            self._n_told = max(self._n_told, bisect_right(self._due_ms, event.media_ms, hi=self._n_fed))
            if isinstance(event.body, ScorecardReady) and self._card is None:
                self._card = canonical_json(event.body.scorecard)
            self._told.set()

    async def _leave(self) -> None:
        """End the session if it is not over yet, take back a request that nobody took, and let the keys go."""
        with suppress(*TRANSIENT, Overloaded, TimeoutError):
            async with asyncio.timeout(LEAVE_LIMIT_S):
                self._broker.reader.unsubscribe(self._keys.events)
                if not self._is_asked:
                    await self._broker.client.delete(*self._keys.all())
                    return
                if self._card is None:
                    self._end_early()
                await self._broker.writer.drain()
                if self._entry_id:
                    await self._withdraw()
                await self._broker.expire(self.session_id, self._limits.kept_s)

    def _end_early(self) -> None:
        fed = self._events[: self._n_fed]
        if any(isinstance(event.body, SessionEnded) for event in fed):
            return
        epoch = max((event.epoch for event in fed if event.source == "edge"), default=1)
        now_ms, wall_ms = self._due_ms[max(self._n_fed - 1, 0)], self._broker.clock.wall_ms()
        ended = SessionEnded("client_closed", "the replay was stopped")
        event = Event("edge:session_ended", self.session_id, "edge", epoch, now_ms, wall_ms, ended)
        self._broker.publish_event(self._keys, event)

    async def _withdraw(self) -> None:
        stream = request_stream("evaluator")
        span = {"min": self._entry_id, "max": self._entry_id, "count": 1}
        try:
            taken = await self._broker.client.xpending_range(stream, GROUP, **span)
        except ResponseError:  # no evaluator has ever run here
            taken = []
        if not taken:
            await self._queue.withdraw(stream, self._entry_id)
