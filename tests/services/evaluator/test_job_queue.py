from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import fakeredis
import pytest
from arq import worker as arq_worker
from arq.connections import ArqRedis
from arq.jobs import Job
from arq.worker import Worker, create_worker
from redis.asyncio import ConnectionPool

from services.evaluator import job_queue
from services.evaluator.evaluation import evaluate_events
from services.evaluator.job_queue import (
    MAX_JOB_BYTES,
    JobPool,
    JobQueue,
    deserialize,
    make_worker,
    open_pool,
    run_jobs,
    serialize,
    worker_settings,
)
from services.evaluator.jobs import JobContext
from services.evaluator.settings import EvaluatorSettings
from shared.broker import Broker
from shared.clock import ManualClock
from shared.coaching.detector import default_detector
from shared.dead_letters import DeadLetters
from shared.events import Event, ScorecardReady
from shared.retention import Retention
from shared.testing.brokers import running
from shared.testing.sentinel import SentinelServers

MISSING = "01jd0000000000000000000009"


def settings_for(url: str, **more: Any) -> EvaluatorSettings:
    return EvaluatorSettings(redis_url=url, jobs_delay_s=0, jobs_poll_s=0.05, **more)


class Door:
    """The queue's Redis, real or fake: broker, settings, and a way to open a client and a worker."""

    def __init__(self, broker: Broker, url: str) -> None:
        self.broker = broker
        self.settings = settings_for(url)
        self.job = JobContext(
            broker.client, default_detector(), broker.n_shards, Retention(60, 20), self.settings.jobs_max_tries
        )
        self.pools: list[ArqRedis] = []

    def pool(self) -> ArqRedis:
        client = self.broker.client
        if isinstance(client, fakeredis.FakeAsyncRedis):
            pool: ArqRedis = JobPool(client.connection_pool, self.settings.jobs_queue)
            pool.auto_close_connection_pool = False
        else:
            pool = open_pool(self.settings)
        self.pools.append(pool)
        return pool

    def worker(self, **more: Any) -> Worker:
        return create_worker(worker_settings(self.settings, self.job, self.pool()), **more)

    async def burst(self) -> Worker:
        """Run a worker until the queue is empty."""
        worker = self.worker(burst=True)
        await worker.async_run()
        return worker


@pytest.fixture
async def door(broker: Broker, redis_server: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    if isinstance(broker.client, fakeredis.FakeAsyncRedis):

        async def say_nothing(*_: object) -> None:
            """The fake knows no INFO, which arq logs at its start."""

        monkeypatch.setattr(arq_worker, "log_redis_info", say_nothing)
    door = Door(broker, redis_server.url)
    yield door
    for pool in door.pools:
        await pool.aclose()


def test_jobs_travel_as_msgpack() -> None:
    job = {"f": "final_scorecard", "a": ("x",), "k": {}, "t": None, "et": 1}
    data = serialize(job)
    assert deserialize(data) == {**job, "a": ["x"]}
    failed = deserialize(serialize({"r": ValueError("so")}))
    assert failed == {"r": {"error": "ValueError", "message": "so"}}


@pytest.mark.parametrize(
    "data",
    [b"\x80\x04\x95", b"", b"\x93\x01\x02\x03", serialize({"a": b"x" * MAX_JOB_BYTES})],
    ids=["pickle", "empty", "list", "huge"],
)
def test_what_is_no_job_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        deserialize(data)


def test_only_plain_values_go_into_a_job() -> None:
    with pytest.raises(TypeError, match="cannot be part of a job"):
        serialize({"a": object()})


async def test_the_closing_job_runs_once_however_often_it_is_asked(door: Door, role_play: list[Event]) -> None:
    session_id = role_play[0].session_id
    ready = ScorecardReady("1", evaluate_events(role_play).data)
    for event in (*role_play, Event("evaluator:scorecard", session_id, "evaluator", 1, 0, 0, ready)):
        door.broker.publish_event(door.broker.keys(session_id), event)
    assert await door.broker.writer.drain()
    queue = JobQueue(door.pool(), door.settings)
    await queue.final_scorecard(session_id)
    await queue.final_scorecard(session_id)
    first = await door.burst()
    assert (first.jobs_complete, first.jobs_failed) == (1, 0)
    stored = await door.broker.client.get(door.broker.keys(session_id).scorecard)
    assert stored == evaluate_events(role_play).to_bytes()
    await queue.final_scorecard(session_id)  # its id is still known
    again = await door.burst()
    assert again.jobs_complete == 0
    (result,) = await door.pool().all_job_results()
    assert (result.success, result.result) == (True, "equal")
    left = [key async for key in door.broker.client.scan_iter(match=f"arq:*{session_id}*")]
    assert 0 < await door.broker.client.ttl(left[0]) <= 20, "no longer than what is kept without consent"


async def test_what_is_on_the_queue_is_no_pickle(door: Door) -> None:
    await JobQueue(door.pool(), door.settings).final_scorecard(MISSING)
    raw = await door.broker.client.get(f"arq:job:final_scorecard:{MISSING}")
    assert deserialize(raw)["f"] == "final_scorecard"
    assert deserialize(raw)["a"] == [MISSING]


async def test_tries_are_bounded(door: Door) -> None:
    queue = JobQueue(door.pool(), door.settings)
    await queue.final_scorecard(MISSING)
    await door.broker.client.set(f"arq:retry:final_scorecard:{MISSING}", door.settings.jobs_max_tries)
    worker = await door.burst()
    assert (worker.jobs_complete, worker.jobs_failed) == (0, 1)
    assert await door.broker.client.zcard(door.settings.jobs_queue) == 0


async def test_a_job_that_was_set_aside_may_be_asked_for_again(door: Door) -> None:
    queue = JobQueue(door.pool(), door.settings)
    await queue.final_scorecard(MISSING)
    await door.broker.client.set(f"arq:retry:final_scorecard:{MISSING}", door.settings.jobs_max_tries)
    await door.burst()
    ((_, letter),) = await DeadLetters(door.broker.client).all()
    assert (letter.role, letter.kind, letter.about, letter.session_id) == (
        "evaluator",
        "job",
        "final_scorecard",
        MISSING,
    )
    assert letter.attempts == door.settings.jobs_max_tries
    await queue.final_scorecard(MISSING)
    worker = await door.burst()
    assert (worker.jobs_complete, await result_of(door, MISSING)) == (1, "no_events")


async def test_a_bad_session_id_fails_its_job_only(door: Door) -> None:
    pool = door.pool()
    await pool.enqueue_job("final_scorecard", "../../etc", _job_id="bad")
    await JobQueue(pool, door.settings).final_scorecard(MISSING)
    worker = await door.burst()
    assert (worker.jobs_complete, worker.jobs_failed) == (1, 1)


async def result_of(door: Door, session_id: str) -> Any:
    """Wait until a job has its result."""
    job = Job(f"final_scorecard:{session_id}", door.pool(), door.settings.jobs_queue, _deserializer=deserialize)
    return await job.result(timeout=10, poll_delay=0.02)


async def test_the_worker_runs_until_it_is_told_to_stop(door: Door) -> None:
    stopping = asyncio.Event()
    task = asyncio.create_task(run_jobs(door.worker, stopping))
    await JobQueue(door.pool(), door.settings).final_scorecard(MISSING)
    assert await result_of(door, MISSING) == "no_events"
    stopping.set()
    async with asyncio.timeout(10):
        await task


async def test_a_job_cut_by_the_stop_goes_back_on_the_queue(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()

    async def endless(ctx: dict[str, Any], session_id: str) -> str:
        begun.set()
        await asyncio.get_running_loop().create_future()
        return session_id

    monkeypatch.setattr("services.evaluator.job_queue.final_scorecard", endless)
    stopping = asyncio.Event()
    await JobQueue(door.pool(), door.settings).final_scorecard(MISSING)
    task = asyncio.create_task(run_jobs(door.worker, stopping))
    async with asyncio.timeout(10):
        await begun.wait()
        stopping.set()
        await task
    monkeypatch.undo()
    assert await door.broker.client.zcard(door.settings.jobs_queue) == 1
    assert not await door.broker.client.exists(f"arq:in-progress:final_scorecard:{MISSING}")


async def test_a_job_that_is_nearly_done_may_finish(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def short(ctx: dict[str, Any], session_id: str) -> str:
        begun.set()
        await release.wait()
        return session_id

    monkeypatch.setattr("services.evaluator.job_queue.final_scorecard", short)
    made: list[Worker] = []

    def make() -> Worker:
        made.append(door.worker())
        return made[-1]

    stopping = asyncio.Event()
    await JobQueue(door.pool(), door.settings).final_scorecard(MISSING)
    task = asyncio.create_task(run_jobs(make, stopping))
    async with asyncio.timeout(10):
        await begun.wait()
        stopping.set()
        release.set()
        await task
    assert await result_of(door, MISSING) == MISSING
    assert await door.broker.client.zcard(door.settings.jobs_queue) == 0
    assert [worker._pool for worker in made] == [None]  # its connections are closed


class NoWait(ManualClock):
    """A clock whose sleepers wake at once; it keeps what they asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []

    async def sleep(self, delay_s: float) -> None:
        self.asked.append(delay_s)


async def test_a_lost_redis_ends_a_worker_and_the_next_one_is_started(door: Door) -> None:
    """The first workers meet a closed port; after growing pauses another one does the work."""
    clock, stopping = NoWait(), asyncio.Event()
    made: list[Worker] = []
    lost = settings_for("redis://127.0.0.1:1/0")

    def make() -> Worker:
        made.append(door.worker() if len(made) == 6 else make_worker(lost, door.job))
        return made[-1]

    await JobQueue(door.pool(), door.settings).final_scorecard(MISSING)
    task = asyncio.create_task(run_jobs(make, stopping, clock))
    assert await result_of(door, MISSING) == "no_events"
    stopping.set()
    async with asyncio.timeout(10):
        await task
    assert clock.asked == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


async def test_the_runner_ends_though_a_cancellation_was_swallowed(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-py forgets one that comes as a call of it is done (shared.clock); arq then polls on."""
    monkeypatch.setattr(job_queue, "CANCEL_AGAIN_S", 0.01)
    worker, runs, stopping = door.worker(), asyncio.Event(), asyncio.Event()

    async def forgets_the_first() -> None:
        runs.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    monkeypatch.setattr(worker, "async_run", forgets_the_first)
    task = asyncio.create_task(run_jobs(lambda: worker, stopping))
    await runs.wait()
    stopping.set()
    async with asyncio.timeout(5):
        await task


async def test_the_pool_has_time_limits_on_its_calls() -> None:
    pool = open_pool(settings_for("redis://127.0.0.1:1/0"))
    assert isinstance(pool.connection_pool, ConnectionPool)
    assert pool.connection_pool.connection_kwargs["socket_timeout"] is not None
    await pool.aclose()


async def test_the_queue_is_found_by_sentinels() -> None:
    with SentinelServers() as servers:
        async with running(Broker.open(servers.url)) as broker:
            door = Door(broker, servers.url)
            await JobQueue(door.pool(), door.settings).final_scorecard(MISSING)
            worker = await door.burst()
            assert (worker.jobs_complete, await result_of(door, MISSING)) == (1, "no_events")
            for pool in door.pools:
                await pool.aclose()
