"""The voice worker on a real Redis and on the fake: sessions from request to end, takeover, drain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from services.voice_worker.engines.base import EngineHost, SessionSpec, VoiceEngine
from services.voice_worker.engines.echo import EchoEngine, EchoSession
from services.voice_worker.worker import VoiceWorker, WorkerLimits
from shared.broker import Broker
from shared.broker.reader import Entries
from shared.errors import EngineError
from shared.events import Body, Consent, EngineState, Event, Notice, SessionEnded, SessionStarted
from shared.leases import RequestQueue
from shared.retention import Retention, consent_to_state
from shared.streams import new_session_id, request_stream
from shared.testing.brokers import running, twin
from shared.wire import AudioFrame, decode_audio, decode_event

B = TypeVar("B")
STREAM = request_stream("voice", "echo")
LIMITS = WorkerLimits(lease_s=0.4, drain_s=0, retention=Retention(60, 20), step_s=0.05)


class Client:
    """Plays the edge's part for one session."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.session_id = new_session_id(1)
        self.keys = broker.keys(self.session_id)
        self.frames: list[AudioFrame] = []
        self.events: list[Event] = []
        self._changed = asyncio.Event()
        broker.reader.subscribe(self.keys.audio_out, "0", self._on_audio)
        broker.reader.subscribe(self.keys.events, "0", self._on_events)

    async def ask(self, *, begun: bool = True) -> str:
        if begun:
            self.publish(SessionStarted("echo", "en"), "edge:session_started")
        await self.broker.writer.drain()
        queue = RequestQueue(self.broker)
        async with asyncio.timeout(10):
            while True:
                admission = await queue.admit(STREAM, self.session_id, {}, by_slots=True)
                if admission.outcome != "nobody":
                    return admission.outcome

    def publish(self, body: Body, event_id: str) -> None:
        self.broker.publish_event(self.keys, Event(event_id, self.session_id, "edge", 0, 0, 0, body))

    def send(self, *numbers: int) -> None:
        for n in numbers:
            self.broker.publish_audio(self.keys.audio_in, AudioFrame(n, 1920, (b"p%d" % n,)))

    def states(self) -> list[str]:
        return [event.body.state for event in self.events if isinstance(event.body, EngineState)]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(15):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _on_audio(self, key: str, entries: Entries) -> None:
        self.frames.extend(decode_audio(data) for _, data in entries)
        self._changed.set()

    def _on_events(self, key: str, entries: Entries) -> None:
        self.events.extend(decode_event(data) for _, data in entries)
        self._changed.set()


@asynccontextmanager
async def working(
    broker: Broker, name: str = "a", engine: VoiceEngine | None = None, limits: WorkerLimits = LIMITS
) -> AsyncIterator[tuple[VoiceWorker, asyncio.Event, asyncio.Task[None]]]:
    worker = VoiceWorker(broker, [engine or EchoEngine(2)], None, consumer=name, limits=limits)
    stopping = asyncio.Event()
    task = asyncio.create_task(worker.run(stopping))
    try:
        yield worker, stopping, task
    finally:
        stopping.set()
        async with asyncio.timeout(10):
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def other(broker: Broker) -> AsyncIterator[Broker]:
    """A second process's view of the same Redis."""
    async with running(twin(broker)) as second:
        yield second


@pytest.fixture
async def edge(broker: Broker) -> AsyncIterator[Broker]:
    """The edge's view of it: a reader has one callback for each stream, and a client's is not the worker's."""
    async with running(twin(broker)) as third:
        yield third


async def test_serves_a_session_from_request_to_end(broker: Broker, edge: Broker) -> None:
    async with working(broker) as (worker, _, _):
        client = Client(edge)
        assert await client.ask() == "admitted"
        await client.until(lambda: "ready" in client.states())
        client.send(0, 1, 2)
        await client.until(lambda: len(client.frames) == 3)
        assert [frame.packets for frame in client.frames] == [(b"p0",), (b"p1",), (b"p2",)]
        assert [frame.seq for frame in client.frames] == [0, 1, 2]
        assert {frame.epoch for frame in client.frames} == {1}
        assert worker.sessions == (client.session_id,)
        client.publish(SessionEnded("client_closed"), "edge:session_ended")
        async with asyncio.timeout(10):
            while await broker.client.xlen(STREAM):
                await asyncio.sleep(0)
            while await broker.client.ttl(client.keys.events) < 0:
                await asyncio.sleep(0)
        assert worker.sessions == ()
        assert await broker.client.ttl(client.keys.events) <= 20
        assert await broker.client.ttl(client.keys.audio_out) <= 20


async def test_a_worker_that_says_it_is_ready_can_be_asked_at_once(broker: Broker, edge: Broker) -> None:
    worker = VoiceWorker(broker, [EchoEngine(2)], None, consumer="a", limits=LIMITS)
    await worker.announce()
    queue = RequestQueue(edge)
    assert await queue.capacity(STREAM) == (2, 0)
    assert (await queue.admit(STREAM, new_session_id(1), {}, by_slots=True)).outcome == "admitted"


async def test_what_the_user_allows_is_kept_longer(broker: Broker, edge: Broker) -> None:
    async with working(broker):
        client = Client(edge)
        await broker.client.hset(client.keys.state, mapping=consent_to_state(Consent(store_audio=True)))
        await client.ask()
        client.send(0)
        await client.until(lambda: len(client.frames) == 1)
        client.publish(SessionEnded("client_closed"), "edge:session_ended")
        async with asyncio.timeout(10):
            while await broker.client.ttl(client.keys.events) < 0:
                await asyncio.sleep(0)
        assert 20 < await broker.client.ttl(client.keys.audio_in) <= 60
        assert await broker.client.ttl(client.keys.events) <= 20


async def test_audio_that_comes_before_the_engine_is_ready_is_kept(broker: Broker, edge: Broker) -> None:
    client = Client(edge)
    client.send(0, 1)
    async with working(broker):
        await client.ask()
        await client.until(lambda: len(client.frames) == 2)
    assert [frame.packets for frame in client.frames] == [(b"p0",), (b"p1",)]


async def test_a_full_worker_is_an_answer_at_once(broker: Broker, edge: Broker) -> None:
    async with working(broker):
        clients = [Client(edge) for _ in range(3)]
        assert [await client.ask() for client in clients] == ["admitted", "admitted", "full"]


async def test_a_frame_that_comes_twice_is_taken_once(broker: Broker, edge: Broker) -> None:
    async with working(broker):
        client = Client(edge)
        await client.ask()
        client.send(0, 1, 1, 0, 2)
        await client.until(lambda: len(client.frames) == 3)
        client.send(3)
        await client.until(lambda: len(client.frames) == 4)
    assert [frame.packets[0] for frame in client.frames] == [b"p0", b"p1", b"p2", b"p3"]


async def test_entries_that_cannot_be_read_are_passed_over(broker: Broker, edge: Broker) -> None:
    async with working(broker):
        client = Client(edge)
        await client.ask()
        broker.writer.add(client.keys.audio_in, b"garbage", maxlen=100)
        broker.writer.add(client.keys.events, b"\x93garbage", maxlen=100)
        client.send(0)
        await client.until(lambda: len(client.frames) == 1)


async def test_frames_that_are_lost_on_their_way_out_are_told(broker: Broker, edge: Broker) -> None:
    async with working(broker) as (worker, _, _):
        client = Client(edge)
        await client.ask()
        await client.until(lambda: "ready" in client.states())
        worker._shed(client.keys.audio_out, 2)
        worker._shed(client.keys.audio_in, 5)
        await client.until(lambda: any(isinstance(event.body, Notice) for event in client.events))
    (notice,) = [event.body for event in client.events if isinstance(event.body, Notice)]
    assert (notice.code, notice.count) == ("output_shed", 2)


async def test_what_an_older_edge_writes_late_takes_no_place(broker: Broker, edge: Broker) -> None:
    """It counted on from the same frame as the edge that its client went to."""
    async with working(broker):
        client = Client(edge)
        await client.ask()
        for seq, epoch in ((0, 1), (1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 2)):
            name = b"p%d of %d" % (seq, epoch)
            broker.publish_audio(client.keys.audio_in, AudioFrame(seq, 1920, (name,), epoch=epoch))
        await client.until(lambda: len(client.frames) == 5)
    assert [frame.packets[0] for frame in client.frames] == [
        b"p0 of 1", b"p1 of 1", b"p2 of 1", b"p2 of 2", b"p3 of 2",
    ]  # fmt: skip
    assert [frame.seq for frame in client.frames] == [0, 1, 2, 3, 4]


async def test_another_worker_takes_over_and_loses_no_frame(broker: Broker, edge: Broker, other: Broker) -> None:
    client = Client(edge)
    async with working(other, "first") as (first, _, task):
        await client.ask()
        client.send(0, 1)
        await client.until(lambda: len(client.frames) == 2)
        task.cancel()  # dies without a word
        await asyncio.gather(task, return_exceptions=True)
        for session in first._sessions.values():
            await session.close(lost=True)
        client.send(2, 3)
        async with working(broker, "second") as (second, _, _):
            await client.until(lambda: len(client.frames) == 4)
            assert second.sessions == (client.session_id,)
    assert [frame.packets[0] for frame in client.frames] == [b"p0", b"p1", b"p2", b"p3"]
    assert [frame.seq for frame in client.frames] == [0, 1, 2, 3]
    assert [frame.epoch for frame in client.frames] == [1, 1, 2, 2]
    assert client.states() == ["starting", "ready", "migrating", "resumed", "ready"]


async def test_a_worker_that_stops_hands_its_sessions_over(broker: Broker, edge: Broker, other: Broker) -> None:
    patient = WorkerLimits(lease_s=2.0, step_s=0.05)
    brief = WorkerLimits(lease_s=2.0, drain_s=0, step_s=0.05)
    client = Client(edge)
    async with working(other, "first", limits=patient) as (_, stopping, task):
        await client.ask()
        client.send(0)
        await client.until(lambda: len(client.frames) == 1)
        async with working(broker, "second", limits=brief):
            stopping.set()
            await task
            client.send(1, 2)
            await client.until(lambda: len(client.frames) == 3)
    assert [frame.epoch for frame in client.frames] == [1, 2, 2]


async def test_with_nobody_to_take_them_it_serves_on(
    broker: Broker, edge: Broker, other: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    limits = WorkerLimits(lease_s=2.0, drain_s=10.0, pause_s=0.0, step_s=0.05)
    client = Client(edge)
    async with working(other, "first", limits=limits) as (first, stopping, task):
        await client.ask()
        client.send(0)
        await client.until(lambda: len(client.frames) == 1)
        stopping.set()
        async with asyncio.timeout(10):
            while "nobody else has room for 1 sessions" not in caplog.text:
                await asyncio.sleep(0)
        client.send(1)
        await client.until(lambda: len(client.frames) == 2)
        assert first.sessions == (client.session_id,)
        assert await Client(edge).ask() == "full", "it takes nobody"
        async with working(broker, "second", limits=WorkerLimits(lease_s=2.0, drain_s=0)):
            await task
            client.send(2)
            await client.until(lambda: len(client.frames) == 3)
    assert [frame.epoch for frame in client.frames] == [1, 1, 2]


async def test_after_the_time_of_grace_its_sessions_wait_for_whoever_comes(
    broker: Broker, edge: Broker, other: Broker
) -> None:
    client = Client(edge)
    async with working(other, "first") as (_, stopping, task):
        await client.ask()
        client.send(0)
        await client.until(lambda: len(client.frames) == 1)
        stopping.set()
        await task
        client.send(1)
        async with working(broker, "second", limits=WorkerLimits(lease_s=30.0, drain_s=0)):
            await client.until(lambda: len(client.frames) == 2)
    assert [frame.epoch for frame in client.frames] == [1, 2]


class SlowEngine(EchoEngine):
    """Opens no session until it may."""

    def __init__(self) -> None:
        super().__init__(2)
        self.asked, self.may = asyncio.Event(), asyncio.Event()

    async def open(self, spec: SessionSpec, host: EngineHost) -> EchoSession:
        self.asked.set()
        await self.may.wait()
        return await super().open(spec, host)


async def test_a_session_that_is_just_opening_is_handed_over_too(broker: Broker, edge: Broker, other: Broker) -> None:
    limits = WorkerLimits(lease_s=2.0, pause_s=0.0, step_s=0.05)
    client, slow = Client(edge), SlowEngine()
    async with working(other, "first", slow, limits) as (first, stopping, task):
        await client.ask()
        client.send(0)
        await asyncio.wait_for(slow.asked.wait(), 10)
        async with working(broker, "second", limits=WorkerLimits(lease_s=2.0, drain_s=0)):
            stopping.set()
            await task
            await client.until(lambda: len(client.frames) == 1)
    assert first.sessions == ()
    assert [frame.epoch for frame in client.frames] == [2]


async def test_a_session_whose_edge_died_ends(broker: Broker, edge: Broker) -> None:
    limits = WorkerLimits(lease_s=0.4, input_idle_s=0.1, step_s=0.02)
    async with working(broker, limits=limits) as (worker, _, _):
        client = Client(edge)
        await client.ask()
        await client.until(lambda: any(isinstance(event.body, SessionEnded) for event in client.events))
        async with asyncio.timeout(10):
            while await broker.client.xlen(STREAM):
                await asyncio.sleep(0)
        assert worker.sessions == ()


@pytest.mark.parametrize("ended", [True, False])
async def test_what_is_over_is_given_back_without_a_word(broker: Broker, edge: Broker, *, ended: bool) -> None:
    """Its owner was about to give it back, or it has expired: a word would make a key that never goes."""
    async with working(broker) as (worker, _, _):
        client = Client(edge)
        if ended:
            client.publish(SessionEnded("client_closed"), "edge:session_ended")
        await client.ask(begun=ended)
        async with asyncio.timeout(10):
            while await broker.client.xlen(STREAM):
                await asyncio.sleep(0)
        assert (worker.sessions, await broker.writer.drain()) == ((), True)
    assert await broker.client.xlen(client.keys.events) == (2 if ended else 0)


class BrokenEngine(EchoEngine):
    """Opens nothing."""

    async def open(self, spec: SessionSpec, host: EngineHost) -> EchoSession:
        raise EngineError("the card is on fire")


async def test_an_engine_that_cannot_open_says_so_and_frees_the_slot(broker: Broker, edge: Broker) -> None:
    async with working(broker, engine=BrokenEngine(1)):
        client = Client(edge)
        await client.ask()
        await client.until(lambda: "failed" in client.states())
        details = [event.body.detail for event in client.events if isinstance(event.body, EngineState)]
        assert "the card is on fire" in details
        async with asyncio.timeout(10):
            while await broker.client.xlen(STREAM):
                await asyncio.sleep(0)
    assert await broker.client.ttl(client.keys.events) == -1, "another engine may go on with it: nothing expires"


async def test_an_engine_that_is_behind_admits_nobody_and_keeps_whom_it_has(broker: Broker, edge: Broker) -> None:
    engine = EchoEngine(2)
    async with working(broker, engine=engine):
        first, second = Client(edge), Client(edge)
        assert await first.ask() == "admitted"
        await first.until(lambda: "ready" in first.states())
        engine.accepting = False
        async with asyncio.timeout(10):
            while await RequestQueue(broker).capacity(STREAM) != (1, 1):
                await asyncio.sleep(0)
        assert await second.ask() == "full"
        first.send(0)
        await first.until(lambda: len(first.frames) == 1)
        engine.accepting = True
        async with asyncio.timeout(10):
            while await second.ask() != "admitted":
                await asyncio.sleep(0)


async def test_a_broken_engine_ends_the_worker_and_another_takes_its_sessions(
    broker: Broker, edge: Broker, other: Broker
) -> None:
    engine, client = EchoEngine(1), Client(edge)
    async with working(other, "first", engine) as (_, _, task):
        await client.ask()
        client.send(0)
        await client.until(lambda: len(client.frames) == 1)
        async with working(broker, "second"):
            engine.broken = "the device is lost"
            with pytest.raises(EngineError, match="the device is lost"):
                await task
            client.send(1)
            await client.until(lambda: len(client.frames) == 2)
    assert [frame.epoch for frame in client.frames] == [1, 2]
