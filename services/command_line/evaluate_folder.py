"""`splitbrain evaluate FOLDER`: evaluates all recordings of a folder over worker processes, and sums up."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Never

from pydantic.alias_generators import to_camel
from tqdm import tqdm

from services.command_line import console
from services.command_line.evaluate_summary import lines, summarise
from services.command_line.evaluate_workers import EvaluateWorkers
from services.command_line.exits import CommandError, Exit
from services.command_line.outputs import make_folder
from services.evaluator.job_queue import open_pool
from services.evaluator.judge.settings import JudgeSettings
from services.evaluator.recording.manifest import RecordingError, StoreError
from services.evaluator.recording.reader import read_manifest
from services.evaluator.recording.store import UNFINISHED_AFTER_S, RecordingStore
from services.evaluator.replay.jobs import DONE, TIMEOUT_S, RecordingQueue
from services.evaluator.replay.results import Results, version_now
from services.evaluator.settings import EvaluatorSettings
from shared.broker.connection import TRANSIENT
from shared.clock import to_the_end
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.redis_server import RedisServer
from shared.settings import load_settings

PER_WORKER = 16
"""Recordings on the queue for each worker: enough that none waits, few enough to be asked about at each look."""

LOOK_EVERY_S = 0.05

ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""For each worker: where every process has as many threads as cores, they wait for each other, ten times as long."""

REDIS_VARIABLES = ("SPLITBRAIN_EVALUATOR_JOBS_REDIS_URL", "SPLITBRAIN_REDIS_URL")


@dataclass(slots=True)
class Progress:
    """Where the run stands: recordings by what came of them; `failed` with the reason."""

    kept: list[str] = field(default_factory=list)
    evaluated: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def run(options: argparse.Namespace) -> Exit:
    """Run the subcommand: 1 if a recording could not be evaluated, 3 if store or Redis does not answer."""
    out = Path(options.out)
    make_folder(out)
    store = RecordingStore(options.folder)
    results = Results(out, version_now(load_knowledge(), default_detector(), _judge(options)))
    n_workers = options.workers or len(os.sched_getaffinity(0))
    began_s = time.monotonic()
    try:
        progress, todo = plan(store, results)
        results.open()
        if todo:
            with _redis_url() as url:
                asyncio.run(_evaluate(options, results, progress, todo, url, n_workers))
    except StoreError as error:
        raise CommandError(Exit.UNREACHABLE, str(error)) from error
    except OSError as error:
        raise CommandError(Exit.FAILED, f"{error.filename or out}: {error.strerror or error}") from error
    whole = summarise(results, progress.kept, progress.evaluated, progress.failed)
    seconds = round(time.monotonic() - began_s, 2)
    if options.json:
        version = {to_camel(name): value for name, value in asdict(results.version).items()}
        console.say_json({"results": str(results.folder), "version": version, "seconds": seconds, **whole})
    else:
        console.say("\n".join(lines(whole, results, seconds)))
    return Exit.FAILED if progress.failed else Exit.OK


def _judge(options: argparse.Namespace) -> JudgeSettings | None:
    """Return the settings of the model that shall judge too. Raises CommandError (2) where no endpoint is set."""
    if not options.judge:
        return None
    settings = load_settings(JudgeSettings)
    if not settings.has_endpoint:
        names = "SPLITBRAIN_EVALUATOR_JUDGE_BASE_URL or SPLITBRAIN_EVALUATOR_JUDGE_API_KEY"
        raise CommandError(Exit.USAGE, f"--judge: set {names}")
    return settings


def plan(store: RecordingStore, results: Results) -> tuple[Progress, list[str]]:
    """Return what is there already, and what is still to be evaluated. Blocks."""
    progress = Progress()
    todo: list[str] = []
    ids = store.ids()
    for recording_id in store.unfinished():
        if store.age_s(recording_id) >= UNFINISHED_AFTER_S:
            progress.failed[recording_id] = "the recording is half-written: it has no manifest"
    if not ids and not progress.failed:
        raise CommandError(Exit.USAGE, f"there is no recording in {store.url}")
    for recording_id in ids:
        (progress.kept if is_done(store, results, recording_id) else todo).append(recording_id)
    return progress, todo


def is_done(store: RecordingStore, results: Results, recording_id: str) -> bool:
    """True if there is a result of this version, made from the events that the recording has now."""
    source = results.source(recording_id)
    if source is None:
        return False
    try:
        return read_manifest(store, recording_id).files["events.jsonl"].sha256 == source.events_sha256
    except RecordingError:
        return False


@contextmanager
def _redis_url() -> Iterator[str]:
    """Give the Redis that is set, else one of our own for the length of the block."""
    given = next((os.environ[name] for name in REDIS_VARIABLES if os.environ.get(name)), "")
    if given:
        yield given
        return
    with RedisServer() as server:
        yield server.url


async def _evaluate(
    options: argparse.Namespace, results: Results, progress: Progress, todo: Sequence[str], url: str, n_workers: int
) -> None:
    """Have everything in `todo` evaluated. Raises CommandError if Redis goes away; what is done by then is kept."""
    name = f"sb:jobs:evaluate:{secrets.token_hex(8)}"
    settings = load_settings(EvaluatorSettings, jobs_redis_url=url, jobs_queue=name)
    environment = {"SPLITBRAIN_EVALUATOR_JOBS_REDIS_URL": url, "SPLITBRAIN_EVALUATOR_JOBS_QUEUE": name, **ONE_THREAD}
    module = (sys.executable, "-m", "services.evaluator.replay")
    command = (*module, "--store", options.folder, "--results", options.out, *(("--judge",) if options.judge else ()))
    workers = EvaluateWorkers(min(n_workers, len(todo)), command, environment)
    patience_s = 2 * TIMEOUT_S + (load_settings(JudgeSettings).session_s if options.judge else 0)
    pool = open_pool(settings)
    queue = RecordingQueue(pool, name)
    total = len(todo) + len(progress.kept)
    bar: tqdm[Never] = tqdm(total=total, initial=len(progress.kept), unit="rec", disable=True if options.json else None)
    batch = _Batch(queue, workers, RecordingStore(options.folder), results, progress, list(reversed(todo)), patience_s)
    try:
        await batch.run(bar)
    except TRANSIENT as error:
        raise CommandError(
            Exit.UNREACHABLE, f"Redis does not answer ({type(error).__name__}); what is done is kept: run it again"
        ) from error
    finally:
        bar.close()
        await to_the_end(_leave(workers, queue, batch))
        await pool.aclose()


async def _leave(workers: EvaluateWorkers, queue: RecordingQueue, batch: _Batch) -> None:
    await workers.stop()
    try:
        async with asyncio.timeout(LOOK_EVERY_S * 100):
            await queue.forget(batch.running)
            await queue.remove()
    except TRANSIENT:
        pass  # what is left there expires by itself


@dataclass(slots=True)
class _Batch:
    """The recordings on their way through the queue: a few for each worker at a time."""

    queue: RecordingQueue
    workers: EvaluateWorkers
    store: RecordingStore
    results: Results
    progress: Progress
    waiting: list[str]
    patience_s: float
    running: set[str] = field(default_factory=set)

    async def run(self, bar: tqdm[Never]) -> None:
        last_s = time.monotonic()
        room = PER_WORKER * self.workers.n
        while self.waiting or self.running:
            if await self.workers.keep():
                await self.queue.free(self.running)
            while self.waiting and len(self.running) < room:
                recording_id = self.waiting.pop()
                self.running.add(recording_id)
                await self.queue.put([recording_id])
            outcomes = await self.queue.outcomes(self.running)
            if outcomes:
                last_s = time.monotonic()
                self.workers.note_progress()
                await self._settle(outcomes)
                bar.update(len(outcomes))
            elif time.monotonic() - last_s > self.patience_s:
                raise CommandError(Exit.FAILED, "nothing was evaluated for a long time: run it again")
            else:
                await asyncio.sleep(LOOK_EVERY_S)

    async def _settle(self, outcomes: dict[str, str]) -> None:
        for recording_id, outcome in outcomes.items():
            if await asyncio.to_thread(is_done, self.store, self.results, recording_id):
                self.progress.evaluated.append(recording_id)
            else:
                why = "its result is not in the results folder" if outcome == DONE else outcome
                self.progress.failed[recording_id] = why
        self.running -= outcomes.keys()
        await self.queue.forget(outcomes)
