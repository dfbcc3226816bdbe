"""A replay through the streams: an evaluator worker gives the live bytes, at any speed, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.evaluator.evaluation import scorecard_bytes
from services.evaluator.replay.through_streams import ReplayFailed, ReplayLimits, StreamReplay
from services.evaluator.session import EvaluatorSession
from shared.broker import Broker
from shared.clock import ManualClock
from shared.coaching.detector import default_detector
from shared.errors import BrokerError, Overloaded
from shared.events import Event, SessionEnded
from shared.session_worker import SessionWorker
from shared.streams import request_stream
from shared.testing.brokers import fake_broker, running, twin
from tests.services.evaluator.replay.conftest import LiveSession


async def _enqueue(session_id: str) -> None:
    pass


@asynccontextmanager
async def evaluator(broker: Broker, capacity: int = 10) -> AsyncIterator[SessionWorker]:
    """An evaluator worker in a process of its own, so to say."""

    def make(session_id: str, publisher: Any) -> EvaluatorSession:
        return EvaluatorSession(session_id, publisher, default_detector(), _enqueue)

    stopping = asyncio.Event()
    async with running(twin(broker)) as theirs:
        worker = SessionWorker(theirs, "evaluator", make, consumer="e1", capacity=capacity, lease_s=1.5)
        task = asyncio.create_task(worker.run(stopping))
        try:
            async with asyncio.timeout(10):
                while not (await broker.client.exists("{sb:evaluator}:workers")):
                    await asyncio.sleep(0)
            yield worker
        finally:
            stopping.set()
            await task


async def left_behind(broker: Broker, worker: SessionWorker | None = None) -> list[str]:
    """Wait until nobody serves a session; return the keys of sessions that would stay for ever."""
    async with asyncio.timeout(10):
        while worker is not None and worker.sessions:
            await asyncio.sleep(0.001)
        while await broker.client.xlen(request_stream("evaluator")):
            await asyncio.sleep(0.001)
    names = [raw.decode() for raw in await broker.client.keys("sb:{*}:0*")]
    return [name for name in names if not 0 < await broker.client.ttl(name) <= 3600]


async def test_the_workers_card_has_the_live_bytes(broker: Broker, live: LiveSession) -> None:
    async with evaluator(broker) as worker:
        replay = StreamReplay(broker, live.stream, 0)
        assert await replay.run() == scorecard_bytes(live.stream)
        assert replay.session_id != live.session_id
        assert await left_behind(broker, worker) == []


async def test_several_at_once(broker: Broker, talk_of: Callable[[int], list[Event]]) -> None:
    talks = [talk_of(number) for number in range(6)]
    async with evaluator(broker):
        cards = await asyncio.gather(*(StreamReplay(broker, talk, 0).run() for talk in talks))
    assert cards == [scorecard_bytes(talk) for talk in talks]


@pytest.mark.parametrize("speed", [1.0, 4.0])
async def test_events_go_out_at_their_media_time(talk_of: Callable[[int], list[Event]], speed: float) -> None:
    clock, events = ManualClock(), talk_of(1)
    async with running(fake_broker(clock=clock)) as broker:
        await broker.client.hset("{sb:evaluator}:workers", "e", "5:99999999999999")
        replay = StreamReplay(broker, events, speed)
        task = asyncio.create_task(replay.run())
        await _until(lambda: _length(broker, replay), 1)
        for now_ms in range(0, 6_000, 500):
            due = sum(event.media_ms <= now_ms for event in _in_order(events))
            await _until(lambda: _length(broker, replay), max(due, 1))
            await clock.advance(0.5 / speed)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def _in_order(events: Sequence[Event]) -> list[Event]:
    """Events are due no sooner than those before them."""
    latest, found = 0, []
    for event in events:
        if event.media_ms >= latest:
            latest = event.media_ms
        found.append(event if event.media_ms == latest else _at(event, latest))
    return found


def _at(event: Event, media_ms: int) -> Event:
    from dataclasses import replace

    return replace(event, media_ms=media_ms)


async def _length(broker: Broker, replay: StreamReplay) -> int:
    return int(await broker.client.xlen(broker.keys(replay.session_id).events))


async def _until(count: Callable[[], Any], n: int) -> None:
    async with asyncio.timeout(10):
        while await count() != n:
            await asyncio.sleep(0)


async def test_it_stays_near_an_evaluator_that_says_nothing(live: LiveSession) -> None:
    async with running(fake_broker()) as broker:
        await broker.client.hset("{sb:evaluator}:workers", "e", "5:99999999999999")
        limits = ReplayLimits(max_ahead=20, stall_s=30)
        replay = StreamReplay(broker, live.stream, 0, limits)
        task = asyncio.create_task(replay.run())
        await _until(lambda: _length(broker, replay), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await _length(broker, replay) == 21  # and the end of the session


async def test_small_steps_give_the_same_card(broker: Broker, live: LiveSession) -> None:
    async with evaluator(broker):
        limits = ReplayLimits(max_ahead=7, stall_s=0.01)
        assert await StreamReplay(broker, live.stream, 0, limits).run() == scorecard_bytes(live.stream)


async def test_a_replay_that_is_stopped_leaves_nothing(broker: Broker, live: LiveSession) -> None:
    async with evaluator(broker) as worker:
        replay = StreamReplay(broker, live.stream, 1.0)
        task = asyncio.create_task(replay.run())
        async with asyncio.timeout(10):
            while replay.session_id not in worker.sessions:
                await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await left_behind(broker, worker) == []
        events, _ = await broker.history(replay.session_id)
        assert [e.body.detail for e in events if isinstance(e.body, SessionEnded)] == ["the replay was stopped"]


async def test_a_replay_that_nobody_took_is_withdrawn(live: LiveSession) -> None:
    async with running(fake_broker()) as broker:
        await broker.client.hset("{sb:evaluator}:workers", "e", "5:99999999999999")
        with pytest.raises(ReplayFailed, match="said nothing"):
            await StreamReplay(broker, live.stream, 0, ReplayLimits(silence_s=0.01)).run()
        assert await left_behind(broker) == []


async def test_without_an_evaluator_nothing_is_begun(broker: Broker, live: LiveSession) -> None:
    with pytest.raises(BrokerError, match="no evaluator runs"):
        await StreamReplay(broker, live.stream, 0).run()
    assert await broker.client.keys("sb:{*}:0*") == []


async def test_full_evaluators(live: LiveSession) -> None:
    async with running(fake_broker()) as broker:
        await broker.client.hset("{sb:evaluator}:workers", "e", "0:99999999999999")
        with pytest.raises(Overloaded):
            await StreamReplay(broker, live.stream, 0).run()
        assert await broker.client.keys("sb:{*}:0*") == []


async def test_a_recording_without_an_end_is_refused(role_play: list[Event]) -> None:
    async with running(fake_broker()) as broker:
        with pytest.raises(ReplayFailed, match="no end"):
            StreamReplay(broker, role_play[:50])
