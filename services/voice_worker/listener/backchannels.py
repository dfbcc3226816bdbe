"""Which words are a backchannel: "hm, I listen", not "I want the floor". Pure data and two tests of it."""

from __future__ import annotations

import re
from typing import Final

from shared.events import Language

MAX_WORDS: Final = 3


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Acknowledgements, and the spellings that recognisers give them.
_WORDS: Final[dict[Language, frozenset[str]]] = {
    "nl": _set("ja jaja hm hmm mm mmm mhm oké oke ok okay precies juist klopt inderdaad ah"),
    "en": _set("yeah yep mm mmm hm hmm mhm mm-hm mm-hmm mhmm uh-huh uh huh right okay ok sure exactly"),
}
_TOKEN = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*|\d+")


def words_of(text: str) -> list[str]:
    """Return the words of `text` in lower case, without punctuation."""
    return _TOKEN.findall(text.lower())


def is_backchannel(text: str, language: Language) -> bool:
    """Whether `text` is one to three words that only acknowledge."""
    words = words_of(text)
    return 0 < len(words) <= MAX_WORDS and all(word in _WORDS[language] for word in words)


def may_be_backchannel(text: str, language: Language) -> bool:
    """Whether `text` could be the beginning of a backchannel (no words yet included)."""
    return not words_of(text) or is_backchannel(text, language)
