"""Cuts text into clauses, so that the first one can be heard while the next is made. Pure."""

from __future__ import annotations

import re
from typing import Final

MAX_TEXT_CHARS: Final = 2_000
MIN_WORDS: Final = 3
MAX_WORDS: Final = 18
LINK_SLACK: Final = 3  # words above the limit that are borne before a sentence is cut where no mark is

_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*\s+")
_CLAUSE_END = re.compile(r"(?<=[,;:])\s+|\s+(?=[–—]\s)")
_LINKS: Final = {
    "en": re.compile(r"(?<=\s)(and|but|or|so|because|that|which|when|while|if|what|how|who|where|than|before|after)\b"),
    "nl": re.compile(r"(?<=\s)(en|maar|of|want|omdat|dat|die|wanneer|terwijl|als|wat|hoe|wie|waar|voordat|nadat)\b"),
}
_ABBREVIATION = re.compile(r"(?:^|\s)(mr|mrs|ms|dr|prof|e\.g|i\.e|vs|dhr|mevr|bijv|d\.w\.z|o\.a)\.$", re.IGNORECASE)


def clauses(text: str, *, language: str, first_words: int = 6, next_words: int = MAX_WORDS) -> tuple[str, ...]:
    """Return the clauses of `text` in order, none empty; joined by spaces they are the text (spaces normalised).

    Cuts at ends of sentences, then at commas, then before a linking word. The first clause has at most about
    `first_words` words where such a place allows it, since it is what the listener waits for; later ones at most
    `next_words`. No piece gets shorter than MIN_WORDS by a cut that is not the end of a sentence.
    """
    pieces: list[str] = []
    for sentence in _sentences(" ".join(text.split())):
        limit = next_words if pieces else first_words
        pieces.extend(_cut(sentence, language, limit, next_words))
    return tuple(pieces)


def _sentences(text: str) -> list[str]:
    found: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        sentence = text[start : match.end()].strip()
        if not _ABBREVIATION.search(sentence):
            found.append(sentence)
            start = match.end()
    rest = text[start:].strip()
    return [*found, rest] if rest else found


def _cut(sentence: str, language: str, limit: int, next_limit: int) -> list[str]:
    """Split one sentence until each piece is within its limit, or has no good place left."""
    done: list[str] = []
    rest = sentence
    while len(rest.split()) > limit:
        cut = _place(rest, language, limit)
        if cut is None:
            break
        done.append(rest[:cut].strip())
        rest = rest[cut:].strip()
        limit = next_limit
    return [*done, rest] if rest else done


def _place(text: str, language: str, limit: int) -> int | None:
    """Return the index at which to cut: the last mark within the limit, else the last link, else the first place."""
    marks = [match.end() for match in _CLAUSE_END.finditer(text) if _allowed(text, match.end())]
    links = [start for start in _link_starts(text, language) if _allowed(text, start)]
    if len(text.split()) <= limit + LINK_SLACK:
        links = []
    for places in (marks, links):
        within = [place for place in places if len(text[:place].split()) <= limit]
        if within:
            return within[-1]
    return min(marks + links, default=None)


def _link_starts(text: str, language: str) -> list[int]:
    links = _LINKS.get(language)
    return [match.start() for match in links.finditer(text)] if links else []


def _allowed(text: str, place: int) -> bool:
    return len(text[:place].split()) >= MIN_WORDS and len(text[place:].split()) >= MIN_WORDS
