"""Ownership by pending entries: admission, heartbeat, takeover, fencing; on a real server and on the fake."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shared.broker import Broker
from shared.clock import ManualClock
from shared.leases import Lease, LeaseHolder, RequestQueue, ensure_group
from shared.redis_server import RedisServer
from shared.streams import new_session_id, request_stream
from shared.testing.brokers import fake_broker, running

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


async def test_a_request_that_follows_another_begins_above_its_epochs(broker: Broker, queue: RequestQueue) -> None:
    first, second = Owner(broker, "a", capacity=3, lease_s=60), Owner(broker, "b", capacity=3, lease_s=0)
    await first.holder._beat()
    for base in ("0", "7", "what"):
        await queue.admit(STREAM, new_session_id(1), {"language": "en", "epoch_base": base}, by_slots=True)
    leases = await first.take()
    assert [(lease.epoch, lease.taken_over) for lease in leases] == [(1, False), (8, True), (1, False)]
    assert leases[1].fields == {"language": "en"}
    await second.holder._take_over()
    assert [lease.epoch for lease in second.granted] == [2, 9, 2]


async def test_a_leaving_worker_knows_what_others_have_room_for(broker: Broker, queue: RequestQueue) -> None:
    leaving, other = Owner(broker, "a", capacity=2), Owner(broker, "b", capacity=1)
    await leaving.holder._beat()
    assert await leaving.holder.others_free() == 0
    await ask(queue)
    await leaving.take()
    await other.holder._beat()
    assert await leaving.holder.others_free() == 1
    assert await other.holder.others_free() == 1
    leaving.holder.set_accepting(False)
    await leaving.holder.announce()
    assert await other.holder.others_free() == 0, "its own session is all that it serves"
    await ask(queue)
    assert await leaving.holder.others_free() == 0, "somebody waits for that place already"


async def test_what_was_handed_over_and_is_not_taken_yet_fills_a_place(broker: Broker, queue: RequestQueue) -> None:
    leaving, other = Owner(broker, "a", capacity=2, lease_s=60), Owner(broker, "b", capacity=1, lease_s=60)
    await leaving.holder._beat()
    await ask(queue)
    await ask(queue)
    first, second = await leaving.take()
    await other.holder._beat()
    assert await leaving.holder.others_free() == 1
    assert await leaving.holder.hand_over(first)
    assert await leaving.holder.others_free() == 0, "else the second one would be handed over into the same place"
    await other.holder._take_over()
    assert [lease.session_id for lease in other.granted] == [first.session_id]
    assert await leaving.holder.others_free() == 0
    await other.holder.finish(other.granted[0])
    assert await leaving.holder.others_free() == 1
    assert leaving.holder.held == (second,)


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


async def test_what_is_gone_and_what_was_taken_over_are_told_apart(
    broker: Broker, queue: RequestQueue, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Owner(broker, "a", lease_s=60), Owner(broker, "b", lease_s=0)
    await first.holder._beat()
    await ask(queue)
    (lease,) = await first.take()
    await queue.withdraw(STREAM, lease.entry_id)
    await first.holder._beat()
    assert first.lost == [lease]
    assert "is gone" in caplog.text
    assert "taken over" not in caplog.text
    await ask(queue)
    await first.take()
    await second.holder._take_over()
    await first.holder._beat()
    assert first.lost == first.granted
    assert "was taken over by another worker" in caplog.text


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


async def test_what_comes_in_beyond_the_last_slot_is_passed_on(real_broker: Broker) -> None:
    """A read that waits for a request and a takeover ask for the same free slot: only one may fill it."""
    broker, queue = real_broker, RequestQueue(real_broker)  # the fake wakes a blocked read with nothing
    await ensure_group(broker.client, STREAM)
    first, second = Owner(broker, "a", capacity=2, lease_s=60), Owner(broker, "b", capacity=1, lease_s=0)
    await first.holder._beat()
    await ask(queue)
    await first.take()
    client = broker.connect_blocking()
    waiting = asyncio.create_task(second.holder._read_new(client))
    await second.holder._take_over()
    assert [lease.epoch for lease in second.granted] == [2]
    await ask(queue)
    await asyncio.wait_for(waiting, 10)
    assert len(second.granted) == 1
    await first.holder._beat()  # its own session was taken over, so it has room
    third = Owner(broker, "c", capacity=2, lease_s=60)
    await third.holder._take_over()
    assert len(third.granted) == 1  # at once, though its lease is a minute
    await client.aclose()


async def test_a_worker_that_begins_to_leave_grants_nothing_that_still_comes_in(real_broker: Broker) -> None:
    broker, queue = real_broker, RequestQueue(real_broker)
    await ensure_group(broker.client, STREAM)
    leaving, other = Owner(broker, "a", lease_s=60), Owner(broker, "b", lease_s=60)
    await leaving.holder._beat()
    client = broker.connect_blocking()
    waiting = asyncio.create_task(leaving.holder._read_new(client))
    await asyncio.sleep(0)
    assert await ask(queue) == "admitted"
    leaving.holder.set_accepting(False)
    await asyncio.wait_for(waiting, 10)
    assert leaving.granted == []
    await other.holder._take_over()
    assert len(other.granted) == 1
    await client.aclose()


async def test_an_alien_request_does_not_stop_the_holder(broker: Broker, queue: RequestQueue) -> None:
    owner = Owner(broker, "a")
    await broker.client.xadd(STREAM, {b"sid": b"\xff\xfe"})
    (lease,) = await owner.take()
    assert lease.session_id == "\ufffd\ufffd"


async def test_sessions_are_kept_while_redis_is_away(tmp_path: Path) -> None:
    """For much longer than the lease: nobody can take a session over, so nobody has to let one go."""
    lease_s = 0.2
    with RedisServer(append_only=True, folder=tmp_path) as server:
        async with running(Broker.open(server.url)) as broker:
            await broker.client.config_set("appendfsync", "always")
            await ensure_group(broker.client, STREAM)
            owners = [Owner(broker, name, capacity=3, lease_s=lease_s) for name in "ab"]
            tasks = [asyncio.create_task(owner.holder.run()) for owner in owners]
            queue = RequestQueue(broker)
            async with asyncio.timeout(30):
                while await queue.capacity(STREAM) != (6, 0):
                    await asyncio.sleep(0)
                for _ in range(4):
                    assert await ask(queue) == "admitted"
                while sum(len(owner.granted) for owner in owners) < 4:
                    await asyncio.sleep(0)
                before = [owner.holder.held for owner in owners]
                server.kill()
                failed_at = broker.clock.monotonic()
                while broker.clock.monotonic() - failed_at < 3.0:  # as long as a restart takes
                    await asyncio.sleep(0.05)
                server.start()
                beats = [owner.holder._last_beat for owner in owners]
                while any(owner.holder._last_beat == beat for owner, beat in zip(owners, beats, strict=True)):
                    await asyncio.sleep(0)
                for owner in owners:  # one more takeover attempt each, now that calls succeed
                    await owner.holder._beat()
                    await owner.holder._take_over()
            assert [owner.holder.held for owner in owners] == before
            assert [owner.lost for owner in owners] == [[], []]
            assert all(lease.epoch == 1 for owner in owners for lease in owner.holder.held)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_requests_made_after_redis_lost_its_memory_are_served(tmp_path: Path) -> None:
    """A Redis without persistence forgets the group too: the holder makes it anew."""
    with RedisServer(folder=tmp_path) as server:
        async with running(Broker.open(server.url)) as broker:
            owner = Owner(broker, "a", lease_s=0.2)
            task = asyncio.create_task(owner.holder.run())
            queue = RequestQueue(broker)
            async with asyncio.timeout(30):
                while await ask(queue) != "admitted":
                    await asyncio.sleep(0)
                while not owner.granted:
                    await asyncio.sleep(0)
                server.kill()
                server.start()
                while not owner.lost:  # what Redis does not know, nobody owns
                    await asyncio.sleep(0)
                while len(owner.granted) < 2:
                    with_room = await queue.capacity(STREAM)
                    if with_room[0] and not with_room[1]:
                        await ask(queue)
                    await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_holder_that_met_a_failure_takes_nothing_over_for_a_lease() -> None:
    """After an outage every lease looks idle: whoever beats first must not take what the others still serve."""
    clock = ManualClock()
    broker = fake_broker(clock=clock)
    owner = Owner(broker, "a", lease_s=1.0)
    await owner.holder._on_failure("keep", ConnectionError())
    taken: list[float] = []

    async def note() -> None:
        taken.append(clock.monotonic())

    owner.holder._take_over = note  # type: ignore[method-assign]
    task = asyncio.create_task(owner.holder._keep())
    start = clock.monotonic()
    for _ in range(8):
        await clock.advance(0.25)
        beat = owner.holder._last_beat
        while owner.holder._last_beat == beat and not task.done() and beat < clock.monotonic():
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert taken
    assert min(taken) > start + 1.0
    await broker.aclose()
