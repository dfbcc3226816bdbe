"""A session that was served live, and its replay in each of the three ways: the same bytes.

Two sessions: a call through edge, broker, voice and evaluator, archived by its job; and the events of a spoken
role-play with Hugo, given to a live evaluator.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from services.evaluator.jobs import JobContext, final_scorecard
from services.evaluator.recording.archive import Archiver
from services.evaluator.recording.store import RecordingStore
from services.evaluator.replay.in_process import replay
from services.evaluator.replay.jobs import EvaluateContext, evaluate_recording
from services.evaluator.replay.reading import read_recorded
from services.evaluator.replay.results import Results, version_now
from services.evaluator.replay.through_streams import StreamReplay
from services.evaluator.scorecard import canonical_json
from shared.broker import Broker
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.events import Consent, Event, ScorecardReady, SessionStarted
from shared.retention import Retention, consent_to_state
from shared.streams import new_session_id
from shared.wire import event_from_json
from tests.pipeline.test_recording import call, tone
from tests.services.evaluator.replay.test_through_streams import evaluator

DEMO_CALL = Path(__file__).parents[1] / "fixtures" / "events" / "demo_call.jsonl"


@dataclass(frozen=True)
class Ways:
    """What was said live, what the job kept, and what each way of replaying says."""

    live: bytes
    kept: bytes | None
    in_process: bytes
    through_streams: bytes
    as_job: bytes


async def all_ways(broker: Broker, session_id: str, folder: Path) -> Ways:
    """Archive an ended session and replay it in each way."""
    store = RecordingStore(str(folder / "recordings"))
    job = JobContext(broker.client, default_detector(), broker.n_shards, Retention(60, 20), 3, recordings=store)
    assert await final_scorecard({"job": job, "job_try": 3}, session_id) == "equal"
    keys = broker.keys(session_id)
    assert await Archiver(broker.client, store, default_detector()).archive(keys, 60_000) == "archived"
    recorded = read_recorded(store, session_id)
    live = next(event.body for event in recorded.events if isinstance(event.body, ScorecardReady))
    replayed = replay(recorded)
    assert replayed.agreement == "equal"
    results = Results(folder / "results", version_now(load_knowledge(), default_detector()))
    results.open()
    work = EvaluateContext(store, results, default_detector())
    assert await evaluate_recording({"work": work, "job_try": 1}, session_id) == "done"
    async with evaluator(broker):
        streamed = await StreamReplay(broker, recorded.events, 0).run()
    as_job = (results.folder / session_id / "scorecard.json").read_bytes()
    return Ways(canonical_json(live.scorecard), recorded.scorecard, replayed.card, streamed, as_job)


def assert_all_the_same(ways: Ways) -> None:
    assert ways.live == ways.kept == ways.in_process == ways.through_streams == ways.as_job


async def test_a_call_through_all_services(broker: Broker, tmp_path: Path) -> None:
    _, session_id = await call(broker, tone())
    assert_all_the_same(await all_ways(broker, session_id, tmp_path))


async def test_a_spoken_role_play(broker: Broker, tmp_path: Path) -> None:
    session_id = new_session_id(broker.clock.wall_ms())
    events = demo_call(session_id)
    async with evaluator(broker):
        await serve_live(broker, session_id, events)
    ways = await all_ways(broker, session_id, tmp_path)
    assert_all_the_same(ways)
    card = json.loads(ways.live)
    assert (len(card["turns"]), card["session"]["hugo_is"]) == (8, "coach")


def demo_call(session_id: str) -> list[Event]:
    """Return the events of a spoken role-play, as another session's, with consent to keep what was said."""
    lines = DEMO_CALL.read_text(encoding="utf-8").splitlines()
    events = [replace(event_from_json(json.loads(line)), session_id=session_id) for line in lines]
    started = events[0].body
    assert isinstance(started, SessionStarted)
    return [replace(events[0], body=replace(started, consent=Consent(store_transcript=True))), *events[1:]]


async def serve_live(broker: Broker, session_id: str, events: Sequence[Event]) -> None:
    """Have a live evaluator serve the session from its first event to its scorecard."""
    keys = broker.keys(session_id)
    broker.publish_event(keys, events[0])
    assert await broker.writer.drain()
    await broker.client.hset(keys.state, mapping=consent_to_state(Consent(store_transcript=True)))
    await broker.client.xadd("sb:evaluator", {"sid": session_id})
    for event in events[1:]:
        broker.publish_event(keys, event)
    async with asyncio.timeout(20):
        while not any(isinstance(e.body, ScorecardReady) for e in (await broker.history(session_id))[0]):
            await asyncio.sleep(0.001)
