"""The pattern language of the overlay files, and their loader. Patterns match whole words, never pieces.

A pattern is a row of elements: a word; `a|b` alternatives; `[a b|c]` alternatives of several words;
`x?` may be left out; `*` up to four words; `**` up to twelve; `#` a number; `@name` a class of the file;
`<` and `>` the sentence's beginning and end. A class is a list of words or groups of words.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.coaching.json_lines import entry_lines, parse_strict
from shared.coaching.knowledge import Knowledge, load_knowledge, read_package_data
from shared.errors import ConfigError
from shared.events import Language

_ELEMENT = re.compile(r"\[[^\]]*\]\??|\S+")
_WORD = re.compile(r"[a-z0-9][a-z0-9'-]*|%")
_GAPS = {"*": r"(?:\S+ ){0,4}", "**": r"(?:\S+ ){0,12}"}
_NUMBER = (
    r"(?:\d\S*|een|twee|drie|vier|vijf|zes|zeven|acht|negen|elf|twaalf|\w*tien|\w*tig|\w*honderd|\w*duizend"
    r"|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|hundred|thousand"
    r"|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
)


class _Rules(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    strong: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()


class _Overlay(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    language: Language
    note: str = ""
    drop: tuple[str, ...]
    classes: dict[str, tuple[str, ...]]
    techniques: dict[str, _Rules]
    attitudes: dict[str, _Rules]
    errors: dict[str, tuple[str, ...]]
    forms: dict[str, tuple[str, ...]] = Field(min_length=1)


Pattern = re.Pattern[str]


@dataclass(frozen=True, slots=True, eq=False)
class RuleSet:
    """Compiled patterns of one id: a strong one is enough by itself, a weak one needs support.

    Two are equal if they are the same object: `row_hits` remembers by it.
    """

    strong: tuple[Pattern, ...]
    weak: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Patterns:
    """One language's compiled overlay. `fingerprint` is the SHA-256 of the file."""

    language: Language
    drop: frozenset[str]
    techniques: Mapping[str, RuleSet]
    attitudes: Mapping[str, RuleSet]
    errors: Mapping[str, tuple[Pattern, ...]]
    forms: Mapping[str, tuple[Pattern, ...]]
    fingerprint: str


@functools.lru_cache(maxsize=32_768)
def row_hits(rules: RuleSet, line: str) -> tuple[int, int]:
    """Return which strong and which weak patterns stand in a sentence's line, as one bit each."""
    strong = sum(1 << at for at, row in enumerate(rules.strong) if row.search(line))
    weak = sum(1 << at for at, row in enumerate(rules.weak) if row.search(line))
    return strong, weak


FORMS = frozenset(
    [
        "open",
        "closed",
        "choice",
        "leading",
        "tag",
        "anaphora",
        "consent",
        "acknowledge",
        "clear_yes",
        "hedge",
        "to_coach",
        "to_customer",
        "advance",
        "contrast",
        "numbers",
        "benefit",
    ]
)


@functools.cache
def load_patterns(language: Language) -> Patterns:
    """Return the packaged patterns of a language; read and compiled on the first call only."""
    name = f"patterns_{language}.json"
    return parse_patterns(read_package_data(name), name, load_knowledge())


def parse_patterns(data: bytes, name: str, knowledge: Knowledge) -> Patterns:
    """Return the compiled overlay, or raise ConfigError with everything wrong in it."""
    text = data.decode()
    parse_strict(text, name)
    lines = entry_lines(text)
    try:
        overlay = _Overlay.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ConfigError(f"{name}:{lines.get(first['loc'][:1], 1)}: {where}: {first['msg']}") from error
    faults = _unknown(overlay, knowledge)
    if faults:
        raise ConfigError(f"the pattern file {name} is wrong:\n  " + "\n  ".join(faults))
    classes = overlay.classes
    try:
        return Patterns(
            language=overlay.language,
            drop=frozenset(overlay.drop),
            techniques={key: _compile_rules(rules, classes) for key, rules in overlay.techniques.items()},
            attitudes={key: _compile_rules(rules, classes) for key, rules in overlay.attitudes.items()},
            errors={key: _compile_all(rows, classes) for key, rows in overlay.errors.items()},
            forms={key: _compile_all(rows, classes) for key, rows in overlay.forms.items()},
            fingerprint=hashlib.sha256(data).hexdigest(),
        )
    except ValueError as error:
        raise ConfigError(f"the pattern file {name} is wrong: {error}") from error


def compile_pattern(pattern: str, classes: Mapping[str, tuple[str, ...]]) -> Pattern:
    """Return the regular expression of a pattern, to be searched in `Sentence.line`. Raises ValueError."""
    elements = _ELEMENT.findall(pattern)
    if not elements:
        raise ValueError("a pattern is empty")
    start = end = ""
    if elements[0] == "<":
        start, elements = "^", elements[1:]
    if elements and elements[-1] == ">":
        end, elements = "$", elements[:-1]
    body = "".join(_element(element, pattern, classes) for element in elements)
    return re.compile(f"{start} (?=\\S){body}{end}" if body else f"{start}{end}")


def _element(element: str, pattern: str, classes: Mapping[str, tuple[str, ...]]) -> str:
    if element in _GAPS:
        return _GAPS[element]
    optional = "?" if element.endswith("?") else ""
    bare = element.removesuffix("?").removeprefix("[").removesuffix("]")
    choices = "|".join(_choice(choice, pattern, classes) for choice in bare.split("|"))
    return f"(?:{choices}){optional}"


def _choice(choice: str, pattern: str, classes: Mapping[str, tuple[str, ...]]) -> str:
    parts = choice.split()
    if not parts:
        raise ValueError(f"pattern {pattern!r} has an empty alternative")
    return "".join(_GAPS.get(part) or f"{_part(part, pattern, classes)} " for part in parts)


def _part(part: str, pattern: str, classes: Mapping[str, tuple[str, ...]]) -> str:
    if part == "#":
        return _NUMBER
    if part.startswith("@"):
        if part[1:] not in classes:
            raise ValueError(f"pattern {pattern!r} names the unknown class {part!r}")
        return f"(?:{'|'.join(_choice(word, pattern, {}).rstrip() for word in classes[part[1:]])})"
    if not _WORD.fullmatch(part):
        raise ValueError(f"pattern {pattern!r} has the element {part!r}, which is no word")
    return re.escape(part)


def _compile_rules(rules: _Rules, classes: Mapping[str, tuple[str, ...]]) -> RuleSet:
    return RuleSet(_compile_all(rules.strong, classes), _compile_all(rules.weak, classes))


def _compile_all(rows: tuple[str, ...], classes: Mapping[str, tuple[str, ...]]) -> tuple[Pattern, ...]:
    return tuple(compile_pattern(row, classes) for row in rows)


def _unknown(overlay: _Overlay, knowledge: Knowledge) -> list[str]:
    faults = [f"techniques: unknown id {key!r}" for key in overlay.techniques if key not in knowledge.techniques]
    faults += [f"attitudes: unknown key {key!r}" for key in overlay.attitudes if key not in knowledge.attitudes]
    faults += [f"errors: unknown code {key!r}" for key in overlay.errors if key not in knowledge.error_codes]
    faults += [f"forms: unknown form {key!r}" for key in overlay.forms if key not in FORMS]
    return faults + [f"forms: {key!r} is missing" for key in sorted(FORMS - set(overlay.forms))]
