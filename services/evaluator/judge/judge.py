"""Puts questions to the model, bounded in number at a time, tries and time; what fails is an outcome, no error."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from services.evaluator.judge.answers import Failed, Outcome, Refused, parse_answer
from services.evaluator.judge.cache import AnswerCache, Kept
from services.evaluator.judge.endpoint import MAX_WAIT_S, Endpoint, NoAnswer, OpenAiEndpoint
from services.evaluator.judge.prompts import Prompt, prompt_for, question_key
from services.evaluator.judge.questions import Limits, Question
from services.evaluator.judge.settings import JudgeSettings
from shared.coaching.knowledge import Knowledge, load_knowledge
from shared.errors import ConfigError

log = logging.getLogger(__name__)

GIVE_UP_AFTER = 5
"""Questions in a row without an answer after which the rest of a session is not asked: nobody is there."""

MAX_NAMES = 5
"""Names of the model that are kept; an endpoint has one."""


@dataclass(slots=True)
class Spent:
    """What a judge has spent so far. Not part of a card: it differs where answers were kept."""

    requests: int = 0
    from_cache: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """The outcomes in the order of the questions, and the names under which the model was served."""

    outcomes: tuple[Outcome, ...]
    served_as: tuple[str, ...]


@dataclass(slots=True)
class _Run:
    """One session's questions: each different one once, by its key."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    served_as: set[str] = field(default_factory=set)
    failures_in_a_row: int = 0

    @property
    def has_given_up(self) -> bool:
        return self.failures_in_a_row >= GIVE_UP_AFTER


class Judge:
    """The model as judge. `async with open_judge(settings) as judge:` closes its connections."""

    def __init__(
        self,
        endpoint: Endpoint,
        settings: JudgeSettings,
        knowledge: Knowledge | None = None,
        cache: AnswerCache | None = None,
    ) -> None:
        self.knowledge = knowledge or load_knowledge()
        self.model = settings.model
        self.seed = settings.seed
        self.limits = Limits(settings.max_questions, settings.max_techniques, settings.max_attitudes)
        self.spent = Spent()
        self._settings = settings
        self._endpoint = endpoint
        self._cache = cache
        self._slots = asyncio.Semaphore(settings.max_parallel)

    async def __aenter__(self) -> Judge:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._endpoint.aclose()

    async def ask(self, questions: Sequence[Question]) -> Asked:
        """Return an outcome for each question, in their order. Never raises, cancellation aside."""
        run = _Run()
        prompts = [prompt_for(question, self.knowledge) for question in questions]
        keys = [question_key(prompt, self.model, self.seed) for prompt in prompts]
        different = dict(zip(keys, zip(questions, prompts, strict=True), strict=True))
        try:
            async with asyncio.timeout(self._settings.session_s), asyncio.TaskGroup() as group:
                for key, (question, prompt) in different.items():
                    group.create_task(self._one(run, key, question, prompt))
        except TimeoutError:
            log.warning("the time for a session's questions is over; the rules answer the rest")
        outcomes = tuple(run.outcomes.get(key, Failed("time_over")) for key in keys)
        failed = Counter(outcome.cause for outcome in outcomes if isinstance(outcome, Failed))
        log.info("a session was judged: %d questions, %s failed", len(questions), dict(failed) or "none")
        return Asked(outcomes, tuple(sorted(run.served_as))[:MAX_NAMES])

    async def _one(self, run: _Run, key: str, question: Question, prompt: Prompt) -> None:
        try:
            kept = await self._kept(key, question)
            if kept is None:
                async with self._slots:
                    kept = await self._tries(run, question, prompt)
                if isinstance(kept, Kept):
                    await self._keep(key, kept)
        except Exception as error:
            # One question less: the rules have answered it. The error's text may hold the transcript.
            log.error("a question to the judging model failed (%s)", type(error).__name__)
            kept = Failed("internal")
        if isinstance(kept, Kept):
            run.outcomes[key] = kept.outcome
            if kept.served_as:
                run.served_as.add(kept.served_as)
        else:
            run.outcomes[key] = kept

    async def _tries(self, run: _Run, question: Question, prompt: Prompt) -> Kept | Failed:
        """Ask, and ask again where that can help. What the model says wrong twice is refused, not failed."""
        result: Kept | Failed = Failed("gave_up")
        for attempt in range(self._settings.max_tries):
            if run.has_given_up:
                return result
            try:
                self.spent.requests += 1
                reply = await self._endpoint.ask(prompt)
            except NoAnswer as error:
                result = Failed(error.cause)
                if not error.may_retry or attempt + 1 == self._settings.max_tries:
                    break
                await asyncio.sleep(max(error.wait_s, min(self._settings.retry_wait_s * 2**attempt, MAX_WAIT_S)))
                continue
            run.failures_in_a_row = 0
            self.spent.tokens_in += reply.tokens_in
            self.spent.tokens_out += reply.tokens_out
            outcome = parse_answer(reply.content, question)
            result = Kept(outcome, reply.served_as)
            if outcome != Refused("malformed"):
                break
        if isinstance(result, Failed):
            run.failures_in_a_row += 1
        return result

    async def _kept(self, key: str, question: Question) -> Kept | Failed | None:
        if self._cache is None:
            return None
        kept = await asyncio.to_thread(self._cache.get, key, question)
        self.spent.from_cache += kept is not None
        return kept

    async def _keep(self, key: str, kept: Kept) -> None:
        if self._cache is None:
            return
        try:
            await asyncio.to_thread(self._cache.put, key, kept)
        except OSError as error:
            log.warning("an answer of the judging model could not be kept: %s", error.strerror or type(error).__name__)


def open_judge(settings: JudgeSettings, knowledge: Knowledge | None = None) -> Judge:
    """Return the judge that the settings describe. Raises ConfigError where no endpoint is set."""
    if not settings.has_endpoint:
        raise ConfigError(
            "a model as judge needs SPLITBRAIN_EVALUATOR_JUDGE_BASE_URL or SPLITBRAIN_EVALUATOR_JUDGE_API_KEY"
        )
    cache = AnswerCache(Path(settings.cache_dir)) if settings.cache_dir else None
    return Judge(OpenAiEndpoint(settings), settings, knowledge, cache)
