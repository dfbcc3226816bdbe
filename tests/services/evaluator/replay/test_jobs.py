"""The job: once or twice, here or there, the same files; what cannot be evaluated says why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from arq import Retry

from services.evaluator.comparing.report import judges
from services.evaluator.evaluation import scorecard_bytes
from services.evaluator.job_queue import open_pool
from services.evaluator.judge.judge import open_judge
from services.evaluator.judge.settings import JudgeSettings
from services.evaluator.recording.manifest import StoreError
from services.evaluator.recording.store import RecordingStore
from services.evaluator.replay import jobs
from services.evaluator.replay.jobs import (
    MAX_TRIES,
    EvaluateContext,
    RecordingQueue,
    evaluate_recording,
    make_recording_worker,
)
from services.evaluator.replay.results import Results, read_run, version_now
from services.evaluator.settings import EvaluatorSettings
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.events import Event
from shared.testing.chat_endpoint import Step, chat_endpoint
from tests.services.evaluator.replay.conftest import LiveSession, put_recording


@pytest.fixture
def work(store: RecordingStore, tmp_path: Path) -> EvaluateContext:
    results = Results(tmp_path / "results", version_now(load_knowledge(), default_detector()))
    results.open()
    return EvaluateContext(store, results, default_detector())


def files(work: EvaluateContext) -> dict[str, bytes]:
    folder = work.results.folder
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_once_or_twice_the_same_files(work: EvaluateContext, live: LiveSession) -> None:
    recording_id = await asyncio.to_thread(put_recording, work.store, live.stream)
    ctx = {"work": work, "job_try": 1}
    assert await evaluate_recording(ctx, recording_id) == "done"
    first = files(work)
    assert await evaluate_recording(ctx, recording_id) == "done"
    assert files(work) == first
    assert first[f"{recording_id}/scorecard.json"] == scorecard_bytes(live.stream)
    source = work.results.source(recording_id)
    assert source is not None
    assert source.agreement == "equal"


async def test_what_is_bad_says_why(work: EvaluateContext, monkeypatch: pytest.MonkeyPatch, live: LiveSession) -> None:
    ctx: dict[str, Any] = {"work": work, "job_try": 1}
    assert await evaluate_recording(ctx, "0" * 26) == "the recording is not there"
    assert "no recording's id" in await evaluate_recording(ctx, "../../etc/passwd")

    def away(*_: object) -> None:
        raise StoreError("the store is away")

    monkeypatch.setattr(jobs, "read_recorded", away)
    with pytest.raises(Retry):
        await evaluate_recording(ctx, "0" * 26)
    assert await evaluate_recording({**ctx, "job_try": MAX_TRIES}, "0" * 26) == "the store is away"

    def broken(*_: object) -> None:
        raise KeyError("turn")

    monkeypatch.setattr(jobs, "read_recorded", broken)
    assert await evaluate_recording(ctx, "0" * 26) == "KeyError: 'turn'"


async def test_over_the_queue(
    real_redis_url: str, work: EvaluateContext, talk_of: Callable[[int], list[Event]]
) -> None:
    ids = [put_recording(work.store, talk_of(number)) for number in range(5)]
    settings = EvaluatorSettings(redis_url=real_redis_url, jobs_queue="sb:jobs:test")
    pool = open_pool(settings)
    queue = RecordingQueue(pool, settings.jobs_queue)
    await queue.put([*ids, "0" * 26])
    assert await queue.outcomes(ids) == {}
    workers = [make_recording_worker(open_pool(settings), queue.name, work) for _ in range(2)]
    served = [asyncio.create_task(worker.async_run()) for worker in workers]
    outcomes: dict[str, str] = {}
    async with asyncio.timeout(20):
        while len(outcomes) < 6:
            outcomes = await queue.outcomes([*ids, "0" * 26])
            await asyncio.sleep(0.001)
    for worker, task in zip(workers, served, strict=True):
        task.cancel()
        await asyncio.wait({task})
        await worker.close()
    assert outcomes == {**dict.fromkeys(ids, "done"), "0" * 26: "the recording is not there"}
    for number, recording_id in enumerate(ids):
        assert files(work)[f"{recording_id}/scorecard.json"] == scorecard_bytes(talk_of(number))
    await queue.forget(outcomes)
    await queue.remove()
    assert await pool.keys("*") == []
    await pool.aclose()


async def test_a_job_that_a_dead_worker_had_is_free_at_once(
    real_redis_url: str, work: EvaluateContext, live: LiveSession
) -> None:
    recording_id = await asyncio.to_thread(put_recording, work.store, live.stream)
    settings = EvaluatorSettings(redis_url=real_redis_url, jobs_queue="sb:jobs:test")
    pool = open_pool(settings)
    queue = RecordingQueue(pool, settings.jobs_queue)
    await queue.put([recording_id])
    await pool.set(f"arq:in-progress:sb:jobs:test:{recording_id}", "1", px=600_000)  # as one that was killed leaves it
    await queue.free([recording_id])
    worker = make_recording_worker(open_pool(settings), queue.name, work)
    worker.burst = True
    async with asyncio.timeout(20):
        await worker.async_run()
    await worker.close()
    assert await queue.outcomes([recording_id]) == {recording_id: "done"}
    await pool.aclose()


def missed(request: dict[str, Any]) -> Step:
    """Answer as a model that finds every technique missed and no attitude."""
    system, user = (message["content"] for message in request["messages"])
    criterion = system.split('{"criterion": "')[1].split('"')[0]
    word = "missed" if criterion[0].isdigit() else "no"
    return json.dumps({"criterion": criterion, "evidence": json.loads(user)["turn"], "verdict": word})


async def test_a_model_judges_a_second_time(work: EvaluateContext, live: LiveSession, tmp_path: Path) -> None:
    recording_id = await asyncio.to_thread(put_recording, work.store, live.stream)
    async with chat_endpoint(answer=missed) as server:
        by = JudgeSettings(base_url=server.url, model="m-1", retry_wait_s=0.0)
        results = Results(tmp_path / "results", version_now(load_knowledge(), work.detector, by))
        results.open()
        async with open_judge(by) as judge:
            ctx = {"work": replace(work, results=results, judge=judge), "job_try": 1}
            assert await evaluate_recording(ctx, recording_id) == "done"
    run = read_run(results.folder)
    assert (judges(run.cards), run.version["judge"][:6]) == ({"m-1": 1}, "m-1:7:")
    assert results.folder != work.results.folder
    source = results.source(recording_id)
    assert source is not None
    assert source.agreement == "not_recorded"


async def test_a_card_is_not_kept_where_the_model_was_silent(work: EvaluateContext, live: LiveSession) -> None:
    recording_id = await asyncio.to_thread(put_recording, work.store, live.stream)
    async with chat_endpoint(500) as server:
        by = JudgeSettings(base_url=server.url, max_tries=1, retry_wait_s=0.0)
        async with open_judge(by) as judge:
            ctx = {"work": replace(work, judge=judge), "job_try": 1}
            assert "left questions unanswered" in await evaluate_recording(ctx, recording_id)
    assert work.results.source(recording_id) is None
