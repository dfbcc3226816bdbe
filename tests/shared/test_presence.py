"""What processes say of themselves: kept fresh, removed at the end, stale ones swept."""

from __future__ import annotations

import asyncio
import json
import os

from shared.broker import Broker
from shared.clock import ManualClock
from shared.presence import STALE_MS, Presence, ProcessInfo, Status, ask_to_drain, list_processes
from shared.streams import DRAIN_TTL_S, PROCESSES_KEY, drain_key
from shared.testing.brokers import fake_broker


async def test_an_entry_follows_its_process_and_goes_with_it(broker: Broker) -> None:
    state = Status("starting")
    task = asyncio.create_task(Presence(broker, "voice", "v1", lambda: state).run())
    async with asyncio.timeout(10):
        while not (found := await list_processes(broker)):
            await asyncio.sleep(0)
        assert (found[0].role, found[0].worker_id, found[0].state) == ("voice", "v1", "starting")
        assert found[0].pid == os.getpid()
        state = Status("ready", ("s1", "s2"), "echo", "http://x")
        while (found := await list_processes(broker))[0].state != "ready":
            await asyncio.sleep(0)
    assert (found[0].sessions, found[0].detail, found[0].url) == (("s1", "s2"), "echo", "http://x")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await list_processes(broker) == []


async def test_the_dead_are_swept_and_the_living_sorted() -> None:
    clock = ManualClock()
    broker = fake_broker(clock=clock)
    tasks = [
        asyncio.create_task(Presence(broker, role, name, lambda: Status("ready")).run())
        for role, name in (("voice", "v2"), ("coach", "c1"), ("voice", "v1"))
    ]
    await clock.advance(0)
    while await broker.client.hlen(PROCESSES_KEY) < 3:
        await asyncio.sleep(0)
    dead = {**json.loads(await broker.client.hget(PROCESSES_KEY, "v1")), "worker_id": "gone"}
    dead["seen_ms"] -= STALE_MS + 1
    await broker.client.hset(PROCESSES_KEY, "gone", json.dumps(dead))
    assert [info.worker_id for info in await list_processes(broker)] == ["c1", "v1", "v2"]
    assert await broker.client.hlen(PROCESSES_KEY) == 3
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await broker.aclose()


async def test_a_process_whose_clock_is_wrong_is_seen_like_any_other(broker: Broker) -> None:
    """Its entry would be swept at once, or outlive it."""
    for ahead_ms in (-3_600_000, 3_600_000):
        clock = ManualClock(wall_ms=broker.clock.wall_ms() + ahead_ms)
        wrong = Broker(broker.connect_blocking(), broker.connect_blocking, n_shards=broker.n_shards, clock=clock)
        task = asyncio.create_task(Presence(wrong, "voice", "v1", lambda: Status("ready")).run())
        async with asyncio.timeout(10):
            while not await broker.client.hlen(PROCESSES_KEY):
                await asyncio.sleep(0)
        for reader in (broker, wrong):
            assert [info.worker_id for info in await list_processes(reader)] == ["v1"]
        raw = json.loads(await broker.client.hget(PROCESSES_KEY, "v1"))
        await broker.client.hset(PROCESSES_KEY, "v1", json.dumps({**raw, "seen_ms": raw["seen_ms"] - STALE_MS - 1}))
        assert await list_processes(wrong) == []
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await wrong.aclose()


async def test_a_newer_release_may_say_more() -> None:
    broker = fake_broker()
    task = asyncio.create_task(Presence(broker, "voice", "v1", lambda: Status("ready")).run())
    while not (raw := await broker.client.hget(PROCESSES_KEY, "v1")):
        await asyncio.sleep(0)
    await broker.client.hset(PROCESSES_KEY, "v2", json.dumps({**json.loads(raw), "worker_id": "v2", "gpu": "big"}))
    assert [info.worker_id for info in await list_processes(broker)] == ["v1", "v2"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await broker.aclose()


async def test_a_request_to_drain_reaches_the_process_that_was_meant(broker: Broker) -> None:
    asked = asyncio.Event()
    task = asyncio.create_task(Presence(broker, "voice", "v1", lambda: Status("ready"), asked.set).run())
    async with asyncio.timeout(10):
        while not (found := await list_processes(broker)):
            await asyncio.sleep(0)
        await ask_to_drain(broker, found[0])
        assert 0 < await broker.client.ttl(drain_key("v1")) <= DRAIN_TTL_S
        await asked.wait()
        while await broker.client.exists(drain_key("v1")):
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_request_to_drain_never_hits_a_later_process_of_the_same_name() -> None:
    clock = ManualClock()
    broker = fake_broker(clock=clock)
    asked: list[str] = []
    earlier = ProcessInfo("v1", "voice", "h", 1, "ready", clock.wall_ms() - 1, 0)
    await ask_to_drain(broker, earlier)
    task = asyncio.create_task(
        Presence(broker, "voice", "v1", lambda: Status("ready"), lambda: asked.append("v1")).run()
    )
    await clock.advance(0)
    while await broker.client.exists(drain_key("v1")):
        await asyncio.sleep(0)
    assert asked == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await broker.aclose()
