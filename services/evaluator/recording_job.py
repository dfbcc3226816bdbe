"""The job that archives an ended session, and the loop that finds those that are due. What archiving is: `recording/`.

A session stays on the list of ended ones until its recording is there, or there can be none: so whatever dies in
between, the next look goes on with it. Claims, not the ids of jobs, keep two processes from the same session.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from services.evaluator import telemetry
from services.evaluator.bounded_job import set_aside
from services.evaluator.jobs import JobContext
from services.evaluator.recording.archive import Archiver, Outcome
from services.evaluator.recording.manifest import RecordingError, StoreError
from services.evaluator.recording.store import UNFINISHED_AFTER_S, RecordingStore
from shared.broker.connection import TRANSIENT, RedisClient
from shared.clock import Clock
from shared.dead_letters import reason_of
from shared.ended_sessions import CLAIM_MS, Ended, EndedSessions
from shared.errors import BadInput
from shared.streams import check_session_id, session_keys

log = logging.getLogger(__name__)

NAME: Final = "archive_recording"

LOOK_EVERY_S: Final = 1.0
PER_LOOK: Final = 4
"""Sessions that one look claims: their jobs begin before the claims lapse. More are left for the other processes."""

NOT_YET_MS: Final = 2_000
STORE_AWAY_MS: Final = 15_000
SET_ASIDE_MS: Final = 600_000
"""A session that was set aside is tried anew so much later, as long as Redis has it."""

MAX_TRIES: Final = 5


async def archive_recording(ctx: dict[str, Any], session_id: str, age_ms: int, tries: int) -> str:
    """Archive a claimed session; return what came of it: an Outcome, or store_away, redis_away, set_aside, failed, off.

    `age_ms` is how long ago it ended when it was claimed, `tries` which claim that was without an end.
    """
    job: JobContext = ctx["job"]
    ended = EndedSessions(job.client)
    began_s = job.clock.monotonic()
    renewing = asyncio.create_task(_renew(ended, session_id, job.clock), name="claim")
    try:
        outcome = await _try(job, ended, session_id, age_ms, tries)
    finally:
        renewing.cancel()
    telemetry.RECORDINGS.labels(outcome).inc()
    if outcome == "archived":
        lag_s = age_ms / 1000 + job.clock.monotonic() - began_s
        telemetry.RECORDING_LAG_SECONDS.observe(lag_s)
        log.info("session %s was archived %.1f s after its end", session_id[-6:], lag_s)
    elif outcome == "gone":
        log.warning("session %s left nothing that could be archived", session_id[-6:])
    return outcome


async def _try(job: JobContext, ended: EndedSessions, session_id: str, age_ms: int, tries: int) -> str:
    if job.recordings is None:
        return "off"
    try:
        # One at a time: an hour's session takes 160 MB while it is archived.
        async with job.archiving, asyncio.timeout(job.timeout_s):
            if not await ended.listed(session_id):
                return "there"  # a job that waited for long: another one was faster
            keys = session_keys(check_session_id(session_id), job.n_shards)
            outcome: Outcome = await Archiver(job.client, job.recordings, job.detector).archive(keys, age_ms)
            await _settle(ended, session_id, outcome)
            return outcome
    except StoreError as error:
        log.warning("a session could not be archived yet: %s", error)
        with suppress(*TRANSIENT):
            await ended.postpone(session_id, STORE_AWAY_MS)
        return "store_away"
    except BadInput:
        await ended.remove(session_id)
        return "gone"
    except TRANSIENT as error:
        log.warning("archiving could not reach Redis (%s)", type(error).__name__)
        return "redis_away"  # the claim lapses by itself
    except Exception as error:
        if tries < MAX_TRIES:
            log.warning("a session could not be archived; it is tried again: %s", reason_of(error))
            return "failed"
        await set_aside(job, NAME, session_id, tries, error)
        await ended.postpone(session_id, SET_ASIDE_MS)
        return "set_aside"


async def _settle(ended: EndedSessions, session_id: str, outcome: Outcome) -> None:
    if outcome == "not_yet":
        await ended.postpone(session_id, NOT_YET_MS)
    else:
        await ended.remove(session_id)


async def _renew(ended: EndedSessions, session_id: str, clock: Clock) -> None:
    while True:
        await clock.sleep(CLAIM_MS / 3000)
        with suppress(*TRANSIENT):
            await ended.renew(session_id)


async def find_due(
    client: RedisClient, enqueue: Callable[[Ended], Awaitable[None]], stopping: asyncio.Event, clock: Clock
) -> None:
    """Claim what is due and put it on the queue, every few seconds until `stopping` is set."""
    ended = EndedSessions(client)
    while not stopping.is_set():
        with suppress(*TRANSIENT):  # what was claimed and not enqueued is due again when its claim lapses
            for each in await ended.claim(PER_LOOK):
                await enqueue(each)
            telemetry.RECORDINGS_WAITING.set(await ended.waiting())
        wait = asyncio.create_task(stopping.wait())
        pause = asyncio.create_task(clock.sleep(LOOK_EVERY_S))
        await asyncio.wait({wait, pause}, return_when=asyncio.FIRST_COMPLETED)
        wait.cancel()
        pause.cancel()


async def remove_unfinished(store: RecordingStore, client: RedisClient) -> int:
    """Remove half-written recordings that are on no list and that nobody writes any more; return how many.

    Those on the list are finished by their job.
    """
    ended, n_removed = EndedSessions(client), 0
    for recording_id in await asyncio.to_thread(store.unfinished):
        age_s = await asyncio.to_thread(store.age_s, recording_id)
        if age_s < UNFINISHED_AFTER_S or await ended.listed(recording_id):
            continue
        await asyncio.to_thread(store.delete, recording_id)
        n_removed += 1
    if n_removed:
        log.warning("%d half-written recordings that nobody can finish were removed", n_removed)
        telemetry.UNFINISHED_REMOVED.inc(n_removed)
    return n_removed


async def keep_recordings(
    store: RecordingStore,
    client: RedisClient,
    enqueue: Callable[[Ended], Awaitable[None]],
    stopping: asyncio.Event,
    clock: Clock,
) -> None:
    """Tidy up once, then look for ended sessions until `stopping` is set."""
    try:
        await asyncio.to_thread(store.check)
        await remove_unfinished(store, client)
    except (StoreError, RecordingError, *TRANSIENT) as error:
        log.error("recordings cannot be kept now: %s", error)
    await find_due(client, enqueue, stopping, clock)
