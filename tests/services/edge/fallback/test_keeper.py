"""A session's way along the chain of engines, seen by its client, on a real Redis with workers that echo."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from services.edge import hub
from services.edge.fallback import keeper
from services.voice_worker.engines.echo import EchoEngine
from services.voice_worker.worker import VoiceWorker, WorkerLimits
from shared.audio.silence import SILENT_PACKETS
from shared.broker import Broker
from shared.events import Notice, SessionEnded, Spoken
from shared.streams import workers_key
from shared.testing.brokers import running
from shared.testing.echo_worker import EchoWorker
from shared.testing.talker import Talker
from shared.wire import AudioFrame, decode_audio, decode_event
from tests.services.edge.conftest import cancelled_at_end, until, until_served

if TYPE_CHECKING:
    from tests.services.edge.conftest import EdgeFactory
    from tests.services.edge.fallback.conftest import StartWorker

BOTH = "personaplex,cascade"
QUERY = "events=1&language=en"
SWITCH = b'\x04{"type":"engine","engine":"%s"}'


@pytest.fixture(autouse=True)
def quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "TICK_S", 0.02)
    monkeypatch.setattr(keeper, "SWITCH_EVERY_S", 0.0)


async def _event(talker: Talker, kind: str) -> dict[str, Any]:
    while True:
        value = json.loads(await talker.next(4))
        if value.get("body", value)["kind"] == kind:
            return dict(value)


async def _notice(talker: Talker) -> tuple[str, str]:
    """Return code and level of the next notice, whatever it is."""
    body = (await _event(talker, "notice"))["body"]
    return body["code"], body["level"]


async def _echo(talker: Talker, n_frames: int = 3) -> None:
    await talker.send_frame(n_frames)
    assert await talker.audio(4 * n_frames) == talker.sent[-4 * n_frames :]


async def _sid(worker: EchoWorker) -> str:
    await worker.wait(lambda: bool(worker.sessions))
    return next(iter(worker.sessions))


async def _nobody_behind(broker: Broker, engine: str) -> None:
    """As if workers of the engine had just died: their slots still count."""
    seconds, _ = await broker.client.time()
    await broker.client.hset(workers_key(f"sb:voice.{engine}"), "dead", f"4:{(seconds + 60) * 1000}")


async def _notices(broker: Broker, sid: str) -> list[str]:
    events, _ = await broker.history(sid)
    return [event.body.code for event in events if isinstance(event.body, Notice)]


class TestFallback:
    async def test_a_lost_engine_gives_way(self, start_edge: EdgeFactory, start_worker: StartWorker) -> None:
        first, second = await start_worker("personaplex"), await start_worker("cascade")
        edge = await start_edge(engines=BOTH)
        async with edge.connect(QUERY) as ws:
            talker = Talker(ws)
            await _echo(talker, 5)
            sid = await _sid(first)
            await first.fail(sid, "the model is gone")
            assert await _notice(talker) == ("engine_changed", "info")
            await _echo(talker, 5)
            lease = second.sessions[sid]
            assert lease.taken_over
            assert lease.epoch > 1
            assert [frame.seq for frame in second.inputs[sid]] == list(range(5, 10))
            assert 5 not in {message[0] for message in talker.messages}
            state = await edge.broker.client.hgetall(edge.broker.keys(sid).state)
            assert (state[b"engine"], state[b"preferred"]) == (b"cascade", b"personaplex")
        await second.wait(lambda: sid in second.ended)
        assert await _notices(edge.broker, sid) == ["engine_changed"]

    async def test_a_stock_client_just_goes_on(self, start_edge: EdgeFactory, start_worker: StartWorker) -> None:
        first, _ = await start_worker("personaplex"), await start_worker("cascade")
        edge = await start_edge(engines=BOTH)
        async with edge.connect("language=en") as ws:
            talker = Talker(ws)
            await _echo(talker)
            await first.fail(await _sid(first), "the model is gone")
            await _echo(talker)
            assert {message[0] for message in talker.messages} == {0, 1}

    async def test_the_only_engine_is_tried_again(self, start_edge: EdgeFactory, start_worker: StartWorker) -> None:
        worker = await start_worker("echo")
        edge = await start_edge(engine_retry_s=0.05)
        async with edge.connect("events=1") as ws:
            talker = Talker(ws)
            await _echo(talker)
            await worker.fail(await _sid(worker), "a hiccup")
            assert await _notice(talker) == ("text_only", "warning")
            assert await _notice(talker) == ("engine_changed", "info")
            await _echo(talker)

    async def test_an_engine_that_owes_sound_is_left(self, start_edge: EdgeFactory, start_worker: StartWorker) -> None:
        first, second = await start_worker("personaplex"), await start_worker("cascade")
        edge = await start_edge(engines=BOTH, engine_silent_s=0.3)
        async with edge.connect(QUERY) as ws:
            talker = Talker(ws)
            await _echo(talker)
            sid = await _sid(first)
            first.broker.reader.unsubscribe(first.broker.keys(sid).audio_in)
            sending = asyncio.create_task(self._talk_on(talker))
            assert await _notice(talker) == ("engine_changed", "info")
            sending.cancel()
            await first.wait(lambda: not first.sessions)
            assert sid in second.sessions
            await talker.audio(len(talker.sent) - 12)  # nothing that was said meanwhile is lost
            await _echo(talker)

    async def _talk_on(self, talker: Talker) -> None:
        while True:
            await talker.send_frame()
            await asyncio.sleep(0.02)

    async def test_what_failed_while_the_client_was_away_is_mended_when_it_is_back(
        self, start_edge: EdgeFactory, start_worker: StartWorker
    ) -> None:
        first, second = await start_worker("personaplex"), await start_worker("cascade")
        edge, other = await start_edge(engines=BOTH), await start_edge(engines=BOTH)
        ws = await edge.connect(QUERY)
        talker = Talker(ws)
        token = (await _event(talker, "session"))["resumeToken"]
        await _echo(talker)
        sid = await _sid(first)
        ws._response.connection.transport.abort()
        await edge.until_idle()
        await first.fail(sid, "the model is gone")
        await first.broker.writer.drain()
        async with other.connect(f"{QUERY}&resume={token}") as again:
            talker = Talker(again)
            assert await _notice(talker) == ("client_back", "info")
            assert await _notice(talker) == ("engine_changed", "info")
            await _echo(talker)
            assert sid in second.sessions


class TestOldOwner:
    async def test_it_loses_the_session_and_nothing_of_it_reaches_the_client(
        self, start_edge: EdgeFactory, start_worker: StartWorker
    ) -> None:
        first, second = await start_worker("personaplex"), await start_worker("cascade")
        edge = await start_edge(engines=BOTH)
        async with edge.connect(QUERY) as ws:
            talker = Talker(ws)
            await _echo(talker)
            sid = await _sid(first)
            old = first.sessions[sid].epoch
            await ws.send_bytes(SWITCH % b"cascade")
            assert await _notice(talker) == ("engine_changed", "info")
            await _echo(talker)
            first.send(sid, AudioFrame(99, 1920, (b"\x48old",), epoch=old))
            first.publish(sid, Spoken("h1", " old", 0), "voice:spoken:old", epoch=old)
            await first.broker.writer.drain()
            second.publish(sid, Spoken("h1", " new", 0), "voice:spoken:new")
            assert await talker.next(2) == b" new"
            await _echo(talker)
            await first.wait(lambda: not first.sessions)
            assert await first.broker.client.xlen("sb:voice.personaplex") == 0

    async def test_a_real_worker_publishes_nothing_more(self, start_edge: EdgeFactory, real_redis_url: str) -> None:
        async with AsyncExitStack() as stack:
            workers: list[VoiceWorker] = []
            stopping, running_workers = asyncio.Event(), []
            for name in ("personaplex", "cascade"):
                broker = await stack.enter_async_context(running(Broker.open(real_redis_url)))
                engine = EchoEngine(4)
                engine.name = name
                workers.append(VoiceWorker(broker, [engine], None, consumer=name, limits=WorkerLimits()))
                work = cancelled_at_end(workers[-1].run(stopping))
                running_workers.append(await stack.enter_async_context(work))
                await until_served(broker, name)
            edge = await start_edge(engines=BOTH)
            async with edge.connect(QUERY) as ws:
                talker = Talker(ws)
                await _echo(talker)
                (sid,) = workers[0].sessions
                await ws.send_bytes(SWITCH % b"cascade")
                assert await _notice(talker) == ("engine_changed", "info")
                await until(lambda: not workers[0].sessions)
                client, keys = edge.broker.client, edge.broker.keys(sid)
                n_events, n_frames = await client.xlen(keys.events), await client.xlen(keys.audio_out)
                await _echo(talker, 20)
                new = [decode_event(fields[b"m"]) for _, fields in await client.xrange(keys.events)][n_events:]
                frames = [decode_audio(fields[b"m"]) for _, fields in await client.xrange(keys.audio_out)][n_frames:]
                assert {frame.epoch for frame in frames} == {5 + 1}
                assert [frame.seq for frame in frames] == list(range(3, 23))
                assert {event.epoch for event in new if event.source == "voice"} <= {6}
                assert workers[1].sessions == (sid,)
            await until(lambda: not workers[1].sessions)
            stopping.set()
            await asyncio.gather(*running_workers)


class TestTextOnly:
    async def test_silence_until_an_engine_has_a_place(
        self, start_edge: EdgeFactory, start_worker: StartWorker
    ) -> None:
        first = await start_worker("personaplex")
        edge = await start_edge(engines=BOTH, engine_retry_s=0.05, take_s=0.1)
        async with edge.connect(QUERY) as ws:
            talker = Talker(ws)
            await _echo(talker)
            sid = await _sid(first)
            first._holder.set_accepting(False)
            await first.fail(sid, "the model is gone")
            assert await _notice(talker) == ("text_only", "warning")
            await talker.send_frame(4)
            assert await talker.audio(16) == list(SILENT_PACKETS) * 4
            second = await start_worker("cascade")
            assert await _notice(talker) == ("engine_changed", "info")
            await _echo(talker)
            assert [frame.seq for frame in second.inputs[sid]] == [7, 8, 9]

    async def test_not_for_ever(self, start_edge: EdgeFactory, start_worker: StartWorker) -> None:
        worker = await start_worker("echo")
        edge = await start_edge(engine_retry_s=0.05, take_s=0.1, text_only_s=0.3)
        async with edge.connect() as ws:
            talker = Talker(ws)
            await _echo(talker)
            sid = await _sid(worker)
            worker._holder.set_accepting(False)
            await worker.fail(sid, "the model is gone")
            assert await talker.closed() == 1013
            told = [message[1:] for message in talker.messages if message[0] == 5]
            assert len(told) == 2
            assert b"try again in 5 s" in told[-1]
        await edge.until_idle()
        events, _ = await edge.broker.history(sid)
        assert events[-1].body == SessionEnded("engine_failed")

    async def test_another_edge_goes_on_with_it(self, start_edge: EdgeFactory, start_worker: StartWorker) -> None:
        worker = await start_worker("echo")
        edge, other = [await start_edge(engine_retry_s=0.05, take_s=0.1) for _ in range(2)]
        async with edge.connect("events=1") as ws:
            talker = Talker(ws)
            token = (await _event(talker, "session"))["resumeToken"]
            await _echo(talker)
            worker._holder.set_accepting(False)
            await worker.fail(await _sid(worker), "the model is gone")
            await _notice(talker)
            await talker.send_frame()
            await talker.audio(4)
            async with other.connect(f"events=1&resume={token}") as again:
                talker = Talker(again)
                assert await _notice(talker) == ("client_back", "info")
                assert await _notice(talker) == ("text_only", "warning")
                await talker.send_frame()
                assert await talker.audio(4) == list(SILENT_PACKETS)
                worker._holder.set_accepting(True)
                assert await _notice(talker) == ("engine_changed", "info")
                await _echo(talker)


class TestOpening:
    async def test_what_nobody_takes_goes_to_the_next(self, start_edge: EdgeFactory, start_worker: StartWorker) -> None:
        worker = await start_worker("cascade")
        await _nobody_behind(worker.broker, "personaplex")
        edge = await start_edge(engines=BOTH, take_s=0.1)
        async with edge.connect(QUERY) as ws:
            talker = Talker(ws)
            assert await _notice(talker) == ("engine_changed", "info")
            await _echo(talker)
            assert not (await _sid(worker), worker.sessions[await _sid(worker)])[1].taken_over
            assert await worker.broker.client.xlen("sb:voice.personaplex") == 0

    @pytest.mark.parametrize("query", ["engine=personaplex", "language=en"])
    async def test_else_it_is_refused_with_a_hint(
        self, start_edge: EdgeFactory, start_worker: StartWorker, query: str
    ) -> None:
        worker = await start_worker("echo")
        await _nobody_behind(worker.broker, "personaplex")
        edge = await start_edge(engines="personaplex,echo", take_s=0.1)
        async with edge.connect(query) as ws:
            talker = Talker(ws)
            assert await talker.closed() == 1013
            assert b"try again in 5 s" in talker.messages[-1]
        await edge.until_idle()
        assert await worker.broker.client.xlen("sb:voice.personaplex") == 0

    async def test_full_pools_are_an_answer_at_once(self, start_edge: EdgeFactory, start_worker: StartWorker) -> None:
        await start_worker("cascade", capacity=0)
        edge = await start_edge(engines=BOTH, take_s=60)
        async with edge.connect() as ws:
            talker = Talker(ws)
            assert await talker.closed() == 1013
            assert b"all places are taken (cascade): try again in 5 s" in talker.messages[-1]

    async def test_an_engine_that_fails_at_its_opening_is_no_engine(
        self, start_edge: EdgeFactory, start_worker: StartWorker
    ) -> None:
        worker = await start_worker("echo")
        edge = await start_edge()
        worker.hold_ready.clear()
        async with edge.connect("engine=echo") as ws:
            async with asyncio.timeout(5):
                while not worker._holder.held:
                    await asyncio.sleep(0)
            (lease,) = worker._holder.held
            worker.sessions[lease.session_id] = lease
            await worker.fail(lease.session_id, "no model")
            assert await Talker(ws).closed() == 1013


class TestSwitching:
    async def test_back_to_the_preferred_engine_when_it_is_offered(
        self, start_edge: EdgeFactory, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keeper, "OFFER_AFTER_S", 0.0)
        first, second = await start_worker("personaplex"), await start_worker("cascade")
        edge = await start_edge(engines=BOTH)
        async with edge.connect(QUERY) as ws:
            talker = Talker(ws)
            await _echo(talker)
            sid = await _sid(first)
            await first.fail(sid, "a hiccup")
            assert await _notice(talker) == ("engine_changed", "info")
            assert await _notice(talker) == ("engine_available", "info")
            await _echo(talker)
            await ws.send_bytes(SWITCH % b"personaplex")
            assert await _notice(talker) == ("engine_changed", "info")
            await _echo(talker)
            assert [frame.seq for frame in first.inputs[sid]][-3:] == [6, 7, 8]
            await second.wait(lambda: not second.sessions)
        await first.wait(lambda: sid in first.ended)
        assert (await _notices(edge.broker, sid)).count("engine_available") == 1

    @pytest.mark.parametrize(
        ("engine", "told"),
        [
            (b"mouth", b"must be one of"),
            (b"personaplex", b"speaks already"),
            (b"openai_realtime", b"no voice worker serves it"),
            (b"cascade", b"all its places are taken: try again in 5 s"),
            (b"echo", b"did not answer"),
        ],
    )
    async def test_what_cannot_be_is_told_and_changes_nothing(
        self, start_edge: EdgeFactory, start_worker: StartWorker, engine: bytes, told: bytes
    ) -> None:
        first, _ = await start_worker("personaplex"), await start_worker("cascade", capacity=0)
        await _nobody_behind(first.broker, "echo")
        edge = await start_edge(engines="personaplex,cascade,openai_realtime,echo", take_s=0.1)
        async with edge.connect(QUERY) as ws:
            talker = Talker(ws)
            await _echo(talker)
            await ws.send_bytes(SWITCH % engine)
            assert told in await talker.next(5)
            await _echo(talker)
            assert len(first.sessions) == 1
            assert await first.broker.client.xlen("sb:voice.echo") == 0

    async def test_a_client_that_changes_all_the_time_is_held_back(
        self, start_edge: EdgeFactory, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keeper, "SWITCH_EVERY_S", 60.0)
        await start_worker("personaplex"), await start_worker("cascade")
        edge = await start_edge(engines=BOTH)
        async with edge.connect(QUERY) as ws:
            talker = Talker(ws)
            await _echo(talker)
            await ws.send_bytes(SWITCH % b"cascade")
            assert await _notice(talker) == ("engine_changed", "info")
            await ws.send_bytes(SWITCH % b"personaplex")
            assert b"once in 60 s" in await talker.next(5)
