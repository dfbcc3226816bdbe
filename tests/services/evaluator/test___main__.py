from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.evaluator.__main__ import main, serve
from services.evaluator.evaluation import evaluate_events
from services.evaluator.jobs import read_events
from services.evaluator.scorecard import canonical_json
from services.evaluator.settings import EvaluatorSettings
from shared.broker import Broker
from shared.events import Event, ScorecardReady, TurnScored
from shared.leases import RequestQueue
from shared.runner import ServiceContext
from shared.streams import request_stream
from shared.testing.brokers import running
from shared.wire import decode_event


def test_check_says_what_it_found_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0
    said = capsys.readouterr().out
    assert "settings are right" in said
    assert "metrics, knowledge" in said


def test_wrong_settings_end_with_their_list(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLITBRAIN_EVALUATOR_MAX_SESSIONS", "none")
    assert main(["--check"]) == 2
    assert "SPLITBRAIN_EVALUATOR_MAX_SESSIONS" in capsys.readouterr().err


def test_recordings_that_could_be_kept_nowhere_are_a_wrong_setting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLITBRAIN_EVALUATOR_RECORDINGS", "nowhere://x")
    assert main(["--check"]) == 2
    assert "recordings cannot be kept at 'nowhere://x'" in capsys.readouterr().err


async def test_sessions_and_jobs_in_one_process(
    real_broker: Broker, real_redis_url: str, role_play: list[Event]
) -> None:
    """A session is asked for, its events arrive one by one, and card and check come out at the other end."""
    settings = EvaluatorSettings(redis_url=real_redis_url, jobs_delay_s=0, jobs_poll_s=0.05, worker_id="e1")
    context = ServiceContext(real_broker)
    session_id = role_play[0].session_id
    keys = real_broker.keys(session_id)
    carded = asyncio.Event()

    def look(_: str, entries: list[tuple[str, bytes]]) -> None:
        if any(isinstance(decode_event(data).body, ScorecardReady) for _, data in entries):
            carded.set()

    # The onlooker has a broker of its own: a reader has one callback per stream, and the service's is taken.
    async with running(Broker.open(real_redis_url)) as onlooker, asyncio.timeout(20):
        onlooker.reader.subscribe(keys.events, "0", look)
        for event in role_play[:40]:
            onlooker.publish_event(keys, event)
        assert await onlooker.writer.drain()
        await RequestQueue(onlooker).admit(request_stream("evaluator"), session_id, {}, by_slots=False)
        service = asyncio.create_task(serve(context, settings, ""))
        for event in role_play[40:]:
            onlooker.publish_event(keys, event)
        await carded.wait()
        while not (stored := await onlooker.client.get(onlooker.keys(session_id).scorecard)):
            await asyncio.sleep(0.02)
        context.stopping.set()
        await service
    events = await read_events(real_broker.client, keys.events)
    (ready,) = [event for event in events if isinstance(event.body, ScorecardReady)]
    assert canonical_json(ready.body.scorecard) == stored == evaluate_events(role_play).to_bytes()
    scored = [event.body.turn for event in events if isinstance(event.body, TurnScored)]
    assert scored == [f"u{n}" for n in range(1, 10)]


@pytest.mark.parametrize("only", ["sessions", "jobs"])
async def test_each_half_runs_alone(real_broker: Broker, real_redis_url: str, only: str, tmp_path: Path) -> None:
    context = ServiceContext(real_broker)
    started = {"sessions": {"sessions"}, "jobs": {"jobs", "recordings"}}[only]
    settings = EvaluatorSettings(
        redis_url=real_redis_url, jobs_poll_s=0.05, worker_id="e2", recordings=str(tmp_path / "recordings")
    )
    service = asyncio.create_task(serve(context, settings, only))
    async with asyncio.timeout(20):
        while not context.ready:
            await asyncio.sleep(0)
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert ({"sessions", "jobs", "recordings"} & names) == started
        context.stopping.set()
        await service
