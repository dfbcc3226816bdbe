"""Text as words: folding, sentences and tokens, the same for typed text and for what a recogniser writes."""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass

MAX_CHARS = 4_000
"""Longer turns are judged by their first 4,000 characters (about four minutes of speech)."""

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W_]+(?:['-][^\W_]+)*|[.?!;:…]+|—|\s-\s|%", re.UNICODE)
_ABBREVIATION = re.compile(r"\b(mr|mrs|ms|dr|prof|st|dhr|mevr|mw|drs|ir|nr|bijv|bv|e\.g|i\.e|o\.a)\.", re.IGNORECASE)
_ENDS = frozenset(".?!;:…—-")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One stretch between sentence marks. `tokens` are folded; `asks` is True if it ended with a question mark.

    `line` is the tokens with one space around each, for pattern matching.
    """

    tokens: tuple[str, ...]
    raw: str
    asks: bool
    line: str


def fold(text: str) -> str:
    """Return `text` in lower case without accents and with plain apostrophes and quotes."""
    if text.isascii():
        return text.lower()
    plain = text.replace("’", "'").replace("‘", "'").replace("“", '"').replace("”", '"')
    decomposed = unicodedata.normalize("NFKD", plain.lower())
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def sentences(text: str, drop: frozenset[str] = frozenset()) -> tuple[Sentence, ...]:
    """Return the sentences of a turn; words in `drop` (filled pauses) are left out.

    Text without punctuation is one sentence.
    """
    folded = fold_in_place(text[:MAX_CHARS])
    found: list[Sentence] = []
    tokens: list[str] = []
    start = 0
    for match in _TOKEN.finditer(folded):
        token = match.group().strip()
        if token[0] in _ENDS:
            if tokens:
                found.append(_sentence(tokens, text[start : match.end()], "?" in token))
            tokens, start = [], match.end()
        elif token not in drop:
            tokens.append(token)
    if tokens:
        found.append(_sentence(tokens, text[start:MAX_CHARS], False))
    return tuple(found)


def without_abbreviation_stops(text: str) -> str:
    """Return `text` without the full stops of titles and abbreviations: they end no sentence ("Mr. Smith")."""
    return _ABBREVIATION.sub(r"\1", text)


def words(text: str) -> tuple[str, ...]:
    """Return the folded words of `text` without marks."""
    return tuple(token for token in _TOKEN.findall(fold(text[:MAX_CHARS])) if token[0].isalnum())


def fold_in_place(text: str) -> str:
    """Fold character by character, so that positions in the result are positions in `text`."""
    return "".join(map(_fold_char, text))


@functools.lru_cache(maxsize=1024)
def _fold_char(char: str) -> str:
    return (fold(char) or " ")[:1]


def _sentence(tokens: list[str], raw: str, asks: bool) -> Sentence:
    return Sentence(tuple(tokens), raw.strip(), asks, f" {' '.join(tokens)} ")
