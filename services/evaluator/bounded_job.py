"""Bounds the tries of a job: what fails is tried again later, and after the last try set aside with its reason."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from arq import Retry
from arq.typing import WorkerCoroutine

from services.evaluator import telemetry
from services.evaluator.jobs import RETRY_STEP_S, JobContext
from shared import metrics
from shared.broker.connection import TRANSIENT
from shared.dead_letters import DeadLetter, DeadLetters, reason_of
from shared.errors import BadInput, SplitbrainError
from shared.streams import check_session_id, shard_of

log = logging.getLogger(__name__)


class JobSetAside(SplitbrainError):
    """The job's last try failed. Carries no words of the error: the queue keeps this for a day."""


class NeverEnded(SplitbrainError):
    """Each try of the job was cut off: its process ended, or was told to."""


def bounded(name: str, work: Callable[[dict[str, Any], str], Awaitable[str]]) -> WorkerCoroutine:
    """Return the job with its time and its tries bounded by its context.

    It raises Retry after a try that failed, and JobSetAside after the last one. A job that names no session has one
    try. A try that is cancelled goes back on the queue and counts: one that ends its process each time is set aside
    too, by the try behind the last.
    """

    async def run(ctx: dict[str, Any], session_id: str) -> str:
        job: JobContext = ctx["job"]
        attempts: int = ctx["job_try"]
        try:
            if attempts > job.max_tries:
                raise NeverEnded(f"none of {job.max_tries} tries came to an end")
            async with asyncio.timeout(job.timeout_s):
                return await work(ctx, session_id)
        except Exception as error:
            metrics.HANDLER_FAILURES.labels("evaluator").inc()
            cause = error.__cause__ or error if isinstance(error, Retry) else error
            if attempts < job.max_tries and not isinstance(error, BadInput):
                if isinstance(error, Retry):
                    raise
                log.warning("%s failed: %s", name, reason_of(cause))
                raise Retry(defer=RETRY_STEP_S * attempts) from error
            await set_aside(job, name, session_id, min(attempts, job.max_tries), cause)
        raise JobSetAside(f"{name} was set aside")

    return run


async def set_aside(job: JobContext, name: str, session_id: str, attempts: int, error: BaseException) -> None:
    """Set the job aside. Raises Retry where Redis does not take it."""
    known = _known(session_id)
    shard = shard_of(known, job.n_shards) if known else 0
    now_ms = job.clock.wall_ms()
    letter = DeadLetter("evaluator", "job", known, shard, "", name, attempts, reason_of(error), 0, now_ms)
    trace = "".join(traceback.format_tb(error.__traceback__))  # without the error's words: they may be a user's
    log.error("%s was set aside after %d tries: %s\n%s", name, attempts, letter.reason, trace)
    try:
        await DeadLetters(job.client).put(letter, error)
    except TRANSIENT as lost:
        raise Retry(defer=RETRY_STEP_S * attempts) from lost
    telemetry.JOBS.labels(name, "set_aside").inc()


def _known(session_id: str) -> str:
    try:
        return check_session_id(session_id)
    except BadInput:
        return ""
