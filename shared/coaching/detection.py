"""What a detector is asked and what it answers. Holds no rules; `detector` has the rule-based one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from shared.coaching.knowledge import Quality
from shared.events import Language

QuestionForm = Literal["open", "closed", "leading", "choice"]

MAX_TECHNIQUES = 2
"""Techniques that a turn may count for."""


@dataclass(frozen=True, slots=True)
class DetectionContext:
    """What was known when the turn began.

    `phase`: the phase the talk is in (None: not known). `attitude`: the customer's last attitude.
    `customer_text`: what the customer said before, newest last. `done`: techniques seen so far, oldest first.
    `committed`: a clear yes to 2.4 was given. `to_coach`: the coach spoke last and asked something.
    """

    phase: int | None = None
    attitude: str | None = None
    customer_text: str = ""
    done: tuple[str, ...] = ()
    committed: bool = False
    to_coach: bool = False


NO_CONTEXT = DetectionContext()


@dataclass(frozen=True, slots=True)
class Detection:
    """What one seller turn shows.

    `techniques`: at most two ids, the surest first. `quality` is None where nothing is scored. `scored` is
    False for talk to the coach. `evidence` is the stretch of the turn that the first technique rests on.
    `question_forms`: one for each question asked. `stacked`: two or more questions on different topics.
    `phase` is the first technique's, else the one the talk was in. `expected`: what the attitude called for.
    """

    techniques: tuple[str, ...] = ()
    quality: Quality | None = None
    errors: tuple[str, ...] = ()
    evidence: str = ""
    question_forms: tuple[QuestionForm, ...] = ()
    stacked: bool = False
    scored: bool = True
    phase: int | None = None
    expected: tuple[str, ...] = ()


class Detector(Protocol):
    """Finds techniques in a seller's turn and the attitude in a customer's. Pure: same input, same answer."""

    @property
    def version(self) -> str:
        """Name and fingerprint of the rules or model; goes into every evaluation record."""
        ...

    def detect(self, text: str, language: Language, context: DetectionContext = NO_CONTEXT) -> Detection:
        """Return what the seller's turn shows."""
        ...

    def attitude(self, text: str, language: Language, phase: int | None = None) -> str | None:
        """Return the key of the customer's attitude, or None where the turn shows none."""
        ...

    def is_clear_yes(self, text: str, language: Language) -> bool:
        """Tell whether a customer agrees without a hedge, a condition or a question."""
        ...
