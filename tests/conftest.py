"""Fixtures that every test may use: a real Redis server (one per run), and brokers on it and on its fake."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from services.command_line.deployment import Deployment, own_deployment
from shared.broker import Broker
from shared.redis_server import RedisServer
from shared.testing.brokers import fake_broker, running


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
async def real_redis_url(redis_server: RedisServer) -> str:
    """URL of the real server, emptied before each test."""
    broker = Broker.open(redis_server.url)
    await broker.client.flushall()
    await broker.aclose()
    return redis_server.url


@pytest.fixture
async def real_broker(real_redis_url: str) -> AsyncIterator[Broker]:
    async with running(Broker.open(real_redis_url)) as broker:
        yield broker


@pytest.fixture(params=["real", "fake"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    """A running broker, once on the real server and once on the fake."""
    if request.param == "real":
        server = request.getfixturevalue("redis_server")
        chosen = Broker.open(server.url)
        await chosen.client.flushall()
    else:
        chosen = fake_broker()
    async with running(chosen):
        yield chosen


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def running_stack() -> AsyncIterator[Deployment]:
    """The whole product as a user starts it: `splitbrain up`, English, local models; one for the run."""
    # Preparing phrases would take a core from the tests beside it; without it an answer comes a little later.
    async with own_deployment("--language", "en", env={"SPLITBRAIN_VOICE_WARM_PHRASES": "false"}) as deployment:
        yield deployment


GROUPS = ("stack", "browser", "speech", "cluster")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares something heavy, and begin with it, where tests run in several processes."""
    ranks: dict[str, int] = {}
    for item in items:
        group = _group(item)
        if group:
            item.add_marker(pytest.mark.xdist_group(group))
        ranks[item.nodeid] = GROUPS.index(group) if group else len(GROUPS)
    items.sort(key=lambda item: ranks[item.nodeid])


def _group(item: pytest.Item) -> str:
    names = set(getattr(item, "fixturenames", ()))
    if "running_stack" in names or "pipeline/test_real_stack" in item.nodeid:
        return "stack"
    if "chromium" in names:
        return "browser"
    if "/hosts/" in item.nodeid or "voice_worker/speech/" in item.nodeid:
        return "speech"
    return "cluster" if "broker/test_cluster" in item.nodeid else ""
