"""The job around archiving: a session stays on the list until its recording is there, whatever fails in between."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from arq.worker import create_worker

from services.evaluator import recording_job, telemetry
from services.evaluator.job_queue import JobQueue, open_pool, run_jobs, worker_settings
from services.evaluator.jobs import JobContext
from services.evaluator.recording.archive import Archiver
from services.evaluator.recording.manifest import RecordingError
from services.evaluator.recording.reader import read_recording
from services.evaluator.recording.store import RecordingStore
from services.evaluator.recording_job import (
    MAX_TRIES,
    SET_ASIDE_MS,
    STORE_AWAY_MS,
    archive_recording,
    find_due,
    keep_recordings,
    remove_unfinished,
)
from services.evaluator.settings import EvaluatorSettings
from shared.broker import Broker
from shared.clock import ManualClock
from shared.coaching.detector import default_detector
from shared.dead_letters import DeadLetters
from shared.ended_sessions import CLAIM_MS, Ended, EndedSessions
from shared.events import Event
from shared.retention import Retention
from shared.streams import ENDED_DUE_KEY, ENDED_TRIES_KEY
from tests.services.evaluator.recording.conftest import put_session

MISSING = "01jd0000000000000000000009"


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    return RecordingStore(str(tmp_path / "recordings"))


def context(broker: Broker, store: RecordingStore | None, **more: Any) -> dict[str, Any]:
    job = JobContext(broker.client, default_detector(), broker.n_shards, Retention(60, 20), 3, recordings=store, **more)
    return {"job": job}


async def claimed(broker: Broker, session_id: str) -> Ended:
    """Put a session on the list and claim it, whatever claims there were."""
    ended = EndedSessions(broker.client)
    await ended.add(session_id, 0)
    await broker.client.zadd(ENDED_DUE_KEY, {session_id: 0})
    (found,) = await ended.claim(10)
    return found


async def due_in_ms(broker: Broker, session_id: str) -> float:
    seconds, micros = await broker.client.time()
    return float(await broker.client.zscore(ENDED_DUE_KEY, session_id)) - seconds * 1000 - micros / 1000


async def run(broker: Broker, store: RecordingStore | None, session_id: str, **more: Any) -> str:
    each = await claimed(broker, session_id)
    return await archive_recording(context(broker, store, **more), session_id, each.age_ms, each.tries)


async def test_an_archived_session_leaves_the_list(
    broker: Broker, store: RecordingStore, role_play: list[Event]
) -> None:
    session = await put_session(broker, role_play)
    before = telemetry.RECORDINGS.labels("archived")._value.get()
    assert await run(broker, store, session.id) == "archived"
    assert await EndedSessions(broker.client).waiting() == 0
    assert telemetry.RECORDINGS.labels("archived")._value.get() == before + 1
    assert await run(broker, store, session.id) == "there"
    assert store.ids() == [session.id]


async def test_what_is_on_its_way_is_looked_at_again_and_costs_no_try(
    broker: Broker, store: RecordingStore, role_play: list[Event]
) -> None:
    session = await put_session(broker, role_play, with_card=False)
    assert await run(broker, store, session.id) == "not_yet"
    assert await EndedSessions(broker.client).listed(session.id)
    assert 0 < await due_in_ms(broker, session.id) <= recording_job.NOT_YET_MS
    assert not await broker.client.hexists(ENDED_TRIES_KEY, session.id)


async def test_a_session_of_which_nothing_is_left_is_counted_and_forgotten(
    broker: Broker, store: RecordingStore, caplog: pytest.LogCaptureFixture
) -> None:
    assert await run(broker, store, MISSING) == "gone"
    assert "left nothing" in caplog.text
    assert await EndedSessions(broker.client).waiting() == 0


async def test_a_place_that_is_away_is_waited_for(
    real_broker: Broker, store: RecordingStore, role_play: list[Event], tmp_path: Path
) -> None:
    session = await put_session(real_broker, role_play)
    (tmp_path / "recordings").write_text("not a folder")
    for _ in range(MAX_TRIES + 1):
        assert await run(real_broker, store, session.id) == "store_away"
    assert CLAIM_MS < await due_in_ms(real_broker, session.id) <= STORE_AWAY_MS
    (tmp_path / "recordings").unlink()
    assert await run(real_broker, store, session.id) == "archived"


async def test_a_lost_redis_lets_the_claim_lapse(store: RecordingStore) -> None:
    broker = Broker.open("redis://127.0.0.1:1/0")
    assert await archive_recording(context(broker, store), MISSING, 0, 1) == "redis_away"
    await broker.aclose()


async def test_what_fails_each_time_is_set_aside_and_tried_again_later(
    broker: Broker, store: RecordingStore, role_play: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await put_session(broker, role_play)

    async def fail(*_: object) -> str:
        raise RecordingError("some words of hers")

    with monkeypatch.context() as patch:
        patch.setattr(Archiver, "archive", fail)
        outcomes = [await run(broker, store, session.id) for _ in range(MAX_TRIES)]
    assert outcomes == ["failed"] * (MAX_TRIES - 1) + ["set_aside"]
    ((_, letter),) = await DeadLetters(broker.client).all()
    assert (letter.kind, letter.about, letter.attempts) == ("job", "archive_recording", MAX_TRIES)
    assert "hers" not in letter.reason
    assert STORE_AWAY_MS < await due_in_ms(broker, session.id) <= SET_ASIDE_MS
    assert await run(broker, store, session.id) == "archived"


async def test_a_name_that_is_no_session_is_taken_off(broker: Broker, store: RecordingStore) -> None:
    assert await run(broker, store, "../../etc") == "gone"
    assert await EndedSessions(broker.client).waiting() == 0


async def test_without_a_place_nothing_is_done(broker: Broker) -> None:
    assert await run(broker, None, MISSING) == "off"
    assert await EndedSessions(broker.client).listed(MISSING)


async def test_a_claim_is_kept_while_the_work_goes_on(
    real_broker: Broker, store: RecordingStore, role_play: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await put_session(real_broker, role_play)
    clock, begun, go_on = ManualClock(), asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> str:
        begun.set()
        await go_on.wait()
        return "archived"

    monkeypatch.setattr(Archiver, "archive", slow)
    each = await claimed(real_broker, session.id)
    work = asyncio.create_task(archive_recording(context(real_broker, store, clock=clock), session.id, each.age_ms, 1))
    await begun.wait()
    await real_broker.client.zadd(ENDED_DUE_KEY, {session.id: 0})
    await clock.advance(CLAIM_MS / 1000)
    async with asyncio.timeout(10):
        while await due_in_ms(real_broker, session.id) < 0:
            await asyncio.sleep(0)
    go_on.set()
    assert await work == "archived"


async def test_due_sessions_are_enqueued_once_and_again_if_nobody_ends_them(broker: Broker) -> None:
    clock, stopping = ManualClock(), asyncio.Event()
    found: asyncio.Queue[Ended] = asyncio.Queue()
    ended = EndedSessions(broker.client)
    await ended.add(MISSING, 0)
    task = asyncio.create_task(find_due(broker.client, found.put, stopping, clock))
    async with asyncio.timeout(10):
        assert (await found.get()).tries == 1
        await broker.client.zadd(ENDED_DUE_KEY, {MISSING: 0})
        while found.empty():
            await clock.advance(recording_job.LOOK_EVERY_S)
            await asyncio.sleep(0)
        assert (await found.get()).tries == 2
        stopping.set()
        await task


async def test_a_lost_redis_does_not_end_the_look_out() -> None:
    broker, clock, stopping = Broker.open("redis://127.0.0.1:1/0"), ManualClock(), asyncio.Event()

    async def never(_: Ended) -> None:
        raise AssertionError

    task = asyncio.create_task(find_due(broker.client, never, stopping, clock))
    await asyncio.sleep(0)
    stopping.set()
    async with asyncio.timeout(10):
        await task
    await broker.aclose()


async def test_half_written_ones_go_unless_their_session_is_on_the_list_or_they_are_young(
    broker: Broker, store: RecordingStore, tmp_path: Path
) -> None:
    old, listed, young, whole = (f"{n}" * 26 for n in range(1, 5))
    for each in (old, listed, young, whole):
        store.write(each, "input.ogg", b"half")
    store.write(whole, "manifest.json", b"{}")
    for each in (old, listed, whole):
        os.utime(tmp_path / "recordings" / each / "input.ogg", (0, 0))
    await EndedSessions(broker.client).add(listed)
    assert await remove_unfinished(store, broker.client) == 1
    assert (store.unfinished(), store.ids()) == ([listed, young], [whole])


async def test_a_place_that_refuses_is_told_and_the_look_out_goes_on(
    broker: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "recordings").write_text("not a folder")
    stopping = asyncio.Event()
    stopping.set()
    store = RecordingStore(str(tmp_path / "recordings" / "below"))

    async def never(_: Ended) -> None:
        raise AssertionError

    await keep_recordings(store, broker.client, never, stopping, ManualClock())
    assert "recordings cannot be kept now" in caplog.text


async def test_from_the_list_over_the_queue_into_the_store(
    real_broker: Broker, real_redis_url: str, store: RecordingStore, role_play: list[Event]
) -> None:
    """As the service runs it: a look claims and enqueues, a worker archives, the list is empty."""
    settings = EvaluatorSettings(redis_url=real_redis_url, jobs_poll_s=0.05)
    session = await put_session(real_broker, role_play)
    ended, stopping = EndedSessions(real_broker.client), asyncio.Event()
    await ended.add(session.id, 0)
    pool = open_pool(settings)
    job = context(real_broker, store)["job"]
    queue = JobQueue(pool, settings)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(
            run_jobs(lambda: create_worker(worker_settings(settings, job, open_pool(settings))), stopping)
        )
        group.create_task(
            keep_recordings(store, real_broker.client, queue.archive_recording, stopping, real_broker.clock)
        )
        while await ended.waiting():
            await asyncio.sleep(0.01)
        stopping.set()
    await pool.aclose()
    assert list(read_recording(store, session.id).events) == list(session.events)
