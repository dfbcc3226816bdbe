"""Workers that are told to end while many sessions begin: they do, and no session is blamed for it."""

from __future__ import annotations

import asyncio

import pytest

from shared import session_feed
from shared.broker import Broker
from shared.dead_letters import DeadLetters
from shared.events import Role
from shared.leases import GROUP
from shared.session_feed import CALM_EPOCH, MAX_STARTS
from shared.session_worker import SessionWorker
from shared.streams import SessionKeys
from tests.shared.following import STREAM, Made, ask, say, worker

N_RESTLESS = 24


async def _ask_restless(broker: Broker) -> list[str]:
    """Ask for sessions that have had more owners than are taken without a look: each begins alone."""
    session_ids = [await ask(broker) for _ in range(N_RESTLESS)]
    taken = await broker.client.xreadgroup(GROUP, "dead", {STREAM: ">"}, count=N_RESTLESS)
    entry_ids = [entry_id for entry_id, _ in taken[0][1]]
    for _ in range(CALM_EPOCH + 1):
        await broker.client.xclaim(STREAM, GROUP, "dead", 0, entry_ids)
    return session_ids


async def _drain_while_they_begin(broker: Broker, name: str, n_begun: int) -> None:
    """Serve until so many have begun and all are held, then be told to end; it must in time."""
    made = Made()
    serving = SessionWorker(broker, "coach", made, consumer=name, capacity=2 * N_RESTLESS, lease_s=0.5)
    stopping = asyncio.Event()
    task = asyncio.create_task(serving.run(stopping))
    await made.until(n_begun)
    while len(serving.sessions) < N_RESTLESS:
        await asyncio.sleep(0.01)  # looks again: grants come with the heartbeats
    stopping.set()
    done, _ = await asyncio.wait({task}, timeout=5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert done, "it does not end"


async def test_a_worker_ends_while_many_sessions_wait_to_begin(
    real_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """redis-py can swallow the cancellation of a session that begins as another one is stopped (shared.clock)."""
    monkeypatch.setattr(session_feed, "SETTLE_S", 0.1)
    await _ask_restless(real_broker)
    await _drain_while_they_begin(real_broker, "a", 3)


async def test_workers_that_are_told_to_end_set_nothing_aside(
    real_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_feed, "SETTLE_S", 0.05)
    session_ids = await _ask_restless(real_broker)
    for n in range(MAX_STARTS + 1):
        await _drain_while_they_begin(real_broker, f"worker-{n}", 2)
        keys = [real_broker.keys(session_id).dead for session_id in session_ids]
        assert [await real_broker.client.hget(key, "coach:starts") for key in keys] == [None] * N_RESTLESS
    assert await DeadLetters(real_broker.client).all() == []


async def test_a_session_that_was_handed_over_well_begins_with_the_others(real_broker: Broker) -> None:
    """Drains add owners; only those since the last one that went on and left by itself make a session suspect."""
    (session_id, *_) = await _ask_restless(real_broker)
    keys = real_broker.keys(session_id)
    first, second = Made(), Made()
    async with worker(real_broker, first, "a", lease_s=0.5):
        await first.until()
        say(real_broker, session_id, "v1")
        while not any(handler.taken == ["v1", "coach:v1"] for handler in first.handlers):
            first.changed.clear()
            await first.changed.wait()
    epoch = int(await real_broker.client.hget(keys.dead, "coach:calm"))
    assert epoch > CALM_EPOCH
    counted: list[str] = []
    monkey = DeadLetters.count_start

    async def count(letters: DeadLetters, keys: SessionKeys, role: Role) -> int:
        counted.append(keys.state)
        return await monkey(letters, keys, role)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DeadLetters, "count_start", count)
        async with worker(real_broker, second, "b", lease_s=0.5) as serving:
            while session_id not in serving.sessions:
                second.changed.clear()
                await second.changed.wait()
    assert keys.state not in counted
