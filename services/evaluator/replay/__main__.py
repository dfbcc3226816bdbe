"""`python -m services.evaluator.replay`: evaluates recordings from a queue. `splitbrain evaluate FOLDER` starts it.

Which Redis and which queue: `SPLITBRAIN_EVALUATOR_JOBS_REDIS_URL` and `SPLITBRAIN_EVALUATOR_JOBS_QUEUE`.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import uvloop

from services.evaluator.job_queue import open_pool, run_jobs
from services.evaluator.judge.judge import open_judge
from services.evaluator.judge.settings import JudgeSettings
from services.evaluator.metrics import load_metrics
from services.evaluator.recording.store import RecordingStore
from services.evaluator.replay.jobs import TIMEOUT_S, EvaluateContext, make_recording_worker
from services.evaluator.replay.results import Results, version_now
from services.evaluator.settings import EvaluatorSettings
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.logs import configure_logging
from shared.runner import exit_on_config_error
from shared.settings import load_settings


async def serve(settings: EvaluatorSettings, work: EvaluateContext, by: JudgeSettings | None) -> None:
    """Evaluate recordings until SIGTERM or SIGINT."""
    timeout_s = TIMEOUT_S + (by.session_s if by else 0)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, stopping.set)
    async with AsyncExitStack() as stack:
        if by is not None:
            work = replace(work, judge=await stack.enter_async_context(open_judge(by)))
        await run_jobs(
            lambda: make_recording_worker(open_pool(settings), settings.jobs_queue, work, timeout_s), stopping
        )


def main(argv: list[str] | None = None) -> int:
    """Run the worker and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.evaluator.replay", description=__doc__)
    parser.add_argument("--store", required=True, metavar="URL", help="where the recordings are")
    parser.add_argument("--results", required=True, metavar="FOLDER", help="where scorecards go")
    parser.add_argument("--judge", action="store_true", help="have a language model judge each card a second time")
    options = parser.parse_args(argv)
    return exit_on_config_error(lambda: _start(options))


def _start(options: argparse.Namespace) -> int:
    settings = load_settings(EvaluatorSettings)
    configure_logging("evaluate", "WARNING", settings.log_format)
    detector = default_detector()
    load_metrics()
    by = load_settings(JudgeSettings) if options.judge else None
    results = Results(Path(options.results), version_now(load_knowledge(), detector, by))
    uvloop.run(serve(settings, EvaluateContext(RecordingStore(options.store), results, detector), by))
    return 0


if __name__ == "__main__":
    sys.exit(main())
