"""What every sentence must pass before it is spoken: one question a turn, short, plain, new, the right language.

Pure. A sentence that fails is not mended: the brain gives way to another one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from shared.coaching.words import words
from shared.events import Language

Refusal = Literal[
    "empty", "too_long", "too_many_sentences", "second_question", "after_question", "format", "repeat", "language",
    "leak",
]  # fmt: skip

MAX_WORDS = 32
MAX_CHARS = 240
MAX_SENTENCES = 4

_FORMAT = re.compile(
    r"https?://|www\.|[*_#`|<>{}\[\]\\]|^\s*(?:[-•–]|\d{1,2}[.)])\s|\n|[\U0001F300-\U0001FAFF☀-➿]",
)
_LEAK = re.compile(
    r"\b(?:language model|taalmodel|as an ai|als ai|system prompt|systeemprompt|instructions? (?:above|below)"
    r"|openai|chatgpt|assistant:|user:|system:)",
    re.IGNORECASE,
)
_COMMON: dict[Language, frozenset[str]] = {
    "nl": frozenset(
        words("de het een en ik je jij dat die niet van voor met op aan zijn was heeft ook wat hoe nu dan")
    ),
    "en": frozenset(words("the an and i you that this not of for with on to are was has also what how now then it's")),
}
_MIN_WORDS_FOR_LANGUAGE = 5


@dataclass(slots=True)
class TurnGuard:
    """Guards the sentences of one answer. `said` tells whether Hugo has said a sentence before in the session."""

    language: Language
    said: Callable[[str], bool]
    questions: int = 0
    passed: list[str] = field(default_factory=list)

    def refuse(self, sentence: str) -> Refusal | None:
        """Return why the sentence may not be spoken, or None and count it as spoken."""
        reason = self._reason(sentence)
        if reason is None:
            self.questions += sentence.count("?")
            self.passed.append(_key(sentence))
        return reason

    def _reason(self, sentence: str) -> Refusal | None:
        tokens = words(sentence)
        if not tokens:
            return "empty"
        if len(self.passed) >= MAX_SENTENCES:
            return "too_many_sentences"
        if _FORMAT.search(sentence):
            return "format"
        if _LEAK.search(sentence):
            return "leak"
        if len(tokens) > MAX_WORDS or len(sentence) > MAX_CHARS:
            return "too_long"
        asked = sentence.count("?")
        if self.questions + asked > 1:
            return "second_question"
        if self.questions:
            return "after_question"
        if _key(sentence) in self.passed or self.said(sentence):
            return "repeat"
        return None if speaks(tokens, self.language) else "language"


def speaks(tokens: tuple[str, ...], language: Language) -> bool:
    """Tell whether words may be of a language: not if clearly more of them belong to the other."""
    if len(tokens) < _MIN_WORDS_FOR_LANGUAGE:
        return True
    other: Language = "en" if language == "nl" else "nl"
    own = sum(1 for token in tokens if token in _COMMON[language])
    foreign = sum(1 for token in tokens if token in _COMMON[other])
    return foreign <= own or foreign < 2


def _key(sentence: str) -> str:
    return " ".join(words(sentence))
