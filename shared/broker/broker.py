"""What a service knows of Redis: one Broker per process with its client, writer and reader."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from shared.broker.append import ConnectionAppender, PipelineAppender
from shared.broker.connection import TRANSIENT, RedisClient, connect, is_cluster
from shared.broker.reader import StreamReader
from shared.broker.writer import StreamWriter, WriterLimits
from shared.clock import Clock, SystemClock
from shared.errors import BrokerError, WireError
from shared.events import Event
from shared.retention import CONSENT_FIELDS, Retention, consent_from_state, lifetimes
from shared.streams import DEFAULT_SHARDS, SessionKeys, session_keys
from shared.wire import AudioFrame, decode_event, encode_audio, encode_event

log = logging.getLogger(__name__)

EVENTS_MAXLEN = 20_000
"""Entries kept of a session's events; about two hours of lively talk."""

AUDIO_MAXLEN = 45_000
"""Frames kept of each direction: one hour of 80 ms frames."""


class Broker:
    """Publishes frames and events of sessions, reads their streams, and keeps their keys alive.

    `run` moves everything; the service runs it in its TaskGroup.
    """

    def __init__(
        self,
        client: RedisClient,
        connect_blocking: Callable[[], RedisClient],
        *,
        n_shards: int = DEFAULT_SHARDS,
        by_shard: bool = False,
        clock: Clock | None = None,
        limits: WriterLimits | None = None,
    ) -> None:
        self.client = client
        self.n_shards = n_shards
        self.clock = clock or SystemClock()
        self.connect_blocking = connect_blocking
        appender = PipelineAppender(client) if by_shard else ConnectionAppender(connect_blocking)
        self.writer = StreamWriter(appender, limits, self.clock)
        self.reader = StreamReader(client, connect_blocking, by_shard=by_shard, clock=self.clock)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        n_shards: int = DEFAULT_SHARDS,
        clock: Clock | None = None,
        limits: WriterLimits | None = None,
    ) -> Broker:
        """Return a broker for a Redis URL. It connects at its first call."""
        return cls(
            connect(url),
            lambda: connect(url, call_timeout_s=None),
            n_shards=n_shards,
            by_shard=is_cluster(url),
            clock=clock,
            limits=limits,
        )

    def keys(self, session_id: str) -> SessionKeys:
        """Return the keys of a session of this deployment."""
        return session_keys(session_id, self.n_shards)

    async def run(self) -> None:
        """Write and read until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.writer.run(), name="broker-writer")
            group.create_task(self.reader.run(), name="broker-reader")

    async def aclose(self) -> None:
        """Close the connections."""
        with suppress(*TRANSIENT):
            await self.client.aclose()

    async def ping(self) -> None:
        """Return if Redis answers, else raise BrokerError that says what to look at."""
        try:
            async with asyncio.timeout(3):
                await self.client.ping()
        except TRANSIENT as error:
            raise BrokerError(
                f"Redis does not answer ({type(error).__name__}); is SPLITBRAIN_REDIS_URL right and the server up?"
            ) from error

    def publish_event(self, keys: SessionKeys, event: Event) -> None:
        """Append an event to its session's stream. Raises Overloaded when the writer is full."""
        self.writer.add(keys.events, encode_event(event), maxlen=EVENTS_MAXLEN)

    def publish_audio(self, key: str, frame: AudioFrame) -> None:
        """Append a frame to `audio.in` or `audio.out`; the oldest waiting frame gives way at the bound."""
        self.writer.add(key, encode_audio(frame), maxlen=AUDIO_MAXLEN, droppable=True)

    async def history(self, session_id: str) -> tuple[list[Event], str]:
        """Return all events of a session so far and the id of the last entry ("0" if there is none)."""
        answer = await self.client.xrange(self.keys(session_id).events)
        events: list[Event] = []
        last = "0"
        for entry_id, fields in answer:
            last = entry_id.decode()
            try:
                events.append(decode_event(fields[b"m"]))
            except (WireError, KeyError):
                log.warning("an entry of the events stream cannot be read; it is passed over")
        return events, last

    async def expire(self, session_id: str, seconds: int) -> None:
        """Let every key of a living session live for `seconds` more."""
        await self._expire(dict.fromkeys(self.keys(session_id).all(), seconds))

    async def let_go(self, session_id: str, retention: Retention) -> None:
        """The session is over: let each of its keys live as long as its latest consent allows."""
        keys = self.keys(session_id)
        found = await self.client.hmget(keys.state, CONSENT_FIELDS)
        fields = {name: value.decode() for name, value in zip(CONSENT_FIELDS, found, strict=True) if value is not None}
        await self._expire(lifetimes(keys, consent_from_state(fields), retention))

    async def _expire(self, seconds: dict[str, int]) -> None:
        pipe = self.client.pipeline(transaction=False)
        for key, value in seconds.items():
            pipe.expire(key, value)
        await pipe.execute(raise_on_error=False)
