"""A real edge on a real Redis, and a worker that echoes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from services.edge.access_log import RedactedAccessLogger
from services.edge.app import EdgeApp
from services.edge.gate import Gate
from services.edge.hub import Hub
from services.edge.records import SessionRecords
from services.edge.session import Doors
from services.edge.settings import EdgeSettings
from shared.broker import Broker
from shared.streams import request_stream
from shared.testing.brokers import running
from shared.testing.echo_worker import EchoWorker

LIMIT_S = 10.0


@dataclass
class Edge:
    """A running edge."""

    settings: EdgeSettings
    hub: Hub
    app: EdgeApp
    broker: Broker
    runner: web.AppRunner
    client: aiohttp.ClientSession
    base: str
    stack: AsyncExitStack
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def connect(self, query: str = "", *, path: str = "/api/chat", **options: Any) -> Any:
        return self.client.ws_connect(f"{self.base}{path}{'?' + query if query else ''}", **options)

    async def until_idle(self) -> None:
        """Wait until no client is connected."""
        await until(lambda: self.app.connections == 0)


EdgeFactory = Callable[..., Awaitable[Edge]]


@asynccontextmanager
async def cancelled_at_end(work: Any) -> AsyncIterator[asyncio.Task[Any]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        while not task.done():  # a Redis call in flight may swallow one cancellation (Python 3.11's wait_for)
            task.cancel()
            await asyncio.wait({task}, timeout=0.5)
        if not task.cancelled():
            task.result()


@pytest.fixture
async def start_edge(real_redis_url: str) -> AsyncIterator[EdgeFactory]:
    """Start any number of edges with settings of their own; all are stopped at the end."""
    async with AsyncExitStack() as stack:

        async def start(*, redis_url: str = "", **overrides: Any) -> Edge:
            overrides.setdefault("engines", "echo")
            settings = EdgeSettings(host="127.0.0.1", port=0, **overrides)
            broker = await stack.enter_async_context(running(Broker.open(redis_url or real_redis_url)))
            doors = Doors(settings, broker, SessionRecords(broker, settings.retention, settings.max_session_s))
            hub = Hub(doors)
            app = EdgeApp(doors, hub, Gate(settings, broker.client, broker.clock))
            runner = web.AppRunner(app.application(), access_log_class=RedactedAccessLogger, shutdown_timeout=1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            await stack.enter_async_context(cancelled_at_end(hub.run()))
            client = await stack.enter_async_context(aiohttp.ClientSession())
            base = "http://{}:{}".format(*runner.addresses[0][:2])
            edge = Edge(settings, hub, app, broker, runner, client, base, stack)
            stack.push_async_callback(hub.drain, 3.0)
            if not redis_url:
                await until(lambda: hub.broker_up)
            return edge

        yield start


@pytest.fixture
async def edge(start_edge: EdgeFactory) -> Edge:
    return await start_edge()


@pytest.fixture
async def worker(real_redis_url: str) -> AsyncIterator[EchoWorker]:
    async with running(Broker.open(real_redis_url)) as broker:
        echo = EchoWorker(broker)
        async with cancelled_at_end(echo.run()):
            await until_served(broker)
            yield echo


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that has no event of its own."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.005)


async def until_served(broker: Broker, engine: str = "echo") -> None:
    """Wait until a live worker is known for the engine: its heartbeat has no event to wait for."""
    key = f"{{{request_stream('voice', engine)}}}:workers"
    async with asyncio.timeout(LIMIT_S):
        while not await broker.client.hlen(key):
            await asyncio.sleep(0.01)
