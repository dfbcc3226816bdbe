"""The folder that keeps answers by the hash of all they depend on. Holds verdicts and places, no word of a talk.

What the model said is kept, refused or not; what failed on the way is not, and is asked for again. Calls block.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.evaluator.judge.answers import NOT_SHOWN, Answer, Refusal, Refused
from services.evaluator.judge.prompts import verdicts_of
from services.evaluator.judge.questions import Question

SCHEMA: Literal["splitbrain.judge_answer/1"] = "splitbrain.judge_answer/1"
MAX_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer and the name under which the model was served."""

    outcome: Answer | Refused
    served_as: str


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    form: Literal["splitbrain.judge_answer/1"] = Field(alias="schema")
    served_as: str = Field(max_length=200)
    verdict: str | None = None
    start: int = Field(default=0, ge=0)
    end: int = Field(default=0, ge=0)
    refused: Refusal | None = None


class AnswerCache:
    """Answers under one folder: `<two letters of the key>/<key>.json`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser()

    def get(self, key: str, question: Question) -> Kept | None:
        """Return the answer to a question, or None: not there, or not of the form that it must have."""
        try:
            with self._path(key).open("rb") as file:
                entry = _Entry.model_validate_json(file.read(MAX_BYTES))
        except (OSError, ValidationError):
            return None
        outcome = _outcome(entry, question)
        return None if outcome is None else Kept(outcome, entry.served_as)

    def put(self, key: str, kept: Kept) -> None:
        """Keep an answer, at once or not at all. Raises OSError."""
        outcome = kept.outcome
        entry = (
            _Entry(schema=SCHEMA, served_as=kept.served_as, refused=outcome.reason)
            if isinstance(outcome, Refused)
            else _Entry(
                schema=SCHEMA,
                served_as=kept.served_as,
                verdict=outcome.verdict,
                start=outcome.start,
                end=outcome.end,
            )
        )
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(f"{key}.{secrets.token_hex(4)}.part")
        try:
            part.write_text(entry.model_dump_json(by_alias=True), encoding="utf-8")
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"


def _outcome(entry: _Entry, question: Question) -> Answer | Refused | None:
    if entry.refused is not None:
        return Refused(entry.refused)
    if entry.verdict not in verdicts_of(question):
        return None
    if entry.verdict in NOT_SHOWN:
        return Answer(entry.verdict)
    is_place = 0 <= entry.start < entry.end <= len(question.text)
    return Answer(entry.verdict, entry.start, entry.end) if is_place else None
