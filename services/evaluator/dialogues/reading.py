"""Dialogues in JSON Lines (schema `dialogue/1`): what a line must hold, and which line does not. Reads no file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.coaching.knowledge import Quality
from shared.errors import BadInput
from shared.events import Language

CODE = "bad_dialogues"
MAX_LINE_CHARS = 2_000_000
MAX_DIALOGUES = 10_000
MAX_TURNS = 500
"""As many as a conversation remembers."""

MAX_FAULTS = 20
"""Faults told of one file; more of the same kind help nobody."""

Speaker = Literal["seller", "customer", "coach"]
Ids = tuple[Annotated[str, Field(min_length=1)], ...]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Labels(_Part):
    """What a person saw in a seller's turn. `alt_techniques` would have been right as well."""

    techniques: Ids
    alt_techniques: Ids = ()
    phase: int | None = Field(default=None, ge=0, le=4)
    quality: Quality | None = None
    scored: bool = True
    errors: Ids = ()


class DialogueTurn(_Part):
    """One turn. `labels` are a seller's; a customer's `attitude` counts as a label if the key is there, null too."""

    speaker: Speaker
    text: str
    attitude: str | None = None
    labels: Labels | None = None

    @property
    def has_attitude_label(self) -> bool:
        """Tell a customer turn that is labelled as showing no attitude from one that nobody labelled."""
        return self.speaker == "customer" and "attitude" in self.model_fields_set


class Outcome(_Part):
    """What a person saw in the whole talk."""

    commitment: bool | None = None


class Dialogue(_Part):
    """One dialogue."""

    id: str = Field(min_length=1)
    lang: Language
    locale: str = ""
    turns: tuple[DialogueTurn, ...] = Field(min_length=1, max_length=MAX_TURNS)
    session: Outcome | None = None

    @property
    def is_labelled(self) -> bool:
        """True if at least one turn carries a label."""
        return any(turn.labels is not None or turn.has_attitude_label for turn in self.turns)


@dataclass(frozen=True, slots=True)
class _Fault:
    line: int
    where: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.where}{': ' if self.where else ''}{self.reason}"


def read_dialogues(text: str, name: str) -> tuple[Dialogue, ...]:
    """Return the dialogues of a file's text; blank lines and unknown fields are passed over.

    Raises BadInput with the line of everything that is wrong (the first twenty), an id that stands twice too.
    """
    found: list[Dialogue] = []
    faults: list[_Fault] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        parsed = _parse(line.removeprefix("\ufeff"), number)
        if isinstance(parsed, Dialogue) and parsed.id in lines:
            faults.append(_Fault(number, "id", f"{parsed.id!r} stands on line {lines[parsed.id]} already"))
        elif isinstance(parsed, Dialogue):
            lines[parsed.id] = number
            found.append(parsed)
        else:
            faults += parsed
        if len(found) > MAX_DIALOGUES:
            raise BadInput(CODE, f"{name}: more than {MAX_DIALOGUES} dialogues")
    if faults:
        left = len(faults) - MAX_FAULTS
        told = [f"  {fault}" for fault in faults[:MAX_FAULTS]] + ([f"  and {left} more"] if left > 0 else [])
        raise BadInput(CODE, f"{name} cannot be read:\n" + "\n".join(told))
    if not found:
        raise BadInput(CODE, f"{name} holds no dialogue")
    return tuple(found)


def _parse(line: str, number: int) -> Dialogue | list[_Fault]:
    if len(line) > MAX_LINE_CHARS:
        return [_Fault(number, "", f"{len(line)} characters; at most {MAX_LINE_CHARS} are read")]
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        return [_Fault(number, "", f"not JSON: {error}")]
    if not isinstance(value, dict):
        return [_Fault(number, "", "a line must hold one JSON object")]
    try:
        dialogue = Dialogue.model_validate_json(line)
    except ValidationError as error:
        return [_Fault(number, _where(problem["loc"]), str(problem["msg"])) for problem in error.errors()]
    return dialogue


def _where(steps: tuple[Any, ...]) -> str:
    return ".".join(str(step) for step in steps)
