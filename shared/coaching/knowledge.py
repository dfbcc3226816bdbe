"""The knowledge file: phases, techniques, customer attitudes and error codes, checked and read once.

`knowledge/epic.json` is the only place where ids, names, order and criteria live. Nothing is read at import.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.coaching.json_lines import entry_lines, parse_strict
from shared.errors import ConfigError
from shared.events import Language

FILE_NAME = "epic.json"
MAX_BYTES = 1_000_000

EpicStep = Literal["explore", "probe", "impact", "commit"]
Quality = Literal["ok", "partial", "missed"]

_ID = re.compile(r"[0-4](\.([1-9][0-9]?|[A-Z]{2,12}))+")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Phase(_Entry):
    """One of the five phases of a sales talk."""

    id: str = Field(pattern=r"^[0-4]$")
    name_nl: str = Field(min_length=1)
    name_en: str = Field(min_length=1)
    observable: bool = True


class Criteria(_Entry):
    """What an observer must see for each quality."""

    ok: str = Field(min_length=1)
    partial: str = Field(min_length=1)
    missed: str = Field(min_length=1)


class Technique(_Entry):
    """One technique of the method. `parent` is a technique's or a phase's id."""

    id: str
    parent: str
    phase: int = Field(ge=0, le=4)
    epic_step: EpicStep | None
    name_nl: str = Field(min_length=1)
    name_en: str = Field(min_length=1)
    definition_nl: str = Field(min_length=1)
    definition_en: str = Field(min_length=1)
    examples_nl: tuple[str, ...] = Field(min_length=1)
    examples_en: tuple[str, ...] = Field(min_length=1)
    criteria: Criteria
    source: str = ""
    observable: bool = True
    is_group: bool = False
    theme: str | None = None
    order: str = ""
    prerequisite: str = ""
    gate: str = ""
    steps: tuple[str, ...] = ()
    reacts_to: tuple[str, ...] = ()
    allowed_phases: tuple[int, ...] = ()
    forbidden_phases: tuple[int, ...] = ()

    def name(self, language: Language) -> str:
        """Return its exact name in a language."""
        return self.name_nl if language == "nl" else self.name_en

    def may_be_used_in(self, phase: int) -> bool:
        """Tell whether the method allows it in a phase."""
        return phase not in self.forbidden_phases


class Attitude(_Entry):
    """A customer's stance and the techniques it calls for."""

    key: str = Field(pattern=r"^[a-z]+$")
    id: str = Field(pattern=r"^H[1-9]$")
    name_nl: str = Field(min_length=1)
    name_en: str = Field(min_length=1)
    allowed_phases: tuple[int, ...] = Field(min_length=1)
    expected_techniques: tuple[str, ...] = Field(min_length=1)
    expected_by_phase: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    example_nl: str = Field(min_length=1)
    example_en: str = Field(min_length=1)
    note: str = ""

    def name(self, language: Language) -> str:
        """Return its exact name in a language."""
        return self.name_nl if language == "nl" else self.name_en


class _File(_Entry):
    version: str = Field(min_length=1)
    note: str = ""
    phases: tuple[Phase, ...] = Field(min_length=1)
    techniques: tuple[Technique, ...] = Field(min_length=1)
    attitudes: tuple[Attitude, ...] = Field(min_length=1)
    error_codes: dict[str, str] = Field(min_length=1)


class Knowledge:
    """The checked knowledge file. Techniques stand in natural order of their ids.

    `knowledge_hash` is the SHA-256 of the file's bytes: it names the method that a judgement rests on.
    """

    def __init__(self, file: _File, knowledge_hash: str) -> None:
        self.version = file.version
        self.knowledge_hash = knowledge_hash
        self.phases: Mapping[int, Phase] = {int(phase.id): phase for phase in file.phases}
        ordered = sorted(file.techniques, key=lambda technique: id_key(technique.id))
        self.techniques: Mapping[str, Technique] = {technique.id: technique for technique in ordered}
        self.attitudes: Mapping[str, Attitude] = {attitude.key: attitude for attitude in file.attitudes}
        self.error_codes: Mapping[str, str] = dict(file.error_codes)
        self.themes: Mapping[str, str] = {item.theme: item.id for item in ordered if item.theme is not None}

    def technique(self, technique_id: str) -> Technique:
        """Return a technique, or raise KeyError."""
        return self.techniques[technique_id]

    def name(self, technique_id: str, language: Language) -> str:
        """Return a technique's exact name."""
        return self.techniques[technique_id].name(language)

    def children(self, technique_id: str) -> tuple[str, ...]:
        """Return the ids directly below a technique or phase."""
        return tuple(item.id for item in self.techniques.values() if item.parent == technique_id)

    def is_within(self, technique_id: str, ancestor: str) -> bool:
        """Tell whether an id is `ancestor` itself or lies below it."""
        return technique_id == ancestor or technique_id.startswith(f"{ancestor}.")

    def expected(self, attitude: str | None, phase: int | None) -> tuple[str, ...]:
        """Return the techniques that an attitude calls for in a phase; () where none is known."""
        if attitude is None or attitude not in self.attitudes:
            return ()
        entry = self.attitudes[attitude]
        if phase is None:
            return entry.expected_techniques
        ids = entry.expected_by_phase.get(str(phase), entry.expected_techniques)
        return tuple(item for item in ids if self.techniques[item].may_be_used_in(phase))

    def answers(self, technique_id: str, attitude: str | None, phase: int | None) -> bool:
        """Tell whether a technique, or a parent of it, is one that the attitude calls for."""
        return any(self.is_within(technique_id, wanted) for wanted in self.expected(attitude, phase))


def id_key(technique_id: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key for natural order: numbers by value, then words; parents first."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in technique_id.split("."))


@functools.cache
def load_knowledge() -> Knowledge:
    """Return the packaged knowledge file; read and checked on the first call only."""
    return parse_knowledge(read_package_data(FILE_NAME), FILE_NAME)


def read_package_data(name: str) -> bytes:
    """Return the bytes of a file beside the knowledge file. Raises ConfigError if it is not installed."""
    try:
        return (importlib.resources.files("shared.coaching") / "knowledge" / name).read_bytes()
    except OSError as error:
        raise ConfigError(f"the data file {name} is missing from the installation: install splitbrain again") from error


def parse_knowledge(data: bytes, name: str = FILE_NAME) -> Knowledge:
    """Return the checked knowledge, or raise ConfigError with file, line and reason of everything wrong."""
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{name}: {len(data)} bytes; at most {MAX_BYTES} are read")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not UTF-8 at byte {error.start}") from error
    parse_strict(text, name)
    lines = entry_lines(text)
    try:
        file = _File.model_validate_json(text)
    except ValidationError as error:
        faults = [_say(name, lines, _plain(problem["loc"]), problem["msg"]) for problem in error.errors()]
        raise ConfigError("the knowledge file is wrong:\n" + "\n".join(faults)) from error
    faults = [_say(name, lines, loc, reason) for loc, reason in _contradictions(file)]
    if faults:
        raise ConfigError("the knowledge file is wrong:\n" + "\n".join(faults))
    return Knowledge(file, hashlib.sha256(data).hexdigest())


Loc = tuple[str | int, ...]


def _say(name: str, lines: Mapping[Loc, int], loc: Loc, reason: str) -> str:
    line = lines.get(loc[:2]) or lines.get(loc[:1]) or 1
    return f"  {name}:{line}: {'.'.join(str(step) for step in loc)}: {reason}"


def _plain(loc: tuple[Any, ...]) -> Loc:
    return tuple(step if isinstance(step, int) else str(step) for step in loc)


def _contradictions(file: _File) -> Iterable[tuple[Loc, str]]:
    phase_ids = [phase.id for phase in file.phases]
    technique_ids = [technique.id for technique in file.techniques]
    keys = [attitude.key for attitude in file.attitudes]
    yield from _twice("phases", phase_ids)
    yield from _twice("techniques", technique_ids)
    yield from _twice("attitudes", keys)
    yield from _twice("attitudes", [attitude.id for attitude in file.attitudes])
    yield from _twice("techniques", [item.theme or f"no theme {n}" for n, item in enumerate(file.techniques)])
    for index, technique in enumerate(file.techniques):
        for reason in _technique_faults(technique, set(phase_ids), set(technique_ids), set(keys)):
            yield ("techniques", index, technique.id), reason
    known = {technique.id: technique for technique in file.techniques}
    for index, attitude in enumerate(file.attitudes):
        for reason in _attitude_faults(attitude, known):
            yield ("attitudes", index, attitude.key), reason


def _twice(section: str, values: list[str]) -> Iterable[tuple[Loc, str]]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield (section, index), f"{value!r} stands twice"


def _technique_faults(item: Technique, phases: set[str], ids: set[str], attitudes: set[str]) -> Iterable[str]:
    if not _ID.fullmatch(item.id):
        yield f"the id {item.id!r} is not of the form 2.1.1.6 or 4.ABC"
        return
    if item.parent != item.id.rpartition(".")[0]:
        yield f"its parent must be {item.id.rpartition('.')[0]!r}, not {item.parent!r}"
    elif item.parent not in ids | phases:
        yield f"its parent {item.parent!r} is not in the file"
    if item.id[0] != str(item.phase):
        yield f"its id belongs to phase {item.id[0]}, but phase is {item.phase}"
    if (item.epic_step is not None) != (item.phase == 2):
        yield "epic_step belongs to phase 2 and only there"
    used = {*item.allowed_phases, *item.forbidden_phases}
    if not used <= {0, 1, 2, 3, 4} or set(item.allowed_phases) & set(item.forbidden_phases):
        yield "allowed_phases and forbidden_phases must be phases 0 to 4 and share none"
    for key in item.reacts_to:
        if key not in attitudes:
            yield f"reacts_to names the unknown attitude {key!r}"


def _attitude_faults(item: Attitude, known: Mapping[str, Technique]) -> Iterable[str]:
    if not set(item.allowed_phases) <= {1, 2, 3, 4}:
        yield "an attitude shows in phases 1 to 4 only"
    for technique_id in item.expected_techniques:
        if technique_id not in known:
            yield f"expected_techniques names the unknown technique {technique_id!r}"
    for phase, ids in item.expected_by_phase.items():
        if phase not in {str(number) for number in item.allowed_phases}:
            yield f"expected_by_phase names phase {phase!r}, which is not allowed for it"
            continue
        for technique_id in ids:
            if technique_id not in known:
                yield f"expected_by_phase names the unknown technique {technique_id!r}"
            elif int(phase) in known[technique_id].forbidden_phases:
                yield f"{technique_id} is forbidden in phase {phase}"
