"""Which words are a backchannel: "hm, I listen", not "I want the floor". Pure data and one test."""

from __future__ import annotations

import re
from typing import Final

from shared.events import Language

MAX_WORDS: Final = 3

_WORDS: Final[dict[Language, frozenset[str]]] = {
    "nl": frozenset(
        "ja jaja hm hmm mm mhm uhuh uhu aha ah oh oké oke ok okay precies juist klopt inderdaad exact".split()
    ),
    "en": frozenset(
        "yeah yep yes mm mhm hm hmm mm-hm mm-hmm uh-huh uhhuh aha ah oh right okay ok sure exactly".split()
    ),
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
