"""Turns phrases with choices and gaps into sentences that were not said before in the session.

The phrases are data, `phrases/<language>.json`: `[a|b]` is a choice, `{name}` a gap, `BE:` and `NL:` mark lines for
one country only. They are read on the first use and checked.
"""

from __future__ import annotations

import functools
import importlib.resources
import itertools
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping

from pydantic import TypeAdapter, ValidationError

from shared.coaching.phrases import is_flemish
from shared.errors import ConfigError
from shared.events import Language

MAX_TRIES = 60
"""Random draws per key; after them every combination is tried in order."""
MAX_COMBINATIONS = 2_000

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_GAP = re.compile(r"\{(\w+)\}")

_PHRASES = TypeAdapter(dict[str, tuple[str, ...]])

Said = Callable[[str], bool]


class Phrasebook:
    """The phrases of one language. Nothing is drawn from outside: the same seed gives the same words."""

    def __init__(self, phrases: Mapping[str, tuple[str, ...]], locale: str = "") -> None:
        self._phrases = phrases
        self._flemish = is_flemish(locale)

    def knows(self, key: str) -> bool:
        """Tell whether there are phrases for a key."""
        return key in self._phrases

    def draw(self, key: str, rng: random.Random, said: Said, **gaps: str) -> str:
        """Return a sentence of `key` that `said` does not know, or "" where all have been said.

        A phrase with a gap that has no value is passed over.
        """
        usable = [phrase for phrase in map(self._for_locale, self._phrases[key]) if phrase and _fits(phrase, gaps)]
        if not usable:
            return ""
        for _ in range(MAX_TRIES):
            sentence = _fill(_pick(rng.choice(usable), rng), gaps)
            if not said(sentence):
                return sentence
        for phrase in usable:
            for option in itertools.islice(_all(phrase), MAX_COMBINATIONS):
                sentence = _fill(option, gaps)
                if not said(sentence):
                    return sentence
        return ""

    def _for_locale(self, phrase: str) -> str:
        if phrase.startswith(("BE:", "NL:")):
            return phrase[3:] if phrase.startswith("BE:") == self._flemish else ""
        return phrase


@functools.cache
def load_phrases(language: Language) -> Mapping[str, tuple[str, ...]]:
    """Return the packaged phrases of a language. Raises ConfigError if the file is missing or wrong."""
    name = f"phrases/{language}.json"
    try:
        raw = (importlib.resources.files("services.coach_worker") / "phrases" / f"{language}.json").read_bytes()
        return _PHRASES.validate_python(json.loads(raw))
    except OSError as error:
        raise ConfigError(f"the data file {name} is missing from the installation: install splitbrain again") from error
    except (ValueError, ValidationError) as error:
        raise ConfigError(f"{name}: not an object of lists of phrases") from error


def _fits(phrase: str, gaps: Mapping[str, str]) -> bool:
    needed: list[str] = _GAP.findall(phrase)
    return all(gaps.get(name) for name in needed)


def _pick(phrase: str, rng: random.Random) -> str:
    return _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), phrase)


def _all(phrase: str) -> Iterator[str]:
    parts = _CHOICE.split(phrase)
    options = [part.split("|") if index % 2 else [part] for index, part in enumerate(parts)]
    return ("".join(chosen) for chosen in itertools.product(*options))


def _fill(phrase: str, gaps: Mapping[str, str]) -> str:
    filled = _GAP.sub(lambda match: gaps.get(match[1], ""), phrase)
    filled = re.sub(r"\s{2,}", " ", filled).strip()
    return capitalise(filled)


def capitalise(sentence: str) -> str:
    """Return the sentence with its first letter in upper case, also behind an opening quotation mark."""
    for index, char in enumerate(sentence):
        if char.isalpha():
            return sentence[:index] + char.upper() + sentence[index + 1 :]
        if char.isdigit():
            return sentence
    return sentence
