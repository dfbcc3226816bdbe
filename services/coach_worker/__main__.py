"""`python -m services.coach_worker`: reads the settings, builds the brain, coaches sessions."""

from __future__ import annotations

import argparse
import sys
from contextlib import AsyncExitStack

from services.coach_worker.brain import Brain
from services.coach_worker.chat import OpenAiChat
from services.coach_worker.llm import Budget, LlmBrain
from services.coach_worker.policy import PolicyBrain
from services.coach_worker.session import CoachParts, CoachSession
from services.coach_worker.settings import CoachSettings
from services.coach_worker.wording import load_phrases
from shared.clock import SystemClock
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.presence import Status
from shared.runner import ServiceContext, exit_on_config_error, run_service
from shared.session_worker import Publisher, SessionHandler, SessionWorker
from shared.settings import load_settings


async def serve(context: ServiceContext, settings: CoachSettings) -> None:
    """Coach sessions until `context.stopping` is set."""
    async with AsyncExitStack() as stack:
        policy = PolicyBrain()
        brain: Brain = policy
        if settings.uses_llm:
            chat = OpenAiChat(settings)
            stack.push_async_callback(chat.aclose)
            budget = Budget(settings.llm_first_sentence_s, settings.llm_answer_s, settings.llm_max_parallel)
            brain = LlmBrain(chat, policy, budget)
        parts = CoachParts(load_knowledge(), default_detector(), brain, policy, SystemClock())

        def make_handler(session_id: str, publisher: Publisher) -> SessionHandler:
            return CoachSession(session_id, publisher, parts)

        worker = SessionWorker(
            context.broker,
            "coach",
            make_handler,
            consumer=settings.worker_id,
            capacity=settings.max_sessions,
            lease_s=settings.lease_s,
        )
        brain_name = "llm" if settings.uses_llm else "policy"
        context.describe = lambda: Status("", worker.sessions, f"brain {brain_name}", context.health_url)
        context.ready = True
        await worker.run(context.stopping)


def main(argv: list[str] | None = None) -> int:
    """Run the coach, or with --check only look whether it could run; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.coach_worker", description=__doc__)
    parser.add_argument("--check", action="store_true", help="check settings and data files, then end")
    options = parser.parse_args(argv)
    return exit_on_config_error(lambda: _start(options.check))


def _start(check_only: bool) -> int:
    settings = load_settings(CoachSettings)
    knowledge, detector = load_knowledge(), default_detector()
    n_phrases = sum(len(rows) for language in ("nl", "en") for rows in load_phrases(language).values())
    if check_only:
        sys.stdout.write(
            f"coach: settings are right; brain {'llm' if settings.uses_llm else 'policy'}, {n_phrases} phrases, "
            f"knowledge {knowledge.version} ({knowledge.knowledge_hash[:12]}), detector {detector.version}\n"
        )
        return 0
    return run_service("coach", settings, lambda context: serve(context, settings))


if __name__ == "__main__":
    sys.exit(main())
