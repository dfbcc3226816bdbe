"""Fixtures that every test may use: a real Redis server (one per run), and brokers on it and on its fake."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from xdist.scheduler import LoadScopeScheduling

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
async def running_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    """The whole product as a user starts it: `splitbrain up`, English, local models; one for the run."""
    # Preparing phrases would take a core from the tests beside it; without it an answer comes a little later.
    env = {
        "SPLITBRAIN_VOICE_WARM_PHRASES": "false",
        "SPLITBRAIN_EVALUATOR_RECORDINGS": str(tmp_path_factory.mktemp("recordings")),
    }
    async with own_deployment("--language", "en", env=env) as deployment:
        yield deployment


GROUPS = {
    "pipeline/test_real_stack": "stack",
    "browser/test_conversation": "stack",
    "browser/": "browser",
    "voice_worker/hosts/": "speech",
    "voice_worker/speech/": "speech",
    "broker/test_cluster": "cluster",
}
"""Parts of a test's path -> the heavy thing that it shares with others: a whole stack, a browser, speech models."""

ORDER = tuple(dict.fromkeys(GROUPS.values()))


def group_of(nodeid: str) -> str:
    """Return the group of a test, "" if it shares nothing heavy."""
    return next((group for part, group in GROUPS.items() if part in nodeid), "")


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Sends the tests of a group to one process, all others one by one.

    pytest-xdist's own way, `--dist loadgroup`, does nothing with pytest 9: it renames tests, which has no effect there.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid) or nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the heavy groups: one that starts last would run alone at the end."""
    items.sort(key=lambda item: ORDER.index(group) if (group := group_of(item.nodeid)) else len(ORDER))
