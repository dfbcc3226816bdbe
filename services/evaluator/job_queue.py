"""The arq queue of the evaluator: connection, enqueuing, the worker's settings and its running.

Jobs and results travel as msgpack, never as pickle. Job ids are made from what the job is about, so that
enqueuing twice runs it once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import msgpack
from arq.connections import ArqRedis
from arq.constants import result_key_prefix
from arq.jobs import Job
from arq.worker import Worker, create_worker, func
from redis.asyncio import ConnectionPool

from services.evaluator.bounded_job import bounded
from services.evaluator.jobs import JobContext, final_scorecard
from services.evaluator.recording_job import archive_recording
from services.evaluator.settings import EvaluatorSettings
from shared.broker.connection import CALL_TIMEOUT_S, TRANSIENT
from shared.broker.sentinel import is_sentinel, sentinel_pool
from shared.clock import Clock, SystemClock
from shared.ended_sessions import Ended

log = logging.getLogger(__name__)

MAX_JOB_BYTES = 64 * 1024
TIMEOUT_SPARE_S = 10
"""A job stops itself at its time limit and is tried again; arq, which would give it up, waits so much longer."""

STOP_GRACE_S = 1.0
"""How long jobs that run may go on when the process stops; then they go back on the queue."""

CANCEL_AGAIN_S = 0.5

BACKOFF_S = 1.0
MAX_BACKOFF_S = 10.0


def serialize(value: dict[str, Any]) -> bytes:
    """Return a job or result as msgpack. A failed job's exception goes as its type and text."""
    return msgpack.packb(value, default=_plain)  # type: ignore[no-any-return]


def deserialize(data: bytes) -> dict[str, Any]:
    """Return a job or result. Raises ValueError for what is too large or no map; arq then fails the job."""
    if len(data) > MAX_JOB_BYTES:
        raise ValueError(f"a job has {len(data)} bytes; the limit is {MAX_JOB_BYTES}")
    value = msgpack.unpackb(data, strict_map_key=True)
    if not isinstance(value, dict):
        raise ValueError("a job is a map")
    return value


def _plain(value: object) -> object:
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "message": str(value)[:500]}
    raise TypeError(f"{type(value).__name__} cannot be part of a job")


class JobPool(ArqRedis):
    """arq's client with our serialiser, and with the `close` that redis-py still knows."""

    def __init__(self, pool: ConnectionPool, queue: str) -> None:
        super().__init__(
            pool_or_conn=pool, job_serializer=serialize, job_deserializer=deserialize, default_queue_name=queue
        )

    async def close(self, close_connection_pool: bool | None = None) -> None:
        await self.aclose(close_connection_pool)


def open_pool(settings: EvaluatorSettings) -> JobPool:
    """Return a client of the queue's Redis; it connects at its first call."""
    open_one = sentinel_pool if is_sentinel(settings.queue_url) else ConnectionPool.from_url
    pool = open_one(settings.queue_url, socket_timeout=CALL_TIMEOUT_S, socket_connect_timeout=CALL_TIMEOUT_S)
    client = JobPool(pool, settings.jobs_queue)
    client.auto_close_connection_pool = True
    return client


class JobQueue:
    """Puts jobs on the queue."""

    def __init__(self, pool: ArqRedis, settings: EvaluatorSettings) -> None:
        self._pool = pool
        self._settings = settings

    async def final_scorecard(self, session_id: str) -> None:
        """Have a session's card checked and kept. Raises Redis errors; calling twice changes nothing.

        A job that was set aside is forgotten first: whoever asks for it again means it.
        """
        job_id = f"final_scorecard:{session_id}"
        earlier = await Job(job_id, self._pool, self._settings.jobs_queue, deserialize).result_info()
        if earlier and not earlier.success:
            await self._pool.delete(f"{result_key_prefix}{job_id}")
        await self._pool.enqueue_job(
            "final_scorecard",
            session_id,
            _job_id=job_id,
            _defer_by=timedelta(seconds=self._settings.jobs_delay_s),
        )

    async def archive_recording(self, ended: Ended) -> None:
        """Have a claimed session archived. Raises Redis errors.

        The id names the try: a job whose process was killed holds its own id for a minute, and not that of the next.
        """
        job_id = f"archive_recording:{ended.session_id}:{ended.tries}:{ended.age_ms}"
        await self._pool.enqueue_job("archive_recording", ended.session_id, ended.age_ms, ended.tries, _job_id=job_id)


def worker_settings(settings: EvaluatorSettings, job: JobContext, pool: ArqRedis) -> dict[str, Any]:
    """Return the settings that `arq.worker.create_worker` takes.

    A finished job's id stays known for as long as a session's keys without consent: enqueued again within that, the job
    does not run again, unless it failed.
    """
    return {
        "functions": [
            func(bounded("final_scorecard", final_scorecard), name="final_scorecard"),
            func(archive_recording, name="archive_recording", keep_result=0, max_tries=1),
        ],
        "redis_pool": pool,
        "queue_name": settings.jobs_queue,
        "ctx": {"job": job},
        "job_serializer": serialize,
        "job_deserializer": deserialize,
        "max_jobs": settings.jobs_max,
        "job_timeout": settings.jobs_timeout_s + TIMEOUT_SPARE_S,
        "max_tries": settings.jobs_max_tries + 1,  # the one that sets aside what ended its process each time
        "keep_result": job.retention.without_consent_s,
        "poll_delay": settings.jobs_poll_s,
        "handle_signals": False,
        "log_results": False,
    }


async def run_jobs(make_worker: Callable[[], Worker], stopping: asyncio.Event, clock: Clock | None = None) -> None:
    """Run jobs until `stopping` is set; then stop taking any, and put what still runs back on the queue.

    A lost Redis ends an arq worker: a new one is started after a pause that grows up to 10 s.
    """
    clock = clock or SystemClock()
    backoff_s = BACKOFF_S
    while not stopping.is_set():
        worker = make_worker()
        running = asyncio.create_task(worker.async_run(), name="jobs")
        stop = asyncio.create_task(stopping.wait(), name="jobs-stop")
        try:
            await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        except TRANSIENT as error:
            log.warning("the job worker lost Redis (%s); it starts again in %.0f s", type(error).__name__, backoff_s)
        finally:
            stop.cancel()
            await _close(worker, running)
        if not stopping.is_set():
            await clock.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)


async def _close(worker: Worker, running: asyncio.Task[None]) -> None:
    """Let what runs finish for a moment, put the rest back on the queue, and close the connection."""
    worker.allow_pick_jobs = False
    while not running.done():  # redis-py forgets a cancellation that comes as a call of it is done (shared.clock)
        running.cancel()
        await asyncio.wait({running}, timeout=CANCEL_AGAIN_S)
    with suppress(asyncio.CancelledError, *TRANSIENT):
        running.result()
    if tasks := set(worker.tasks.values()):
        _, left = await asyncio.wait(tasks, timeout=STOP_GRACE_S)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=CALL_TIMEOUT_S)
    # arq's own close gathers these, and one that was cancelled would end it before the connection is closed.
    worker.tasks.clear()
    with suppress(*TRANSIENT):
        async with asyncio.timeout(CALL_TIMEOUT_S * 2):
            await worker.close()


def make_worker(settings: EvaluatorSettings, job: JobContext) -> Worker:
    """Return an arq worker with a connection of its own."""
    return create_worker(worker_settings(settings, job, open_pool(settings)))
