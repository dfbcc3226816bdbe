"""The jobs after a session, on arq: what they do. How they are queued and run is `job_queue`'s.

`final_scorecard` computes the card again from the recorded stream, holds it against the live one, and keeps it
as long as the user allows. Doing it twice changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Literal

from arq import Retry

from services.evaluator import telemetry
from services.evaluator.evaluation import evaluate_events
from services.evaluator.recording.store import RecordingStore
from services.evaluator.scorecard import canonical_json
from shared import metrics as shared_metrics
from shared.broker import RedisClient
from shared.broker.append import FIELD
from shared.broker.connection import TRANSIENT
from shared.clock import Clock, SystemClock
from shared.coaching.detection import Detector
from shared.dead_letters import DeadLetters
from shared.errors import WireError
from shared.events import Event, ScorecardReady, SessionEnded, SessionStarted
from shared.retention import Retention, latest_consent, lifetimes
from shared.streams import check_session_id, session_keys
from shared.wire import decode_event

log = logging.getLogger(__name__)

Outcome = Literal["equal", "mismatch", "no_live", "incomplete", "no_events"]

PAGE = 500
"""Entries read from Redis at a time."""

CALL_TIMEOUT_S = 5.0
RETRY_STEP_S = 2.0
"""A job waits this long times its try before the next."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """What jobs get to work with."""

    client: RedisClient
    detector: Detector
    n_shards: int
    retention: Retention
    max_tries: int
    timeout_s: float = 60.0
    clock: Clock = field(default_factory=SystemClock)
    recordings: RecordingStore | None = None
    archiving: asyncio.Lock = field(default_factory=asyncio.Lock)


async def final_scorecard(ctx: dict[str, Any], session_id: str) -> str:
    """Compute, compare and keep a session's scorecard; return the outcome.

    equal | mismatch (counted and logged) | no_live (the live evaluator published none, after all tries) |
    incomplete (the stream's beginning was trimmed, so a comparison would say nothing) | no_events. Redis errors
    and a live card that is still on its way are tried again, at most `max_tries` times.
    """
    job: JobContext = ctx["job"]
    is_last_try = ctx["job_try"] >= job.max_tries
    try:
        outcome = await _check(job, check_session_id(session_id), is_last_try)
    except TRANSIENT as error:
        telemetry.JOBS.labels("final_scorecard", "redis_error").inc()
        log.warning("final_scorecard could not reach Redis (%s)", type(error).__name__)
        raise Retry(defer=RETRY_STEP_S * ctx["job_try"]) from error
    if outcome is None:
        telemetry.JOBS.labels("final_scorecard", "retry").inc()
        raise Retry(defer=RETRY_STEP_S * ctx["job_try"])
    telemetry.JOBS.labels("final_scorecard", outcome).inc()
    if outcome == "mismatch":
        telemetry.SCORECARD_MISMATCH.inc()
        log.error("the live scorecard of session %s differs from the recomputed one", session_id)
    return outcome


async def _check(job: JobContext, session_id: str, is_last_try: bool) -> Outcome | None:
    """Return the outcome, or None to try again later."""
    keys = session_keys(session_id, job.n_shards)
    async with asyncio.timeout(CALL_TIMEOUT_S):
        left_out = await DeadLetters(job.client).set_aside(keys, "evaluator")
    events = await read_events(job.client, keys.events, left_out)
    if not events:
        return "no_events"  # expired or never there: another try would find no more
    ended = any(isinstance(event.body, SessionEnded) for event in events)
    live = next((event.body for event in events if isinstance(event.body, ScorecardReady)), None)
    if (not ended or live is None) and not is_last_try:
        return None
    computed = await asyncio.to_thread(lambda: evaluate_events(events, job.detector).to_bytes())
    keep_s = lifetimes(keys, latest_consent(events), job.retention)[keys.scorecard]
    async with asyncio.timeout(CALL_TIMEOUT_S):
        await job.client.set(keys.scorecard, computed, ex=keep_s)
    if not any(isinstance(event.body, SessionStarted) for event in events):
        return "incomplete"
    if live is None:
        return "no_live"
    return "equal" if canonical_json(live.scorecard) == computed else "mismatch"


async def read_events(client: RedisClient, key: str, left_out: Set[str] = frozenset()) -> list[Event]:
    """Return all events of a stream but those entries, read page by page and decoded on a thread."""
    events: list[Event] = []
    after = "-"
    while True:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            page = await client.xrange(key, min=after, max="+", count=PAGE)
        wanted = [fields.get(FIELD, b"") for entry_id, fields in page if entry_id.decode() not in left_out]
        events += await asyncio.to_thread(_decode, wanted)
        if len(page) < PAGE:
            return events
        after = f"({page[-1][0].decode()}"


def _decode(entries: Sequence[bytes]) -> list[Event]:
    events: list[Event] = []
    for data in entries:
        try:
            events.append(decode_event(data))
        except WireError as error:
            shared_metrics.BAD_ENTRIES.labels("events").inc()
            log.warning("an event was passed over: %s", error)
    return events
