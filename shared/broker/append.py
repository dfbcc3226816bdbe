"""Sends many XADDs at once and returns Redis' answer to each. Two ways, one interface."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from redis.exceptions import RedisError

from shared.broker.blocking import bulk
from shared.broker.connection import CALL_TIMEOUT_S, TRANSIENT, RedisClient

FIELD = b"m"
"""The one field of every stream entry."""


@dataclass(slots=True)
class Entry:
    """Something to append to a stream, trimmed to about `maxlen` entries. `droppable`: live audio."""

    key: str
    data: bytes
    maxlen: int
    droppable: bool


class Appender(Protocol):
    """Appends entries in order."""

    async def append(self, batch: Sequence[Entry]) -> list[object]:
        """Return each entry's id, or the error that it met. Raises what a lost connection raises."""
        ...

    async def aclose(self) -> None:
        """Close what is its own."""
        ...


class PipelineAppender:
    """Through the client's own pipeline: on a Cluster it finds each key's node."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def append(self, batch: Sequence[Entry]) -> list[object]:
        pipe = self._client.pipeline(transaction=False)
        for entry in batch:
            pipe.execute_command("XADD", entry.key, "MAXLEN", "~", entry.maxlen, "*", FIELD, entry.data)
        answers: list[object] = await pipe.execute(raise_on_error=False)
        return answers

    async def aclose(self) -> None:
        """Nothing is its own."""


class ConnectionAppender:
    """Over one connection that is kept: a fifth of the pipeline's cost for a frame that goes alone."""

    def __init__(self, connect_blocking: Callable[[], RedisClient]) -> None:
        self._connect_blocking = connect_blocking
        self._client: RedisClient | None = None
        self._connection: Any = None

    async def append(self, batch: Sequence[Entry]) -> list[object]:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                connection = self._connection or await self._connect()
                await connection.send_packed_command(b"".join(map(packed, batch)), check_health=False)
                return [await _answer(connection) for _ in batch]
        except BaseException:
            await self.aclose()  # answers that were not read would be taken for those of the next batch
            raise

    async def aclose(self) -> None:
        client, self._client = self._client, None
        connection, self._connection = self._connection, None
        with suppress(*TRANSIENT, asyncio.CancelledError):
            if connection is not None:
                await connection.disconnect(nowait=True)
            if client is not None:
                await client.aclose()

    async def _connect(self) -> Any:
        self._client = self._connect_blocking()
        self._connection = await self._client.connection_pool.get_connection()
        return self._connection


def packed(entry: Entry) -> bytes:
    """Return the entry's XADD in the Redis protocol."""
    return b"*8\r\n$4\r\nXADD\r\n%b$6\r\nMAXLEN\r\n$1\r\n~\r\n%b$1\r\n*\r\n$1\r\n%b\r\n%b" % (
        bulk(entry.key.encode()),
        bulk(b"%d" % entry.maxlen),
        FIELD,
        bulk(entry.data),
    )


async def _answer(connection: Any) -> object:
    """Return the next answer; an error reply is a value here, a broken connection is raised."""
    try:
        return await connection.read_response()
    except RedisError as error:
        if not connection.is_connected:
            raise
        return error
