"""One connection that waits in XREAD for a set of streams.

A blocked read is sent anew with all its keys each time something comes in, hundreds of times a second, so its
bytes are kept ready: redis-py would pack every key and id again, which costs ten times as much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis.asyncio.cluster import RedisCluster

from shared.broker.connection import TRANSIENT, RedisClient

BLOCK_MS = 2_000
MAX_PER_READ = 256
_ANSWER_LIMIT_S = BLOCK_MS / 1000 + 3.0


def bulk(value: bytes) -> bytes:
    """Return a value as it stands in a command of the Redis protocol."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


_HEAD = b"".join(map(bulk, (b"XREAD", b"COUNT", b"%d" % MAX_PER_READ, b"BLOCK", b"%d" % BLOCK_MS, b"STREAMS")))
_HEAD_PARTS = 6


class ReadSet:
    """The streams of one XREAD and where each is read from. Keeps the command's bytes ready."""

    def __init__(self) -> None:
        self._ids: dict[bytes, bytes] = {}
        self._packed_ids: dict[bytes, bytes] = {}
        self._packed_keys: bytes | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, key: bytes) -> bool:
        return key in self._ids

    def positions(self) -> dict[bytes, bytes]:
        """Return stream -> the id after which it is read, as they are now."""
        return dict(self._ids)

    def position(self, key: bytes) -> bytes | None:
        """Return the id after which a stream is read, None for one that is not in the set."""
        return self._ids.get(key)

    def put(self, key: bytes, after_id: bytes) -> None:
        """Read `key` after `after_id` from the next command on."""
        if key not in self._ids:
            self._packed_keys = None
        self._ids[key] = after_id
        self._packed_ids[key] = bulk(after_id)

    def remove(self, key: bytes) -> None:
        """Leave `key` out of the next command."""
        if self._ids.pop(key, None) is not None:
            del self._packed_ids[key]
            self._packed_keys = None

    def command(self) -> bytes:
        """Return the XREAD of all streams, in the Redis protocol."""
        if self._packed_keys is None:
            keys = b"".join(map(bulk, self._ids))
            self._packed_keys = b"*%d\r\n%b%b" % (_HEAD_PARTS + 2 * len(self._ids), _HEAD, keys)
        return b"".join((self._packed_keys, *self._packed_ids.values()))


class BlockingConnection:
    """A connection of its own to the node that holds `key`. After an error, close it and make another."""

    def __init__(self, connect_blocking: Callable[[], RedisClient], key: str) -> None:
        self._client = connect_blocking()
        self._key = key
        self._connection: Any = None

    async def read(self, command: bytes) -> Any:
        """Send the command and return its answer; what Redis raises, or TimeoutError if none comes."""
        async with asyncio.timeout(_ANSWER_LIMIT_S):
            connection = self._connection or await self._connect()
            await connection.send_packed_command(command, check_health=False)
            return await connection.read_response()

    async def aclose(self) -> None:
        """Close, whatever is on its way."""
        with suppress(*TRANSIENT, asyncio.CancelledError):
            if self._connection is not None:
                await self._connection.disconnect(nowait=True)
            await self._client.aclose()

    async def _connect(self) -> Any:
        if isinstance(self._client, RedisCluster):
            await self._client.initialize()
            self._connection = self._client.get_node_from_key(self._key).acquire_connection()
            await self._connection.connect()
        else:
            self._connection = await self._client.connection_pool.get_connection()
        return self._connection
