"""What every brain of the coach takes and gives: a turn in, sentences with delivery hints out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

from shared.coaching.conversation import Conversation, UserTurn
from shared.events import DeliveryHints, VoiceToCoach

NO_HINTS = DeliveryHints()

BrainName = Literal["policy", "llm"]


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of an answer that is spoken in one go: usually a sentence.

    `plan` is why it is said (`write_plan`); `last` is true on the answer's last part.
    """

    text: str
    hints: DeliveryHints = NO_HINTS
    allow_interrupt: bool = True
    plan: str = ""
    last: bool = False
    brain: BrainName = "policy"


@dataclass(frozen=True, slots=True)
class Heard:
    """A turn to answer: what voice sent, and the conversation's verdict on it."""

    message: VoiceToCoach
    turn: UserTurn


class Brain(Protocol):
    """Thinks of Hugo's answers. Changes nothing in the conversation: the session does that."""

    name: BrainName

    def greet(self, conversation: Conversation, session_id: str) -> AsyncIterator[Part]:
        """Yield the first words of a session."""
        ...

    def answer(self, conversation: Conversation, session_id: str, heard: Heard) -> AsyncIterator[Part]:
        """Yield the answer to a turn, part by part, each as soon as it is there; the last has `last` set."""
        ...
