"""Many recordings at once: the arq job that evaluates one, its queue, and the worker that runs it.

A job names a recording and nothing else: where recordings are and where results go its worker was told at its start,
so that nobody who writes to the queue can have other places read or written. Doing a job twice changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from arq import Retry
from arq.connections import ArqRedis
from arq.constants import (
    health_check_key_suffix,
    in_progress_key_prefix,
    job_key_prefix,
    result_key_prefix,
    retry_key_prefix,
)
from arq.worker import Worker, create_worker, func

from services.evaluator.job_queue import JobPool, deserialize, serialize
from services.evaluator.judge.card import judged
from services.evaluator.judge.judge import Judge
from services.evaluator.recording.manifest import RecordingError, StoreError
from services.evaluator.recording.store import RecordingStore
from services.evaluator.replay.in_process import Replayed, events_for_evaluator, replay
from services.evaluator.replay.reading import read_recorded
from services.evaluator.replay.results import Results
from shared.coaching.detection import Detector
from shared.errors import SplitbrainError

log = logging.getLogger(__name__)

NAME: Final = "evaluate_recording"

MAX_TRIES: Final = 4
"""A recording that ends its process so often is given up."""

TIMEOUT_S: Final = 600
"""For one recording, beside what a judge may take. The longest that a session can be takes a hundredth of it."""

KEPT_S: Final = 3600
POLL_S: Final = 0.05

DONE: Final = "done"


@dataclass(frozen=True, slots=True)
class EvaluateContext:
    """What the jobs of a worker work with. `judge`: a language model that judges each card a second time."""

    store: RecordingStore
    results: Results
    detector: Detector
    judge: Judge | None = None


class JudgeSilent(SplitbrainError):
    """The model left questions unanswered: such a card is not kept, since the next try may give another one."""


async def evaluate_recording(ctx: dict[str, Any], recording_id: str) -> str:
    """Evaluate one recording and keep its result; return `done`, or why that cannot be.

    A store that does not answer is tried again, MAX_TRIES times in all.
    """
    work: EvaluateContext = ctx["work"]
    try:
        if work.judge is None:
            await asyncio.to_thread(evaluate_one, work, recording_id)
        else:
            await evaluate_judged(work, work.judge, recording_id)
    except StoreError as error:
        if ctx["job_try"] < MAX_TRIES:
            raise Retry(defer=1) from error
        return str(error)
    except (RecordingError, JudgeSilent) as error:
        return str(error)
    except Exception as error:
        log.exception("a recording could not be evaluated")
        return f"{type(error).__name__}: {error}"[:500]
    return DONE


def evaluate_one(work: EvaluateContext, recording_id: str) -> None:
    """Evaluate one recording and keep its result. Blocks. Raises RecordingError, StoreError, OSError."""
    recorded = read_recorded(work.store, recording_id)
    work.results.put(replay(recorded, work.detector), recorded.sha256, recorded.media_ms)


async def evaluate_judged(work: EvaluateContext, judge: Judge, recording_id: str) -> None:
    """The same with a model as second judge; its card is compared with no recorded one. Raises JudgeSilent too."""
    recorded = await asyncio.to_thread(read_recorded, work.store, recording_id)
    card = await judged(events_for_evaluator(recorded.events), judge)
    if failed := card.data["judge"]["questions"]["failed"]:
        why = ", ".join(f"{n} {cause}" for cause, n in failed.items())
        raise JudgeSilent(f"the judge left questions unanswered ({why}): run it again")
    replayed = Replayed(recording_id, card.to_bytes())
    await asyncio.to_thread(work.results.put, replayed, recorded.sha256, recorded.media_ms)


class RecordingQueue:
    """The queue of one `evaluate`: what is on it, what came of it, and its removal. Raises what Redis raises."""

    def __init__(self, pool: ArqRedis, name: str) -> None:
        self._pool = pool
        self.name = name

    def _job_id(self, recording_id: str) -> str:
        return f"{self.name}:{recording_id}"

    async def put(self, recording_ids: Iterable[str]) -> None:
        """Have recordings evaluated."""
        for recording_id in recording_ids:
            await self._pool.enqueue_job(NAME, recording_id, _job_id=self._job_id(recording_id))
        await self._pool.expire(self.name, 24 * KEPT_S)

    async def outcomes(self, recording_ids: Iterable[str]) -> dict[str, str]:
        """Return what came of those that are finished: `done`, or why not."""
        asked = list(recording_ids)
        if not asked:
            return {}
        raw = await self._pool.mget([f"{result_key_prefix}{self._job_id(each)}" for each in asked])
        return {each: _outcome(data) for each, data in zip(asked, raw, strict=True) if data is not None}

    async def free(self, recording_ids: Iterable[str]) -> None:
        """Let recordings that a dead worker had be taken by others at once; one that runs elsewhere may run twice."""
        keys = [f"{in_progress_key_prefix}{self._job_id(each)}" for each in recording_ids]
        if keys:
            await self._pool.delete(*keys)

    async def forget(self, recording_ids: Iterable[str]) -> None:
        """Leave nothing in Redis of these."""
        kinds = (job_key_prefix, in_progress_key_prefix, result_key_prefix, retry_key_prefix)
        if keys := [f"{kind}{self._job_id(each)}" for each in recording_ids for kind in kinds]:
            await self._pool.delete(*keys)

    async def remove(self) -> None:
        """Leave nothing in Redis of the queue itself."""
        await self._pool.delete(self.name, f"{self.name}{health_check_key_suffix}")


def _outcome(data: bytes) -> str:
    """Return what a finished job told: its result, or the error that arq has for it."""
    value = deserialize(data).get("r")
    if isinstance(value, dict):
        return str(value.get("message") or value.get("error"))
    return str(value)


def make_recording_worker(pool: JobPool, queue: str, work: EvaluateContext, timeout_s: float = TIMEOUT_S) -> Worker:
    """Return an arq worker for recordings. One at a time: one that ends its process takes no other with it."""
    return create_worker(
        {
            "functions": [func(evaluate_recording, name=NAME)],
            "redis_pool": pool,
            "queue_name": queue,
            "ctx": {"work": work},
            "job_serializer": serialize,
            "job_deserializer": deserialize,
            "max_jobs": 1,
            "job_timeout": timeout_s,
            "max_tries": MAX_TRIES,
            "keep_result": KEPT_S,
            "poll_delay": POLL_S,
            "handle_signals": False,
            "log_results": False,
        }
    )
