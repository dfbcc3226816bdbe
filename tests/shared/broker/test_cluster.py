"""The broker, leases and session workers on a real Redis Cluster of three masters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest
from redis.crc import key_slot

from shared.broker import Broker
from shared.ended_sessions import EndedSessions
from shared.events import Event, Notice, SessionEnded, SessionStarted
from shared.leases import Lease, LeaseHolder, RequestQueue, ensure_group
from shared.ownership import list_ownership
from shared.presence import Presence, Status, list_processes
from shared.session_worker import Publisher, SessionWorker
from shared.streams import new_session_id, request_stream
from shared.testing.brokers import running
from shared.testing.cluster import N_SLOTS, ClusterServers
from shared.wire import AudioFrame, decode_audio


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterServers]:
    with ClusterServers() as servers:
        yield servers


@pytest.fixture
async def cluster_broker(cluster: ClusterServers) -> AsyncIterator[Broker]:
    async with running(Broker.open(cluster.url)) as broker:
        await broker.ping()
        await broker.client.flushall(target_nodes="primaries")
        yield broker


class Inbox:
    """Collects entries by stream and lets a test wait for a number of them."""

    def __init__(self) -> None:
        self.entries: dict[str, list[bytes]] = {}
        self._arrived = asyncio.Event()

    def __call__(self, key: str, entries: Sequence[tuple[str, bytes]]) -> None:
        self.entries.setdefault(key, []).extend(data for _, data in entries)
        self._arrived.set()

    async def until(self, n: int) -> None:
        async with asyncio.timeout(20):
            while sum(map(len, self.entries.values())) < n:
                self._arrived.clear()
                await self._arrived.wait()


async def test_frames_of_all_shards_arrive_in_order_on_every_node(cluster_broker: Broker) -> None:
    inbox = Inbox()
    keys = [f"sb:{{{shard:02d}}}:{session}:audio.in" for shard in range(16) for session in "abc"]
    nodes = {key_slot(key.encode()) * 3 // N_SLOTS for key in keys}
    assert nodes == {0, 1, 2}
    for key in keys:
        cluster_broker.reader.subscribe(key, "0", inbox)
    for seq in range(20):
        for key in keys:
            cluster_broker.publish_audio(key, AudioFrame(seq, 1920, (b"x",)))
    await inbox.until(20 * len(keys))
    for key in keys:
        assert [decode_audio(data).seq for data in inbox.entries[key]] == list(range(20))


async def test_a_stream_subscribed_later_in_a_shard_that_waits_is_read_at_once(cluster_broker: Broker) -> None:
    inbox = Inbox()
    cluster_broker.reader.subscribe("sb:{05}:a:events", "0", inbox)
    cluster_broker.writer.add("sb:{05}:a:events", b"1", maxlen=9)
    await inbox.until(1)
    cluster_broker.reader.subscribe("sb:{05}:b:events", "0", inbox)
    cluster_broker.writer.add("sb:{05}:b:events", b"2", maxlen=9)
    await inbox.until(2)


async def test_history_and_expiry_of_a_session(cluster_broker: Broker) -> None:
    for n in range(8):
        session_id = new_session_id(n)
        keys = cluster_broker.keys(session_id)
        event = Event("e", session_id, "voice", 1, 0, 0, Notice("a", "info", "b"))
        cluster_broker.publish_event(keys, event)
        assert await cluster_broker.writer.drain()
        assert (await cluster_broker.history(session_id))[0] == [event]
        await cluster_broker.expire(session_id, 50)
        assert 0 < await cluster_broker.client.ttl(keys.events) <= 50


async def test_leases_are_admitted_kept_taken_over_and_finished(cluster_broker: Broker) -> None:
    stream, queue = request_stream("voice", "echo"), RequestQueue(cluster_broker)
    await ensure_group(cluster_broker.client, stream)

    def holder(name: str, granted: list[Lease], lost: list[Lease]) -> LeaseHolder:
        return LeaseHolder(
            cluster_broker,
            stream,
            consumer=name,
            capacity=2,
            lease_s=0 if name == "b" else 60,
            on_grant=granted.append,
            on_lost=lost.append,
        )

    a_got, a_lost, b_got, b_lost = [], [], [], []  # type: list[Lease], list[Lease], list[Lease], list[Lease]
    a, b = holder("a", a_got, a_lost), holder("b", b_got, b_lost)
    assert (await queue.admit(stream, new_session_id(1), {}, by_slots=True)).outcome == "nobody"
    await a._beat()
    outcomes = [(await queue.admit(stream, new_session_id(n), {"n": "1"}, by_slots=True)).outcome for n in range(3)]
    assert outcomes == ["admitted", "admitted", "full"]
    assert await queue.capacity(stream) == (2, 2)
    client = cluster_broker.connect_blocking()
    await a._read_new(client)
    await client.aclose()
    assert [lease.epoch for lease in a_got] == [1, 1]
    await b._take_over()
    assert [lease.epoch for lease in b_got] == [2, 2]
    owned = await list_ownership(cluster_broker)
    assert {(one.session_id, one.owner, one.epoch) for one in owned} == {(lease.session_id, "b", 2) for lease in b_got}
    await a._beat()
    assert {lease.session_id for lease in a_lost} == {lease.session_id for lease in b_got}
    await b.finish(b_got[0])
    assert await b.hand_over(b_got[1])
    await a._take_over()
    assert a_got[-1].epoch == 3
    await a.finish(a_got[-1])
    assert await queue.capacity(stream) == (2, 0)
    await a.leave()


class Echoing:
    """A handler that answers every voice event once."""

    def __init__(self, publisher: Publisher, closed: asyncio.Queue[str]) -> None:
        self._publisher, self._closed = publisher, closed

    def restore(self, history: Sequence[Event]) -> None:
        self.history = history

    async def on_event(self, event: Event) -> None:
        if event.source == "voice":
            self._publisher.publish(Notice("n", "info", "m"), event_id=f"coach:{event.id}", media_ms=1)

    async def close(self, reason: str) -> None:
        self._closed.put_nowait(f"{self._publisher.session_id} {reason}")


async def test_sessions_of_every_node_are_served_to_their_end(cluster_broker: Broker) -> None:
    broker, stream = cluster_broker, request_stream("coach")
    await ensure_group(broker.client, stream)
    closed: asyncio.Queue[str] = asyncio.Queue()
    worker = SessionWorker(
        broker, "coach", lambda _, publisher: Echoing(publisher, closed), consumer="c", capacity=20, lease_s=1
    )
    stopping = asyncio.Event()
    task = asyncio.create_task(worker.run(stopping))
    ids = [new_session_id(n) for n in range(12)]
    async with asyncio.timeout(20):
        for session_id in ids:  # a session begins before anybody is asked to serve it
            begun = Event("begun", session_id, "edge", 1, 0, 0, SessionStarted("echo", "en"))
            broker.publish_event(broker.keys(session_id), begun)
        await broker.writer.drain()
        for session_id in ids:
            await RequestQueue(broker).admit(stream, session_id, {}, by_slots=False)
        while len(worker.sessions) < 12:
            await asyncio.sleep(0)
        for session_id in ids:
            for name, body in (("v", Notice("a", "info", "b")), ("end", SessionEnded("client_closed"))):
                source = "edge" if name == "end" else "voice"
                broker.publish_event(broker.keys(session_id), Event(name, session_id, source, 1, 0, 0, body))  # type: ignore[arg-type]
        assert {await closed.get() for _ in ids} == {f"{session_id} ended" for session_id in ids}
        stopping.set()
        await task
    assert await broker.client.xlen(stream) == 0


async def test_processes_tell_of_themselves(cluster_broker: Broker) -> None:
    task = asyncio.create_task(Presence(cluster_broker, "coach", "c1", lambda: Status("ready")).run())
    async with asyncio.timeout(10):
        while not (found := await list_processes(cluster_broker)):
            await asyncio.sleep(0)
    assert [info.worker_id for info in found] == ["c1"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await list_processes(cluster_broker) == []


async def test_a_node_that_dies_holds_up_its_own_shards_only(cluster: ClusterServers, cluster_broker: Broker) -> None:
    inbox = Inbox()
    by_node = {key_slot(key.encode()) * 3 // N_SLOTS: key for key in (f"sb:{{{n:02d}}}:s:events" for n in range(16))}
    for node, key in by_node.items():
        cluster_broker.reader.subscribe(key, "0", inbox)
        cluster_broker.writer.add(key, b"before %d" % node, maxlen=9)
    await inbox.until(3)
    dead = cluster.nodes[1]
    dead.kill()
    try:
        for node, key in by_node.items():
            cluster_broker.writer.add(key, b"during %d" % node, maxlen=9)
        await inbox.until(5)
        assert b"during 1" not in inbox.entries[by_node[1]]
    finally:
        dead.start()
    await inbox.until(6)
    assert inbox.entries[by_node[1]] == [b"before 1", b"during 1"]
    assert await cluster_broker.writer.drain(10)


async def test_the_list_of_ended_sessions_is_on_one_node(cluster_broker: Broker) -> None:
    ended = EndedSessions(cluster_broker.client)
    session_id = new_session_id(1)
    assert await ended.add(session_id, 0)
    assert [each.tries for each in await ended.claim(4)] == [1]
    await ended.postpone(session_id, 0)
    assert [each.session_id for each in await ended.claim(4)] == [session_id]
    await ended.renew(session_id)
    await ended.remove(session_id)
    assert (await ended.waiting(), await ended.listed(session_id)) == (0, False)
