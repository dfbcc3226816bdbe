"""One live session: events in, metrics, verdicts and the scorecard out. Decides nothing: `Evaluation` does.

Work that takes more than a moment (detection, metrics, the card) runs on a thread, one step at a time, so that
the loop stays free; the worker hands over one event at a time, so that no step meets another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from services.evaluator import telemetry
from services.evaluator.evaluation import Evaluation
from services.evaluator.scorecard import EVALUATOR_VERSION
from services.evaluator.scoring import TurnVerdict
from shared.coaching.detection import Detector
from shared.errors import Overloaded, WireError
from shared.events import Body, Event, MetricsUpdated, ScorecardReady, SessionEnded, TurnEnded
from shared.session_worker import Publisher

log = logging.getLogger(__name__)

T = TypeVar("T")

Enqueue = Callable[[str], Awaitable[None]]
"""Puts the session's closing job on the queue; given a session id."""

METRICS_EVERY_MS = 5_000
"""Media time between two updates where no turn ends."""

ENQUEUE_TIMEOUT_S = 5.0


class EvaluatorSession:
    """SessionHandler of the evaluator.

    Publishes `MetricsUpdated` at each turn's end, and between turns when 5 s of media time have passed since the
    last; `TurnScored` once per user turn; `ScorecardReady` at the session's end. Ids are made from content: what
    the history shows as published is not published again.
    """

    def __init__(self, session_id: str, publisher: Publisher, detector: Detector, enqueue: Enqueue) -> None:
        self._session_id = session_id
        self._publisher = publisher
        self._enqueue = enqueue
        self._evaluation = Evaluation(detector)
        self._published: set[str] = set()
        self._last_metrics_ms = 0
        self._history: Sequence[Event] = ()

    def restore(self, history: Sequence[Event]) -> None:
        """Keep the history; it is worked through on a thread before the first event, not on the loop."""
        self._history = history
        for event in history:
            if event.source == "evaluator":
                self._published.add(event.id)
                if isinstance(event.body, MetricsUpdated):
                    self._last_metrics_ms = max(self._last_metrics_ms, event.media_ms)

    async def on_event(self, event: Event) -> None:
        """Take in one event and publish what it makes due."""
        if self._history:
            await self._catch_up()
        if self._evaluation.add(event) != "taken":
            return
        if self._evaluation.is_due:
            verdict = await self._run("turn", self._evaluation.score)
            self._publish_verdict(verdict, event.media_ms)
        if isinstance(event.body, SessionEnded):
            await self._finish(event.media_ms)
        elif self._wants_metrics(event):
            await self._publish_metrics(event.media_ms)

    async def close(self, reason: str) -> None:
        """Nothing is held that must be given back."""
        log.debug("evaluation of a session closed: %s", reason)

    async def _catch_up(self) -> None:
        history, self._history = self._history, ()
        missing = await self._run("catch_up", lambda: self._replay(history))
        for verdict, media_ms in missing:
            self._publish_verdict(verdict, media_ms)

    def _replay(self, history: Sequence[Event]) -> list[tuple[TurnVerdict, int]]:
        """Rebuild the state; return the verdicts that an owner before this one did not get to publish."""
        missing: list[tuple[TurnVerdict, int]] = []
        for event in history:
            self._evaluation.add(event)
            verdict = self._evaluation.score() if self._evaluation.is_due else None
            if verdict is not None and _turn_id(verdict) not in self._published:
                missing.append((verdict, event.media_ms))
        return missing

    def _wants_metrics(self, event: Event) -> bool:
        return isinstance(event.body, TurnEnded) or event.media_ms - self._last_metrics_ms >= METRICS_EVERY_MS

    async def _publish_metrics(self, media_ms: int) -> None:
        event_id = f"evaluator:metrics:{media_ms}"
        if event_id in self._published:
            return  # two turns ended in the same frame: one update tells of both soon enough
        metrics = await self._run("metrics", self._evaluation.metrics)
        self._last_metrics_ms = max(self._last_metrics_ms, media_ms)
        self._publish(MetricsUpdated(metrics), event_id, media_ms)

    def _publish_verdict(self, verdict: TurnVerdict | None, media_ms: int) -> None:
        if verdict is not None:
            telemetry.TURNS_SCORED.inc()
            self._publish(verdict.body(), _turn_id(verdict), media_ms)

    async def _finish(self, media_ms: int) -> None:
        for verdict in await self._run("turn", self._evaluation.score_rest):
            self._publish_verdict(verdict, media_ms)
        card = await self._run("scorecard", self._evaluation.scorecard)
        self._publish(ScorecardReady(EVALUATOR_VERSION, card.data), "evaluator:scorecard", media_ms)
        telemetry.SCORECARDS.inc()
        try:
            async with asyncio.timeout(ENQUEUE_TIMEOUT_S):
                await self._enqueue(self._session_id)
        except Exception:
            # The card is out; only its check by the job is lost, and that must not end the session badly.
            telemetry.ENQUEUE_FAILED.inc()
            log.exception("the closing job of a session could not be enqueued")

    def _publish(self, body: Body, event_id: str, media_ms: int) -> None:
        if event_id in self._published:
            return
        try:
            self._publisher.publish(body, event_id=event_id, media_ms=media_ms)
        except (Overloaded, WireError) as error:
            # A live figure is followed by the next one; a card is computed and stored again by the job.
            telemetry.PUBLISH_REFUSED.labels(body.kind).inc()
            log.error("%s was not published: %s", body.kind, error)
            return
        self._published.add(event_id)

    async def _run(self, step: str, work: Callable[[], T]) -> T:
        with telemetry.STEP_SECONDS.labels(step).time():
            return await asyncio.to_thread(work)


def _turn_id(verdict: TurnVerdict) -> str:
    return f"evaluator:turn:{verdict.turn}"
