"""Brokers for tests: on a real server, and the in-memory twin on fakeredis with the same interface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from shared.broker import Broker
from shared.clock import Clock


@asynccontextmanager
async def running(broker: Broker) -> AsyncIterator[Broker]:
    """Run a broker's writer and reader for the length of the block, then close it."""
    task = asyncio.create_task(broker.run())
    try:
        yield broker
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await broker.aclose()


def fake_broker(n_shards: int = 16, clock: Clock | None = None, *, by_shard: bool = False) -> Broker:
    """Return a broker on a fresh in-memory fake: same commands and scripts, no server."""
    import fakeredis

    server = fakeredis.FakeServer()
    return Broker(
        fakeredis.FakeAsyncRedis(server=server),
        lambda: fakeredis.FakeAsyncRedis(server=server),
        n_shards=n_shards,
        by_shard=by_shard,
        clock=clock,
    )


def twin(broker: Broker) -> Broker:
    """Return a second process's view of a fake broker: own writer and reader, same data."""
    return Broker(broker.connect_blocking(), broker.connect_blocking, n_shards=broker.n_shards, clock=broker.clock)
