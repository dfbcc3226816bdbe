"""One session of the coach: takes in events, lets a brain answer each finished turn, publishes the parts.

Owns the task of the answer in the making; a newer turn cancels it. Knows nothing of how a brain thinks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from services.coach_worker import metrics
from services.coach_worker.brain import Brain, Heard, Part
from services.coach_worker.policy import PolicyBrain
from shared.clock import Clock
from shared.coaching.conversation import Conversation, read_plan
from shared.coaching.detection import Detector
from shared.coaching.knowledge import Knowledge
from shared.coaching.phrases import whole_sentences
from shared.coaching.summary import summary
from shared.errors import Overloaded
from shared.events import (
    CoachToVoice,
    Consent,
    ConsentChanged,
    Event,
    Interrupted,
    Profile,
    SessionEnded,
    SessionStarted,
    Transcript,
    VoiceToCoach,
)
from shared.session_worker import Publisher

log = logging.getLogger(__name__)

GREETING = ""
"""The turn that a greeting answers."""

_EMOTION_PROFILES: frozenset[Profile] = frozenset(["personal_training", "research"])


@dataclass(frozen=True, slots=True)
class CoachParts:
    """What all sessions of a process share."""

    knowledge: Knowledge
    detector: Detector
    brain: Brain
    policy: PolicyBrain
    clock: Clock


class CoachSession:
    """Handler of one session; see `shared.session_worker.SessionHandler`."""

    def __init__(self, session_id: str, publisher: Publisher, parts: CoachParts) -> None:
        self._id = session_id
        self._publisher = publisher
        self._parts = parts
        self._conversation = Conversation(parts.knowledge, parts.detector)
        self._consent = Consent()
        self._profile: Profile = "workplace"
        self._media_ms = 0
        self._answer: asyncio.Task[None] | None = None
        self._answered: set[str] = set()  # turns whose answer was begun
        self._ended = False

    @property
    def conversation(self) -> Conversation:
        """The talk so far."""
        return self._conversation

    # --- the worker's side

    def restore(self, history: Sequence[Event]) -> None:
        """Rebuild the talk, then answer what is still open: the greeting, or the newest turn. Older ones are past."""
        if not history:
            return
        turns = [event.body.turn for event in history if isinstance(event.body, VoiceToCoach)]
        newest = turns[-1] if turns else GREETING
        said: list[CoachToVoice] = []
        message: VoiceToCoach | None = None
        started = False
        for event in history:
            self._media_ms = max(self._media_ms, event.media_ms)
            match event.body:
                case CoachToVoice() as body if body.turn == newest:
                    said.append(body)
                    continue  # its words must not count as said while the same answer is thought of again
                case VoiceToCoach() as body if body.turn == newest:
                    message = body
                case SessionStarted():
                    started = True
                case _:
                    pass
            self._take_in(event)
        self._answered.update(turns)
        self._resume(newest, message, said, started)

    async def on_event(self, event: Event) -> None:
        """Take in an event. Returns at once: an answer is made in a task of its own."""
        self._media_ms = max(self._media_ms, event.media_ms)
        if event.source == "coach" or self._ended:
            return
        arrived_s = self._parts.clock.monotonic()
        self._take_in(event)
        match event.body:
            case SessionStarted():
                self._begin(GREETING, None, arrived_s)
            case VoiceToCoach() as body:
                self._begin(body.turn, self._lawful(body), arrived_s)
            case SessionEnded():
                await self._stop()
            case _:
                pass

    async def close(self, reason: str) -> None:
        """Give up the answer in the making; nothing is published after it."""
        await self._stop()

    # --- inside

    def _take_in(self, event: Event) -> None:
        match event.body:
            case SessionStarted() as body:
                self._consent, self._profile = body.consent, body.profile
            case ConsentChanged() as body:
                self._consent = body.consent
            case _:
                pass
        match event.body:
            case SessionStarted() | VoiceToCoach() | CoachToVoice() | Transcript() | Interrupted():
                self._conversation.apply(event)
            case _:
                pass

    def _begin(self, turn: str, message: VoiceToCoach | None, arrived_s: float) -> None:
        if turn in self._answered:
            return
        self._answered.add(turn)
        if self._answer is not None and not self._answer.done():
            metrics.SUPERSEDED.inc()
            self._answer.cancel()
        self._answer = asyncio.create_task(self._give(turn, message, arrived_s), name=f"answer {turn}")

    async def _give(self, turn: str, message: VoiceToCoach | None, arrived_s: float) -> None:
        """Publish an answer. What the broker cannot take any more is counted: Redis is away for long."""
        try:
            await self._speak(turn, message, arrived_s)
        except Overloaded as error:
            metrics.UNPUBLISHED.inc()
            log.error("an answer could not be published: %s", error)

    async def _speak(self, turn: str, message: VoiceToCoach | None, arrived_s: float) -> None:
        """Publish an answer part by part. A brain that fails leaves the rest to the policy."""
        brain, chunk = self._parts.brain, 0
        parts = (
            brain.greet(self._conversation, self._id)
            if message is None
            else brain.answer(self._conversation, self._id, self._heard(message))
        )
        try:
            async for part in parts:
                if chunk == 0:
                    metrics.FIRST_PART.labels(part.brain).observe(self._parts.clock.monotonic() - arrived_s)
                self._say(turn, chunk, part)
                chunk += 1
                if part.last:
                    metrics.ANSWERS.labels(part.brain).inc()
                    return
        except (asyncio.CancelledError, Overloaded):
            raise
        except Exception:
            metrics.FAILED.inc()
            log.exception("a brain failed; the policy goes on")
        self._finish(turn, message, chunk)

    def _finish(self, turn: str, message: VoiceToCoach | None, chunk: int) -> None:
        parts = self._policy_parts(message)
        if chunk == 0:
            for number, part in enumerate(parts):
                self._say(turn, number, part)
        else:
            self._say(turn, chunk, parts[-1])

    def _say(self, turn: str, chunk: int, part: Part) -> None:
        conversation = self._conversation
        found = next((item.detection for item in reversed(conversation.turns) if item.turn == turn), None)
        due = read_plan(part.plan).get("due", "")
        body = CoachToVoice(
            turn=turn,
            response_text=part.text,
            delivery_hints=part.hints,
            allow_interrupt=part.allow_interrupt,
            chunk=chunk,
            last=part.last,
            brain=part.brain,
            techniques=found.techniques if found else (),
            phase=conversation.phase,
            expected=(due,) if due else (),
            rationale=part.plan,
            knowledge_hash=self._parts.knowledge.knowledge_hash,
            summary=summary(conversation) if part.last else "",
        )
        conversation.plan(body)
        self._publisher.publish(body, event_id=f"coach:{turn}:{chunk}", media_ms=self._media_ms)

    def _heard(self, message: VoiceToCoach) -> Heard:
        return Heard(message, self._conversation.hear_user(message.turn, message.transcript, message.language))

    def _policy_parts(self, message: VoiceToCoach | None) -> list[Part]:
        policy = self._parts.policy
        if message is None:
            return policy.compose_greeting(self._conversation, self._id)
        return policy.compose(self._conversation, self._id, self._heard(message))

    def _resume(self, turn: str, message: VoiceToCoach | None, said: list[CoachToVoice], started: bool) -> None:
        """Go on where an owner before this one stopped."""
        lawful = self._lawful(message) if message else None
        if not said:
            self._answered.discard(turn)
            if turn != GREETING or started:
                self._begin(turn, lawful, self._parts.clock.monotonic())
            return
        self._answered.add(turn)
        parts = [] if said[-1].last else self._policy_parts(lawful)
        for body in said:
            self._conversation.plan(body)
        if parts:
            self._complete(turn, parts, said)

    def _complete(self, turn: str, parts: list[Part], said: list[CoachToVoice]) -> None:
        """Publish what is missing of an answer: the same parts if they are the same words, else one last part."""
        n_said = len(said)
        same = [part.text for part in parts[:n_said]] == [body.response_text for body in said]
        if same and n_said < len(parts):
            for number, part in enumerate(parts[n_said:], start=n_said):
                self._say(turn, number, part)
            return
        asked = any("?" in body.response_text for body in said)
        text = whole_sentences(self._conversation.language)[-1] if asked else parts[-1].text
        self._say(turn, n_said, replace(parts[-1], text=text, last=True))

    def _lawful(self, message: VoiceToCoach) -> VoiceToCoach:
        """Take out what was inferred from the voice where profile or consent do not allow to use it."""
        if self._consent.emotion and self._profile in _EMOTION_PROFILES:
            return message
        return replace(message, prosody=replace(message.prosody, emotion=None, confidence=None))

    async def _stop(self) -> None:
        self._ended = True
        if self._answer is not None:
            self._answer.cancel()
            with suppress(asyncio.CancelledError):
                await self._answer
