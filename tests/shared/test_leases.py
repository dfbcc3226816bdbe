"""Ownership by pending entries: admission, heartbeat, takeover, fencing; on a real server and on the fake."""

from __future__ import annotations

import asyncio

import pytest

from shared.broker import Broker
from shared.leases import Lease, LeaseHolder, RequestQueue, ensure_group
from shared.streams import new_session_id, request_stream

STREAM = request_stream("voice", "echo")


class Owner:
    """A lease holder with its grants and losses; steps are called by hand, so that no test waits for time."""

    def __init__(self, broker: Broker, name: str, capacity: int = 2, lease_s: float = 0.05) -> None:
        self.granted: list[Lease] = []
        self.lost: list[Lease] = []
        self.holder = LeaseHolder(
            broker,
            STREAM,
            consumer=name,
            capacity=capacity,
            lease_s=lease_s,
            on_grant=self.granted.append,
            on_lost=self.lost.append,
        )

    async def take(self) -> list[Lease]:
        await self.holder._read_new(self.holder._client)
        return self.granted


@pytest.fixture
async def queue(broker: Broker) -> RequestQueue:
    await ensure_group(broker.client, STREAM)
    return RequestQueue(broker)


async def ask(queue: RequestQueue) -> str:
    return (await queue.admit(STREAM, new_session_id(1), {"language": "en"}, by_slots=True)).outcome


async def test_nobody_full_and_admitted_are_answered_at_once(broker: Broker, queue: RequestQueue) -> None:
    assert await ask(queue) == "nobody"
    owner = Owner(broker, "a", capacity=2)
    await owner.holder._beat()
    assert [await ask(queue) for _ in range(3)] == ["admitted", "admitted", "full"]
    granted = await owner.take()
    assert [lease.epoch for lease in granted] == [1, 1]
    assert granted[0].fields == {"language": "en"}
    assert await ask(queue) == "full"
    await owner.holder.finish(granted[0])
    assert await ask(queue) == "admitted"


async def test_two_edges_never_share_the_last_slot(broker: Broker, queue: RequestQueue) -> None:
    await Owner(broker, "a", capacity=5).holder._beat()
    outcomes = await asyncio.gather(*(ask(queue) for _ in range(20)))
    assert outcomes.count("admitted") == 5


async def test_a_heartbeat_keeps_what_is_owned_and_never_steals_back(broker: Broker, queue: RequestQueue) -> None:
    first, second = Owner(broker, "a", lease_s=60), Owner(broker, "b", lease_s=0)
    await first.holder._beat()
    await ask(queue)
    (lease,) = await first.take()
    await second.holder._take_over()
    (taken,) = second.granted
    assert (taken.session_id, taken.epoch, taken.taken_over) == (lease.session_id, 2, True)
    await first.holder._beat()
    assert first.lost == [lease]
    assert first.holder.held == ()
    await second.holder._beat()
    assert second.lost == []
    await first.holder.finish(lease)  # a late end by the old owner changes nothing
    assert await broker.client.xlen(STREAM) == 1


async def test_an_owner_that_beats_is_not_taken_over(broker: Broker, queue: RequestQueue) -> None:
    first, second = Owner(broker, "a", lease_s=60), Owner(broker, "b", lease_s=60)
    await first.holder._beat()
    await ask(queue)
    await first.take()
    await first.holder._beat()
    await second.holder._take_over()
    assert second.granted == []


async def test_a_handed_over_session_moves_at_once(broker: Broker, queue: RequestQueue) -> None:
    first, second = Owner(broker, "a", lease_s=60), Owner(broker, "b", lease_s=60)
    await first.holder._beat()
    await ask(queue)
    (lease,) = await first.take()
    assert await first.holder.hand_over(lease)
    await second.holder._take_over()
    assert [taken.epoch for taken in second.granted] == [2]
    assert not await first.holder.hand_over(lease)


async def test_a_full_or_leaving_worker_takes_nothing(broker: Broker, queue: RequestQueue) -> None:
    owner = Owner(broker, "a", capacity=1)
    await owner.holder._beat()
    await ask(queue)
    await owner.take()
    assert owner.holder.free == 0
    assert not owner.holder._room.is_set()
    owner.holder.set_accepting(False)
    await owner.holder._beat()
    assert await ask(queue) == "full"


async def test_runs_by_itself_from_request_to_end(broker: Broker, queue: RequestQueue) -> None:
    granted: asyncio.Queue[Lease] = asyncio.Queue()
    holder = LeaseHolder(
        broker, STREAM, consumer="a", capacity=1, lease_s=1, on_grant=granted.put_nowait, on_lost=lambda _: None
    )
    task = asyncio.create_task(holder.run())
    async with asyncio.timeout(10):
        while await ask(queue) == "nobody":
            await asyncio.sleep(0)
        lease = await granted.get()
        await holder.finish(lease)
    assert await broker.client.xlen(STREAM) == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await holder.leave()
    assert await ask(queue) == "nobody"


async def test_a_request_can_be_withdrawn(broker: Broker, queue: RequestQueue) -> None:
    await Owner(broker, "a").holder._beat()
    admission = await queue.admit(STREAM, new_session_id(1), {}, by_slots=True)
    await queue.withdraw(STREAM, admission.entry_id)
    assert await queue.capacity(STREAM) == (2, 0)
