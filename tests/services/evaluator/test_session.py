from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from services.evaluator.evaluation import Evaluation, evaluate_events
from services.evaluator.scorecard import canonical_json
from services.evaluator.session import METRICS_EVERY_MS, EvaluatorSession
from services.evaluator.timeline import TimelineBuilder, Verdict
from shared.broker import Broker
from shared.coaching.detector import default_detector
from shared.dead_letters import DeadLetters
from shared.errors import Overloaded
from shared.events import (
    Body,
    EngineState,
    Event,
    MetricsUpdated,
    ScorecardReady,
    TurnEnded,
    TurnScored,
)
from shared.leases import Lease
from shared.session_feed import Publisher, SessionFeed, SessionHandler
from shared.testing.recorder import EventRecorder


class Queue:
    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.error = error

    async def __call__(self, session_id: str) -> None:
        self.asked.append(session_id)
        if self.error:
            raise self.error


def session(recorder: Any, queue: Queue | None = None) -> EvaluatorSession:
    return EvaluatorSession("s1", recorder, default_detector(), queue or Queue())


async def run(events: Sequence[Event], handler: EvaluatorSession) -> None:
    for event in events:
        await handler.on_event(event)


def as_event(body: Body, event_id: str, media_ms: int, epoch: int = 1) -> Event:
    return Event(event_id, "s1", "evaluator", epoch, media_ms, 0, body)


async def test_a_whole_session_live(role_play: list[Event]) -> None:
    recorder, queue = EventRecorder(), Queue()
    handler = session(recorder, queue)
    handler.restore([])
    await run(role_play, handler)
    await handler.close("ended")
    ids = [event_id for _, event_id, _ in recorder.published]
    assert len(ids) == len(set(ids))
    assert [i for i in ids if ":turn:" in i] == [f"evaluator:turn:u{n}" for n in range(1, 10)]
    assert ids[-1] == "evaluator:scorecard"
    assert queue.asked == ["s1"]
    (ready,) = recorder.of(ScorecardReady)
    assert canonical_json(ready.scorecard) == evaluate_events(role_play).to_bytes()


async def test_metrics_come_at_each_turns_end_and_now_and_then_between(role_play: list[Event]) -> None:
    recorder = EventRecorder()
    await run(role_play, session(recorder))
    due = []
    last = 0
    gate = TimelineBuilder()
    for event in role_play[:-1]:
        if gate.add(event) == "taken" and (
            isinstance(event.body, TurnEnded) or event.media_ms - last >= METRICS_EVERY_MS
        ):
            due.append(event.media_ms)
            last = max(last, event.media_ms)
    sent = [(event_id, media_ms) for body, event_id, media_ms in recorder.published if isinstance(body, MetricsUpdated)]
    assert sent == [(f"evaluator:metrics:{ms}", ms) for ms in dict.fromkeys(due)]
    turn_ends = {event.media_ms for event in role_play if isinstance(event.body, TurnEnded)}
    assert turn_ends <= {ms for _, ms in sent}
    assert len(sent) > len(turn_ends)  # Hugo's long story had updates within it


async def test_a_new_owner_says_only_what_was_not_said(role_play: list[Event]) -> None:
    """Wherever the first owner is lost, both together publish what one alone would have."""
    alone = EventRecorder()
    await run(role_play, session(alone))
    expected = dict((event_id, body) for body, event_id, _ in alone.published)
    for cut in range(5, len(role_play), 23):
        first, second = EventRecorder(), EventRecorder()
        await run(role_play[:cut], session(first))
        said = [as_event(body, event_id, ms) for body, event_id, ms in first.published]
        handler = session(second)
        handler.restore([*role_play[:cut], *said])
        await run(role_play[cut:], handler)
        ids = [event_id for _, event_id, _ in (*first.published, *second.published)]
        assert sorted(ids) == sorted(set(ids))
        both = dict((event_id, body) for body, event_id, _ in (*first.published, *second.published))
        assert both == expected


async def test_verdicts_that_the_lost_owner_did_not_publish_are_caught_up(role_play: list[Event]) -> None:
    recorder = EventRecorder()
    handler = session(recorder)
    known = as_event(TurnScored("u1", ("1.1",), "ok"), "evaluator:turn:u1", 9_000)
    handler.restore([*role_play[:80], known])
    assert recorder.published == []  # the loop is not held up by the history
    await handler.on_event(role_play[80])
    caught_up = [event_id for body, event_id, _ in recorder.published if isinstance(body, TurnScored)]
    assert caught_up
    assert "evaluator:turn:u1" not in caught_up


async def test_a_session_that_ended_unserved_gets_its_card(role_play: list[Event]) -> None:
    recorder, queue = EventRecorder(), Queue()
    handler = session(recorder, queue)
    handler.restore(role_play[:-1])
    await handler.on_event(role_play[-1])
    assert canonical_json(recorder.of(ScorecardReady)[0].scorecard) == evaluate_events(role_play).to_bytes()
    assert queue.asked == ["s1"]


async def test_its_own_and_repeated_events_are_passed_over(role_play: list[Event]) -> None:
    once, twice = EventRecorder(), EventRecorder()
    await run(role_play, session(once))
    handler = session(twice)
    for event in role_play:
        await handler.on_event(event)
        await handler.on_event(event)
        await handler.on_event(as_event(MetricsUpdated(()), f"evaluator:metrics:{event.media_ms}", event.media_ms))
    assert twice.published == once.published


async def test_a_queue_that_is_away_does_not_spoil_the_session(role_play: list[Event]) -> None:
    recorder = EventRecorder()
    await run(role_play, session(recorder, Queue(ConnectionError("away"))))
    assert recorder.of(ScorecardReady)


class Full(EventRecorder):
    """A publisher whose broker takes nothing but scorecards."""

    def publish(self, body: Body, *, event_id: str, media_ms: int) -> None:
        if not isinstance(body, ScorecardReady):
            raise Overloaded("full")
        super().publish(body, event_id=event_id, media_ms=media_ms)


async def test_a_full_broker_costs_updates_and_not_the_session(role_play: list[Event]) -> None:
    recorder = Full()
    await run(role_play, session(recorder))
    (ready,) = recorder.of(ScorecardReady)
    assert canonical_json(ready.scorecard) == evaluate_events(role_play).to_bytes()


@pytest.mark.parametrize("media_ms", [4_999, 5_000])
async def test_the_interval_between_turns(scene: Any, media_ms: int) -> None:
    recorder = EventRecorder()
    handler = session(recorder)
    await run(scene.events, handler)
    await handler.on_event(
        replace(scene.events[-1], id="x", media_ms=media_ms, body=EngineState("degraded", "cascade"))
    )
    assert bool(recorder.of(MetricsUpdated)) is (media_ms >= METRICS_EVERY_MS)


async def test_an_event_that_makes_the_evaluation_fail_costs_only_itself(
    broker: Broker, role_play: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler works its past through late, so that the event fails with whichever one comes first."""
    bad = next(event for event in role_play if isinstance(event.body, TurnEnded))
    add = Evaluation.add

    def fails(self: Evaluation, event: Event) -> Verdict:
        if event.id == bad.id:
            raise ValueError("cannot be evaluated")
        return add(self, event)

    monkeypatch.setattr(Evaluation, "add", fails)
    session_id, queue = bad.session_id, Queue()
    for event in role_play:
        broker.publish_event(broker.keys(session_id), event)
    assert await broker.writer.drain()

    def make(session_id: str, publisher: Publisher) -> SessionHandler:
        return EvaluatorSession(session_id, publisher, default_detector(), queue)

    lease = Lease("sb:evaluator", "1-0", 1, session_id)
    feed = SessionFeed(broker, "evaluator", lease, make, asyncio.Lock())
    await feed.run()
    await feed.close("ended")
    assert await broker.writer.drain()
    ((_, letter),) = await DeadLetters(broker.client).all()
    assert (letter.about, letter.attempts) == ("turn_ended", 3)
    cards = [event.body for event in (await broker.history(session_id))[0] if isinstance(event.body, ScorecardReady)]
    without = [event for event in role_play if event.id != bad.id]
    assert [canonical_json(card.scorecard) for card in cards] == [evaluate_events(without).to_bytes()]
    assert queue.asked == [session_id]
