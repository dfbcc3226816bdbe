"""Hugo with a language model: it words the plan that the policy made; the policy answers whenever it fails.

Every sentence passes the guards before it goes out, and the first one goes out before the rest is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from services.coach_worker import metrics
from services.coach_worker.brain import NO_HINTS, BrainName, Heard, Part
from services.coach_worker.chat import Chat, ChatFailed
from services.coach_worker.delivery import Role, hints_for
from services.coach_worker.guards import TurnGuard
from services.coach_worker.policy import PolicyBrain
from services.coach_worker.prompts import system_prompt, user_prompt
from services.coach_worker.sentence_stream import SentenceStream
from shared.coaching.conversation import Conversation, read_plan
from shared.coaching.cues import customer_line
from shared.coaching.phrases import whole_sentences
from shared.errors import BadInput

log = logging.getLogger(__name__)

_OPENER_WORDS = 3

Now = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Budget:
    """Seconds that an answer may take: to its first sentence, and to its end. `max_parallel` answers at a time."""

    first_sentence_s: float
    answer_s: float
    max_parallel: int


class LlmBrain:
    """The brain with a language model behind it."""

    name: BrainName = "llm"

    def __init__(self, chat: Chat, policy: PolicyBrain, budget: Budget) -> None:
        self._chat = chat
        self._policy = policy
        self._budget = budget
        self._running = 0

    async def greet(self, conversation: Conversation, session_id: str) -> AsyncIterator[Part]:
        """Yield the policy's greeting: it must come at once and has nothing to react to."""
        for part in self._policy.compose_greeting(conversation, session_id):
            yield part

    async def answer(self, conversation: Conversation, session_id: str, heard: Heard) -> AsyncIterator[Part]:
        """Yield the answer to a turn; on any failure the policy gives what is missing, in the same turn."""
        draft = self._policy.compose(conversation, session_id, heard)
        turn = _Assembly(TurnGuard(conversation.language, conversation.has_said), heard, draft)
        try:
            async with aclosing(self._sentences(conversation, heard, draft)) as sentences:
                async for sentence in sentences:
                    for part in turn.take(sentence):
                        yield part
                    if turn.is_closed:
                        return
        except ChatFailed as error:
            metrics.FALLBACKS.labels(error.cause).inc()
            log.warning("%s; the policy answers", error)
            turn.fail()
        for part in turn.end(conversation):
            yield part

    async def _sentences(self, conversation: Conversation, heard: Heard, draft: list[Part]) -> AsyncGenerator[str]:
        """Yield sentences within the budget. Asks once more if nothing has come yet and asking can help."""
        if self._running >= self._budget.max_parallel:
            raise ChatFailed("overloaded", f"{self._running} answers are in the making")
        system = system_prompt(conversation.language, conversation.locale)
        user = user_prompt(conversation, heard, draft)
        now = asyncio.get_running_loop().time
        started = now()
        self._running += 1
        try:
            for attempt in (1, 2):
                count = 0
                try:
                    async with aclosing(self._one_try(system, user, started, now)) as sentences:
                        async for sentence in sentences:
                            count += 1
                            yield sentence
                    if count:
                        return
                    raise ChatFailed("empty", "the language model said nothing")
                except ChatFailed as error:
                    if count or attempt == 2 or not error.may_retry:
                        raise
        finally:
            self._running -= 1

    async def _one_try(self, system: str, user: str, started: float, now: Now) -> AsyncGenerator[str]:
        cutter = SentenceStream()
        n_given = 0
        async with aclosing(self._chat.stream(system, user)) as pieces:
            while True:
                limit = self._budget.answer_s if n_given else self._budget.first_sentence_s
                piece = await _next(pieces, started + limit - now())
                found = cutter.end() if piece is None else _cut(cutter, piece)
                for sentence in found:
                    n_given += 1
                    yield sentence
                if piece is None:
                    return


class _Assembly:
    """Makes parts of sentences. The first goes out at once; of the others one is held, to know which is the last."""

    def __init__(self, guard: TurnGuard, heard: Heard, draft: list[Part]) -> None:
        self._guard = guard
        self._heard = heard
        self._draft = draft
        self._n_given = 0
        self._held: Part | None = None
        self._failed = False
        self.is_closed = False

    def take(self, sentence: str) -> list[Part]:
        """Return the parts that may go out now. Raises ChatFailed for a sentence that may not be spoken.

        A sentence that Hugo said before is left out; models like to begin alike.
        """
        reason = self._guard.refuse(sentence)
        if reason is not None:
            metrics.REFUSED.labels(reason).inc()
            if reason == "repeat":
                return []
            raise ChatFailed("guard", f"a sentence was held back: {reason}")
        part = _part(sentence, self._heard, self._draft[0].plan)
        out = [self._held] if self._held else []
        self._held = None
        if self._guard.questions:  # a question ends the turn: nothing may follow it
            self.is_closed = True
            return [*out, replace(part, last=True)]
        if self._n_given:
            self._held = part
        else:
            out.append(part)
        self._n_given += 1
        return out

    def fail(self) -> None:
        """The model will not finish: the end is the policy's."""
        self._failed = True

    def end(self, conversation: Conversation) -> list[Part]:
        """Return what is missing: the held part, and what the policy adds where the model did not finish."""
        if self._held and not self._failed:
            return [replace(self._held, last=True)]
        if not self._n_given:
            return self._draft
        return [*([self._held] if self._held else []), self._last_words(conversation)]

    def _last_words(self, conversation: Conversation) -> Part:
        """Return the policy's last part, or an invitation to speak where that cannot be said any more."""
        last = self._draft[-1]
        if self._guard.refuse(last.text) is None:
            return last
        return replace(last, text=whole_sentences(conversation.language)[-1], hints=NO_HINTS)


async def _next(pieces: AsyncIterator[str], left_s: float) -> str | None:
    """Return the next piece, or None at the end. Raises ChatFailed when the time is over."""
    try:
        async with asyncio.timeout(max(left_s, 0.0)):
            return await anext(pieces)
    except StopAsyncIteration:
        return None
    except TimeoutError as error:
        raise ChatFailed("timeout", "the language model was too slow") from error


def _cut(cutter: SentenceStream, piece: str) -> list[str]:
    try:
        return cutter.feed(piece)
    except BadInput as error:
        raise ChatFailed("malformed", str(error)) from error


def _part(sentence: str, heard: Heard, plan: str) -> Part:
    role: Role = "body"
    if customer_line(sentence, heard.turn.language):
        role = "cue"
    elif sentence.endswith("?"):
        role = "ask"
    elif len(sentence.split()) <= _OPENER_WORDS:
        role = "opener"
    hints = hints_for(sentence, role, heard.message, read_plan(plan).get("move", ""))
    return Part(sentence, hints, allow_interrupt=role != "cue", plan=plan, brain="llm")
