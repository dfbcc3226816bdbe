"""One multiplexed reader per process and shard group: never a connection or a blocking call per session.

On one Redis all shards are one group; on a Cluster each shard is its own, since a multi-key command may
only name keys of one hash tag. A group reads its streams in chunks of at most 128 keys, each chunk with
one blocking XREAD. A small wake stream among the keys ends the wait when the set of streams changes.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from shared import metrics
from shared.broker.append import FIELD
from shared.broker.blocking import BlockingConnection, ReadSet
from shared.broker.connection import TRANSIENT, RedisClient
from shared.clock import Clock, SystemClock, raise_if_cancelled
from shared.streams import wake_key

log = logging.getLogger(__name__)

Entries = list[tuple[str, bytes]]
"""`(entry id, data)` pairs in stream order."""

OnEntries = Callable[[str, Entries], None]

MAX_KEYS = 128

PAUSE_S = 0.001
"""Between an answer and the next read. A read is sent with all its keys, so one for each entry would cost Redis and
this process more than the entries; what comes in the pause leaves with the next answer. At 100 sessions it halves
Redis' work and adds half a millisecond."""

_WAKE_SECONDS = 60


class _Chunk:
    """At most `max_keys` streams that one blocking XREAD serves."""

    def __init__(self, wake: str) -> None:
        self.wake = wake
        self.raw_wake = wake.encode()
        self.changed = asyncio.Event()
        self.waiting = False
        self.streams = ReadSet()
        self.streams.put(self.raw_wake, b"0")

    def __len__(self) -> int:
        return len(self.streams) - 1


class StreamReader:
    """Reads any number of streams and hands each batch to its stream's callback, on the event loop.

    `connect_blocking` makes one more client for each chunk of streams. Positions are kept through a lost
    connection: nothing is skipped, nothing is given twice.
    """

    def __init__(
        self,
        client: RedisClient,
        connect_blocking: Callable[[], RedisClient],
        *,
        by_shard: bool = False,
        clock: Clock | None = None,
        max_keys: int = MAX_KEYS,
    ) -> None:
        self._client = client
        self._connect_blocking = connect_blocking
        self._by_shard = by_shard
        self._clock = clock or SystemClock()
        self._max_keys = max_keys
        self._id = secrets.token_hex(6)
        self._callbacks: dict[bytes, OnEntries] = {}
        self._chunk_of: dict[bytes, _Chunk] = {}
        self._groups: dict[tuple[int, bytes], list[_Chunk]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._started = asyncio.Event()
        self._wakers: set[asyncio.Task[None]] = set()
        self._waiting_chunks: list[_Chunk] = []

    async def run(self) -> None:
        """Read until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for chunk in self._waiting_chunks:
                    group.create_task(self._read_chunk(chunk))
                self._waiting_chunks.clear()
                await asyncio.get_running_loop().create_future()
        finally:
            for waker in tuple(self._wakers):  # one that lives on would open a connection that nobody closes
                waker.cancel()

    def subscribe(self, key: str, after_id: str, on_entries: OnEntries) -> None:
        """Have `on_entries(key, entries)` called for each entry of `key` after `after_id` ("0": from the start).

        The callback runs on the loop and must be quick. One callback per key; a second one replaces the first.
        """
        raw = key.encode()
        self._callbacks[raw] = on_entries
        chunk = self._chunk_of.get(raw) or self._place(raw)
        chunk.streams.put(raw, after_id.encode())
        self._wake(chunk)

    def unsubscribe(self, key: str) -> None:
        """Stop reading `key`. No callback comes after this returns."""
        raw = key.encode()
        self._callbacks.pop(raw, None)
        chunk = self._chunk_of.pop(raw, None)
        if chunk:
            chunk.streams.remove(raw)

    def __len__(self) -> int:
        return len(self._callbacks)

    def _place(self, raw: bytes) -> _Chunk:
        # Streams of one kind are read together: all keys of a chunk are named again whenever one of them has
        # something, so a silent `events` stream beside every `audio` stream would double the cost of each frame.
        shard, kind = _shard_in(raw) if self._by_shard else 0, raw.rpartition(b":")[2]
        chunks = self._groups.setdefault((shard, kind), [])
        for chunk in chunks:
            if len(chunk) < self._max_keys:
                break
        else:
            chunk = _Chunk(wake_key(shard, f"{self._id}.{kind.decode()}.{len(chunks)}"))
            chunks.append(chunk)
            if self._group:
                self._group.create_task(self._read_chunk(chunk))
            else:
                self._waiting_chunks.append(chunk)
        self._chunk_of[raw] = chunk
        return chunk

    def _wake(self, chunk: _Chunk) -> None:
        """End the chunk's blocking read, so that it takes up the new set of streams."""
        chunk.changed.set()
        if chunk.waiting:
            chunk.waiting = False
            task = asyncio.get_running_loop().create_task(self._send_wake(chunk.wake))
            self._wakers.add(task)
            task.add_done_callback(self._wakers.discard)

    async def _send_wake(self, key: str) -> None:
        # If this fails the read ends by itself after BLOCK_MS.
        with suppress(*TRANSIENT):
            await self._client.execute_command("XADD", key, "MAXLEN", "1", "*", FIELD, b"")
            await self._client.execute_command("EXPIRE", key, _WAKE_SECONDS)

    async def _read_chunk(self, chunk: _Chunk) -> None:
        connection: BlockingConnection | None = None
        backoff_s = 0.05
        try:
            while True:
                raise_if_cancelled()
                if not len(chunk):
                    chunk.changed.clear()
                    await chunk.changed.wait()
                try:
                    connection = connection or BlockingConnection(self._connect_blocking, chunk.wake)
                    await self._read_once(connection, chunk)
                    backoff_s = 0.05
                    await asyncio.sleep(PAUSE_S)
                except TRANSIENT as error:
                    metrics.BROKER_ERRORS.labels("read").inc()
                    log.debug("reading streams failed: %s", type(error).__name__)
                    if connection:
                        await connection.aclose()
                    connection = None
                    await self._clock.sleep(backoff_s)
                    backoff_s = min(backoff_s * 2, 1.0)
        finally:
            if connection:
                await connection.aclose()

    async def _read_once(self, connection: BlockingConnection, chunk: _Chunk) -> None:
        chunk.changed.clear()
        asked = chunk.streams.positions()
        chunk.waiting = True
        try:
            answer = await connection.read(chunk.streams.command())
        finally:
            chunk.waiting = False
        for raw, entries in stream_pairs(answer):
            if raw == chunk.raw_wake:
                chunk.streams.put(raw, entries[-1][0])
            elif chunk.streams.position(raw) == asked[raw]:  # else subscribed anew meanwhile, from elsewhere
                self._deliver(chunk, raw, entries)

    def _deliver(self, chunk: _Chunk, raw: bytes, entries: list[Any]) -> None:
        callback = self._callbacks[raw]
        chunk.streams.put(raw, entries[-1][0])
        metrics.BROKER_READS.inc(len(entries))
        batch = [(entry_id.decode(), _data(fields)) for entry_id, fields in entries if fields]
        try:
            callback(raw.decode(), batch)
        except Exception:
            log.exception("a stream's callback failed; its %d entries were skipped", len(batch))


def stream_pairs(answer: Any) -> list[tuple[bytes, list[Any]]]:
    """Return the (key, entries) pairs of an XREAD or XREADGROUP; none if the wait ran out."""
    if not answer:
        return []
    if isinstance(answer, dict):
        return list(answer.items())
    return [(key, entries) for key, entries in answer]


def _data(fields: Any) -> bytes:
    if isinstance(fields, dict):
        value = fields.get(FIELD, b"")
    else:
        value = fields[fields.index(FIELD) + 1] if FIELD in fields else b""
    return bytes(value)


def _shard_in(raw: bytes) -> int:
    start = raw.index(b"{") + 1
    return int(raw[start : raw.index(b"}", start)])
