"""Any number of workers that echo, each for an engine of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from shared.broker import Broker
from shared.testing.brokers import running
from shared.testing.echo_worker import EchoWorker
from tests.services.edge.conftest import cancelled_at_end, until_served

StartWorker = Callable[..., Awaitable[EchoWorker]]


@pytest.fixture
async def start_worker(real_redis_url: str) -> AsyncIterator[StartWorker]:
    """Start a worker for an engine; all are stopped at the end."""
    async with AsyncExitStack() as stack:

        async def start(engine: str, capacity: int = 4) -> EchoWorker:
            broker = await stack.enter_async_context(running(Broker.open(real_redis_url)))
            worker = EchoWorker(broker, capacity=capacity, engine=engine, name=f"w-{engine}")
            await stack.enter_async_context(cancelled_at_end(worker.run()))
            await until_served(broker, engine)
            return worker

        yield start
