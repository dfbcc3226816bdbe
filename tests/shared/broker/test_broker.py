"""The broker's writer and reader, on a real server and on the fake."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shared.broker import Broker, StreamWriter
from shared.broker.append import PipelineAppender
from shared.broker.blocking import BlockingConnection
from shared.broker.writer import WriterLimits
from shared.clock import ManualClock
from shared.errors import Overloaded
from shared.events import Consent, Event, TurnStarted
from shared.redis_server import RedisServer
from shared.retention import Retention, consent_to_state
from shared.streams import new_session_id
from shared.testing.brokers import fake_broker, running
from shared.wire import AudioFrame, decode_audio


class Collector:
    """Keeps what a stream delivers and lets a test wait for a number of entries."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, bytes]] = []
        self._arrived = asyncio.Event()

    def __call__(self, key: str, entries: list[tuple[str, bytes]]) -> None:
        self.entries.extend(entries)
        self._arrived.set()

    async def wait_for(self, n: int) -> list[bytes]:
        async with asyncio.timeout(10):
            while len(self.entries) < n:
                self._arrived.clear()
                await self._arrived.wait()
        return [data for _, data in self.entries]


async def test_reads_back_in_order_what_it_wrote(broker: Broker) -> None:
    seen = Collector()
    broker.reader.subscribe("sb:{03}:s:events", "0", seen)
    for n in range(300):
        broker.writer.add("sb:{03}:s:events", b"%d" % n, maxlen=1000)
    assert await seen.wait_for(300) == [b"%d" % n for n in range(300)]


async def test_a_stream_subscribed_while_the_reader_blocks_is_read_at_once(broker: Broker) -> None:
    first, second = Collector(), Collector()
    broker.reader.subscribe("sb:{03}:a:events", "0", first)
    broker.writer.add("sb:{03}:a:events", b"1", maxlen=10)
    await first.wait_for(1)
    broker.reader.subscribe("sb:{03}:b:events", "0", second)
    broker.writer.add("sb:{03}:b:events", b"2", maxlen=10)
    assert await second.wait_for(1) == [b"2"]


async def test_reads_from_the_given_position(broker: Broker) -> None:
    ids = [await broker.client.execute_command("XADD", "sb:{01}:s:events", "*", b"m", b"%d" % n) for n in range(3)]
    seen = Collector()
    broker.reader.subscribe("sb:{01}:s:events", ids[0].decode(), seen)
    assert await seen.wait_for(2) == [b"1", b"2"]


async def test_unsubscribed_streams_are_silent(broker: Broker) -> None:
    gone, kept = Collector(), Collector()
    broker.reader.subscribe("sb:{01}:gone:events", "0", gone)
    broker.reader.subscribe("sb:{01}:kept:events", "0", kept)
    broker.reader.unsubscribe("sb:{01}:gone:events")
    broker.writer.add("sb:{01}:gone:events", b"x", maxlen=10)
    broker.writer.add("sb:{01}:kept:events", b"y", maxlen=10)
    await kept.wait_for(1)
    assert gone.entries == []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The streams of every XREAD that was sent, without the wake streams."""
    commands: list[list[str]] = []
    read = BlockingConnection.read

    async def recording(self: BlockingConnection, command: bytes) -> object:
        parts = command.decode().split("\r\n")[2::2]
        streams = parts[parts.index("STREAMS") + 1 :]
        commands.append([key for key in streams[: len(streams) // 2] if ":wake:" not in key])
        return await read(self, command)

    monkeypatch.setattr(BlockingConnection, "read", recording)
    return commands


async def test_a_reader_by_shard_never_mixes_hash_tags(asked: list[list[str]]) -> None:
    async with running(fake_broker(by_shard=True)) as broker:
        seen = Collector()
        for shard in range(4):
            broker.reader.subscribe(f"sb:{{{shard:02d}}}:s:events", "0", seen)
            broker.writer.add(f"sb:{{{shard:02d}}}:s:events", b"%d" % shard, maxlen=10)
        await seen.wait_for(4)
    assert asked
    for keys in asked:
        assert len({key[key.index("{") : key.index("}")] for key in keys}) == 1


async def test_streams_of_one_kind_are_read_together(broker: Broker, asked: list[list[str]]) -> None:
    """A silent stream of events is not named again with each frame."""
    seen = Collector()
    for session in range(3):
        for kind in ("events", "audio.out"):
            broker.reader.subscribe(f"sb:{{00}}:{session}:{kind}", "0", seen)
            broker.writer.add(f"sb:{{00}}:{session}:{kind}", b"x", maxlen=10)
    await seen.wait_for(6)
    assert {frozenset(key.rpartition(":")[2] for key in keys) for keys in asked} == {
        frozenset({"events"}),
        frozenset({"audio.out"}),
    }


async def test_more_streams_than_one_chunk_holds(broker: Broker) -> None:
    seen = Collector()
    for n in range(300):
        broker.reader.subscribe(f"sb:{{{n % 16:02d}}}:{n}:events", "0", seen)
        broker.writer.add(f"sb:{{{n % 16:02d}}}:{n}:events", b"x", maxlen=10)
    await seen.wait_for(300)
    assert len(broker.reader) == 300


async def test_events_and_frames_survive_a_redis_that_is_away(tmp_path: Path) -> None:
    server = RedisServer(append_only=True, folder=tmp_path).start()
    health: list[bool] = []
    try:
        async with running(Broker.open(server.url)) as broker:
            broker.writer.on_health(health.append)
            seen = Collector()
            broker.reader.subscribe("sb:{00}:s:audio.in", "0", seen)
            broker.writer.add("sb:{00}:s:audio.in", b"before", maxlen=100, droppable=True)
            await seen.wait_for(1)
            server.stop()
            broker.writer.add("sb:{00}:s:audio.in", b"during", maxlen=100, droppable=True)
            async with asyncio.timeout(10):
                while broker.writer.up:
                    await asyncio.sleep(0)
            server.start()
            broker.writer.add("sb:{00}:s:audio.in", b"after", maxlen=100, droppable=True)
            assert await seen.wait_for(3) == [b"before", b"during", b"after"]
            assert await broker.writer.drain()
    finally:
        server.stop()
    assert health == [False, True]


@pytest.mark.parametrize("up", [True, False])
async def test_the_oldest_audio_gives_way_at_the_bound_and_is_counted(up: bool) -> None:
    """A burst has a bound of its own while Redis answers."""
    broker = fake_broker()
    shed: list[tuple[str, int]] = []
    limits = WriterLimits(max_audio_per_key=9 if up else 3, max_burst_per_key=3 if up else 9)
    writer = StreamWriter(PipelineAppender(broker.client), limits, ManualClock())
    writer._set_up(up, None)
    writer.on_shed(lambda key, n: shed.append((key, n)))
    for n in range(5):
        writer.add("a", encode(n), maxlen=10, droppable=True)
    writer.add("b", encode(9), maxlen=10, droppable=True)
    task = asyncio.create_task(writer.run())
    assert await writer.drain()
    task.cancel()
    kept = [decode_audio(fields[b"m"]).seq for _, fields in await broker.client.xrange("a")]
    assert kept == [2, 3, 4]
    assert shed == [("a", 1), ("a", 1)]
    await broker.aclose()


async def test_a_failure_that_is_long_ago_sheds_no_burst() -> None:
    """A writer with nothing to write does not notice that Redis is back."""
    broker, clock = fake_broker(), ManualClock()
    shed: list[tuple[str, int]] = []
    writer = StreamWriter(PipelineAppender(broker.client), WriterLimits(max_audio_per_key=3), clock)
    writer.on_shed(lambda key, n: shed.append((key, n)))
    writer._set_up(False, None)
    await clock.advance(6.0)
    for n in range(9):
        writer.add("a", encode(n), maxlen=10, droppable=True)
    assert shed == []
    await broker.aclose()


async def test_events_are_refused_never_dropped_at_the_bound() -> None:
    broker = fake_broker()
    writer = StreamWriter(PipelineAppender(broker.client), WriterLimits(max_entries=2))
    writer.add("e", b"1", maxlen=10)
    writer.add("e", b"2", maxlen=10)
    with pytest.raises(Overloaded, match="wait for Redis"):
        writer.add("e", b"3", maxlen=10)
    await broker.aclose()


async def test_an_entry_that_redis_will_never_take_does_not_block_the_others(broker: Broker) -> None:
    await broker.client.set("sb:{00}:string", "x")
    broker.writer.add("sb:{00}:string", b"1", maxlen=10)
    broker.writer.add("sb:{00}:fine", b"2", maxlen=10)
    assert await broker.writer.drain()
    assert await broker.client.xlen("sb:{00}:fine") == 1


async def test_a_full_redis_is_waited_for(real_broker: Broker) -> None:
    health: list[bool] = []
    real_broker.writer.on_health(health.append)
    seen = Collector()
    real_broker.reader.subscribe("sb:{00}:s:events", "0", seen)
    await real_broker.client.config_set("maxmemory", "1")
    try:
        real_broker.writer.add("sb:{00}:s:events", b"1", maxlen=10)
        async with asyncio.timeout(10):
            while real_broker.writer.up:
                await asyncio.sleep(0)
        real_broker.writer.add("sb:{00}:s:events", b"2", maxlen=10)
        assert seen.entries == []
    finally:
        await real_broker.client.config_set("maxmemory", "0")
    assert await seen.wait_for(2) == [b"1", b"2"]
    assert health == [False, True]


async def test_a_stream_subscribed_anew_is_read_from_its_new_position(broker: Broker) -> None:
    """The answer of a read that was asked for the old position must neither be given nor move the new one."""
    ids = [await broker.client.execute_command("XADD", "sb:{01}:s:events", "*", b"m", b"%d" % n) for n in range(3)]
    old, new = Collector(), Collector()
    broker.reader.subscribe("sb:{01}:s:events", ids[-1].decode(), old)
    chunk = broker.reader._chunk_of[b"sb:{01}:s:events"]
    async with asyncio.timeout(10):
        while not chunk.waiting:
            await asyncio.sleep(0)
    await broker.client.execute_command("XADD", "sb:{01}:s:events", "*", b"m", b"3")  # its answer is on the way
    broker.reader.subscribe("sb:{01}:s:events", "0", new)
    assert await new.wait_for(4) == [b"0", b"1", b"2", b"3"]
    assert old.entries == []


async def test_history_returns_all_events_and_where_to_go_on(broker: Broker) -> None:
    session_id = new_session_id(1)
    keys = broker.keys(session_id)
    events = [Event(f"e{n}", session_id, "voice", 1, n, 0, TurnStarted(f"u{n}", "user", n)) for n in range(3)]
    for event in events:
        broker.publish_event(keys, event)
    assert await broker.writer.drain()
    found, last = await broker.history(session_id)
    assert found == events
    assert last != "0"
    assert await broker.history(new_session_id(2)) == ([], "0")


async def test_streams_are_bounded(broker: Broker) -> None:
    for n in range(2_000):
        broker.writer.add("sb:{00}:s:events", b"%d" % n, maxlen=100)
    assert await broker.writer.drain()
    assert 100 <= await broker.client.xlen("sb:{00}:s:events") < 300


async def test_expire_reaches_every_key_of_a_session(broker: Broker) -> None:
    session_id = new_session_id(1)
    keys = broker.keys(session_id)
    await broker.client.hset(keys.state, "status", "ended")
    broker.publish_audio(keys.audio_in, AudioFrame(0, 1920, (b"x",)))
    broker.publish_audio(keys.audio_out, AudioFrame(0, 1920, (b"x",)))
    broker.publish_event(keys, Event("e", session_id, "voice", 1, 0, 0, TurnStarted("u1", "user", 0)))
    await broker.client.set(keys.scorecard, b"{}")
    await broker.client.hset(keys.dead, "coach:1-0", "ValueError")
    assert await broker.writer.drain()
    await broker.expire(session_id, 100)
    assert [0 < await broker.client.ttl(key) <= 100 for key in keys.all()] == [True] * 6


@pytest.mark.parametrize(("consent", "sound_s"), [(Consent(store_audio=True), 100), (Consent(), 10), (None, 10)])
async def test_an_ended_session_is_let_go_as_its_consent_allows(
    broker: Broker, consent: Consent | None, sound_s: int
) -> None:
    session_id = new_session_id(1)
    keys = broker.keys(session_id)
    if consent:
        await broker.client.hset(keys.state, mapping=consent_to_state(consent))
    broker.publish_audio(keys.audio_in, AudioFrame(0, 1920, (b"x",)))
    broker.publish_event(keys, Event("e", session_id, "voice", 1, 0, 0, TurnStarted("u1", "user", 0)))
    assert await broker.writer.drain()
    await broker.let_go(session_id, Retention(100, 10))
    assert sound_s - 5 <= await broker.client.ttl(keys.audio_in) <= sound_s
    assert 5 <= await broker.client.ttl(keys.events) <= 10


def encode(seq: int) -> bytes:
    from shared.wire import encode_audio

    return encode_audio(AudioFrame(seq, 1920, (b"x",)))
