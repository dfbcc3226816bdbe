"""`python -m services.evaluator`: reads the settings, builds the doors, runs sessions and jobs in one process."""

from __future__ import annotations

import argparse
import asyncio
import sys

from services.evaluator.job_queue import JobQueue, make_worker, open_pool, run_jobs
from services.evaluator.jobs import JobContext
from services.evaluator.metrics import load_metrics
from services.evaluator.recording.store import RecordingStore
from services.evaluator.recording_job import keep_recordings
from services.evaluator.session import EvaluatorSession
from services.evaluator.settings import EvaluatorSettings
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.presence import Status
from shared.runner import ServiceContext, exit_on_config_error, run_service
from shared.session_worker import Publisher, SessionHandler, SessionWorker
from shared.settings import load_settings


async def serve(context: ServiceContext, settings: EvaluatorSettings, only: str) -> None:
    """Serve sessions, jobs or both until `context.stopping` is set."""
    broker, detector = context.broker, default_detector()
    pool = open_pool(settings)
    queue = JobQueue(pool, settings)

    def make_handler(session_id: str, publisher: Publisher) -> SessionHandler:
        return EvaluatorSession(session_id, publisher, detector, queue.final_scorecard)

    worker = SessionWorker(
        broker,
        "evaluator",
        make_handler,
        consumer=settings.worker_id,
        capacity=settings.max_sessions,
        lease_s=settings.lease_s,
    )
    context.describe = lambda: Status("", worker.sessions, f"{only or 'sessions and jobs'}", context.health_url)
    limits = (settings.jobs_max_tries, settings.jobs_timeout_s)
    store = RecordingStore(settings.recordings) if settings.recordings else None
    job = JobContext(broker.client, detector, settings.n_shards, settings.retention, *limits, recordings=store)
    try:
        async with asyncio.TaskGroup() as group:
            if only != "jobs":
                group.create_task(worker.run(context.stopping), name="sessions")
            if only != "sessions":
                group.create_task(run_jobs(lambda: make_worker(settings, job), context.stopping), name="jobs")
                if store is not None:
                    looking = keep_recordings(
                        store, broker.client, queue.archive_recording, context.stopping, broker.clock
                    )
                    group.create_task(looking, name="recordings")
            context.ready = True
    finally:
        await pool.aclose()


def main(argv: list[str] | None = None) -> int:
    """Run the evaluator, or with --check only look whether it could run; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.evaluator", description=__doc__)
    parser.add_argument("--check", action="store_true", help="check settings and data files, then end")
    parser.add_argument("--only", choices=("sessions", "jobs"), help="run this half only")
    options = parser.parse_args(argv)
    return exit_on_config_error(lambda: _start(options))


def _start(options: argparse.Namespace) -> int:
    settings = load_settings(EvaluatorSettings)
    knowledge, detector, metrics = load_knowledge(), default_detector(), load_metrics()
    if settings.recordings:
        RecordingStore(settings.recordings)  # ConfigError for what is no place
    if options.check:
        sys.stdout.write(
            f"evaluator: settings are right; {len(metrics)} metrics, knowledge {knowledge.version} "
            f"({knowledge.knowledge_hash[:12]}), detector {detector.version}\n"
        )
        return 0
    return run_service("evaluator", settings, lambda context: serve(context, settings, options.only or ""))


if __name__ == "__main__":
    sys.exit(main())
