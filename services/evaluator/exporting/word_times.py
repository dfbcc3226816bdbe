"""When each word was said: as recognised, as the voice told it, or spread evenly over the turn's speech. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.evaluator.intervals import Interval
from services.evaluator.turns import Turn
from shared.events import Event, Spoken


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word and its place. `is_timed` False: nobody told when it was said."""

    text: str
    start_ms: int
    end_ms: int
    is_timed: bool
    confidence: float | None = None


Marks = Mapping[str, Sequence[tuple[int, str]]]
"""By turn: (ms, text) of each piece that the voice told of while it spoke."""

MAX_SPOKEN_MS = 1_200
"""A word that the voice told of lasts until the next one, at most so long: then it paused."""


def spoken_marks(events: Sequence[Event]) -> dict[str, list[tuple[int, str]]]:
    """Return what the voice told of its words while it spoke, by turn."""
    marks: dict[str, list[tuple[int, str]]] = {}
    for event in events:
        if isinstance(event.body, Spoken):
            marks.setdefault(event.body.turn, []).append((event.body.start_ms, event.body.text))
    return marks


def words_of(turn: Turn, marks: Marks) -> tuple[TimedWord, ...]:
    """Return the words of a turn in order. The words are those of its text, wherever their times come from."""
    if turn.words:
        return tuple(
            TimedWord(word.text.strip(), word.start_ms, max(word.start_ms, word.end_ms), True, word.confidence)
            for word in turn.words
            if word.text.strip()
        )
    told = _told(turn, marks.get(turn.id, ()))
    return told if told else tuple(_spread(turn.text.split(), turn))


def _told(turn: Turn, marks: Sequence[tuple[int, str]]) -> tuple[TimedWord, ...]:
    """Return the words that the voice told of, if they are those of the text; a piece may hold several words."""
    pieces = [(at_ms, text.split()) for at_ms, text in marks if text.strip() and at_ms < max(turn.end_ms, 1)]
    n_words = sum(len(words) for _, words in pieces)
    if not pieces or n_words != len(turn.text.split()):
        return ()
    found: list[TimedWord] = []
    for (at_ms, words), (next_ms, _) in pairwise([*pieces, (turn.end_ms, [])]):
        end_ms = min(max(next_ms, at_ms + 1), at_ms + MAX_SPOKEN_MS * len(words))
        found += _evenly(words, Interval(at_ms, end_ms), is_timed=True)
    return tuple(found)


def _spread(words: Sequence[str], turn: Turn) -> list[TimedWord]:
    """Return the words one after the other over the turn's stretches of speech, by their letters."""
    parts = turn.speech or (turn.interval,)
    whole = Interval(parts[0].start_ms, parts[-1].end_ms)
    return _evenly(words, whole, is_timed=False)


def _evenly(words: Sequence[str], part: Interval, *, is_timed: bool) -> list[TimedWord]:
    letters = [len(word) + 1 for word in words]
    total, before = max(1, sum(letters)), 0
    found = []
    for word, size in zip(words, letters, strict=True):
        start = part.start_ms + part.length_ms * before // total
        before += size
        found.append(TimedWord(word, start, part.start_ms + part.length_ms * before // total, is_timed))
    return found
