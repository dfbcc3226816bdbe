"""What may come back from the model: a verdict with a quote that is in the turn, or why it is refused. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from services.evaluator.judge.prompts import verdicts_of
from services.evaluator.judge.questions import Question
from services.evaluator.scoring import MAX_EVIDENCE_CHARS
from shared.coaching.words import fold_in_place

MAX_ANSWER_CHARS = 4_000

Refusal = Literal["malformed", "wrong_criterion", "no_evidence", "evidence_not_in_turn"]
Cause = Literal["timeout", "unreachable", "refused", "malformed", "gave_up", "time_over", "internal"]

NOT_SHOWN = frozenset(["absent", "no"])
"""Verdicts that need no evidence: nothing can be quoted for what is not there. They change no figure."""

_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n\s*```\Z", re.DOTALL)
_WORD = re.compile(r"[^\W_]+")
_MIN_WORDS = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict and its evidence: characters `start` to `end` of the question's text; both 0 where nothing is shown."""

    verdict: str
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """The model said something that may not count."""

    reason: Refusal


@dataclass(frozen=True, slots=True)
class Failed:
    """The model said nothing."""

    cause: Cause


Outcome = Answer | Refused | Failed


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    criterion: str
    evidence: str
    verdict: str


def parse_answer(content: str, question: Question) -> Answer | Refused:
    """Return the answer in a model's words, or why it is refused.

    One JSON object of exactly the asked form, alone or in one code fence. The evidence is looked up in the turn and
    kept as a place there: no word of the model's enters a card.
    """
    form = _read(content)
    if form is None or form.verdict not in verdicts_of(question):
        return Refused("malformed")
    if form.criterion != question.criterion:
        return Refused("wrong_criterion")
    if form.verdict in NOT_SHOWN:
        return Answer(form.verdict)
    if not _WORD.search(form.evidence):
        return Refused("no_evidence")
    span = find_quote(form.evidence, question.text)
    return Refused("evidence_not_in_turn") if span is None else Answer(form.verdict, *span)


def find_quote(quote: str, text: str) -> tuple[int, int] | None:
    """Return where a quote stands in `text`, word for word, or None. Case, accents, spaces and marks do not matter.

    A single word is a quote only of a text that has no more. At most 200 characters are kept.
    """
    folded = fold_in_place(text)
    places = [match.span() for match in _WORD.finditer(folded)]
    said = [folded[start:end] for start, end in places]
    wanted = _WORD.findall(fold_in_place(quote))
    if len(wanted) < min(_MIN_WORDS, len(said)) or not wanted:
        return None
    for at in range(len(said) - len(wanted) + 1):
        if said[at : at + len(wanted)] == wanted:
            start, end = places[at][0], places[at + len(wanted) - 1][1]
            return start, min(end, start + MAX_EVIDENCE_CHARS)
    return None


def _read(content: str) -> _Form | None:
    text = content.strip()
    if len(text) > MAX_ANSWER_CHARS:
        return None
    fenced = _FENCE.match(text)
    try:
        value = json.loads(fenced.group(1) if fenced else text, object_pairs_hook=_no_key_twice)
        return _Form.model_validate(value)
    except (ValueError, ValidationError, RecursionError):
        return None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value
