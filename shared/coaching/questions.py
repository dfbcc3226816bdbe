"""The questions in a turn: how many, of which form, and whether they are stacked. Works without punctuation."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from shared.coaching.detection import QuestionForm
from shared.coaching.patterns import Pattern, Patterns, load_patterns
from shared.coaching.words import Sentence, sentences
from shared.events import Language


@dataclass(frozen=True, slots=True)
class Questions:
    """`forms` has one entry for each sentence that asks; `heads` counts the questions in them."""

    forms: tuple[QuestionForm, ...]
    heads: int
    linked: bool
    confirms: bool

    @property
    def any(self) -> bool:
        return bool(self.forms)

    @property
    def has_open(self) -> bool:
        return "open" in self.forms or "choice" in self.forms


def hits(rows: tuple[Pattern, ...], sentence: Sentence) -> bool:
    """Tell whether one of the patterns stands in the sentence."""
    return any(row.search(sentence.line) for row in rows)


def find_questions(found: tuple[Sentence, ...], patterns: Patterns) -> Questions:
    """Return the questions of a turn.

    A sentence asks if it ends with a question mark or, where the text has none, begins like a question.
    `linked`: every later question points back to the one before ("en hoe ging dat?"). `confirms`: a question
    that asks for a yes to what was just said.
    """
    marked = any(sentence.asks for sentence in found)
    asking = [item for item in found if _asks(item, patterns) or (not marked and _begins_like_one(item, patterns))]
    forms = tuple(_form(sentence, patterns) for sentence in asking)
    heads = sum(max(1, _heads(sentence, patterns)) for sentence in asking)
    linked = all(hits(patterns.forms["anaphora"], sentence) for sentence in asking[1:])
    confirms = any(hits(patterns.forms["tag"], sentence) for sentence in asking) or (
        not marked and bool(found) and hits(patterns.forms["tag"], found[-1])
    )
    return Questions(forms, heads, linked and len(asking) > 1, confirms)


@functools.lru_cache(maxsize=4096)
def count_questions(text: str, language: Language) -> int:
    """Return how many questions a turn holds; one sentence may hold several ("how many ..., and who ...")."""
    patterns = load_patterns(language)
    return find_questions(sentences(text, patterns.drop), patterns).heads


def _asks(sentence: Sentence, patterns: Patterns) -> bool:
    """Tell a question from an echo: two words given back ("The cameras?") ask for nothing new."""
    is_echo = len(sentence.tokens) <= 3 and not _heads(sentence, patterns)
    return sentence.asks and (not is_echo or hits(patterns.forms["tag"], sentence))


def _begins_like_one(sentence: Sentence, patterns: Patterns) -> bool:
    return hits(patterns.forms["open"][:3], sentence) or hits(patterns.forms["closed"][:1], sentence)


def _form(sentence: Sentence, patterns: Patterns) -> QuestionForm:
    if hits(patterns.forms["leading"], sentence):
        return "leading"
    if hits(patterns.forms["choice"], sentence):
        return "choice"
    if hits(patterns.forms["open"], sentence):
        return "open"
    return "closed"


def question_parts(sentence: Sentence, patterns: Patterns) -> tuple[Sentence, ...]:
    """Return the questions that stand in one sentence ("who decides, and when do you start?") one by one.

    Their `raw` is folded. A sentence with fewer than two comes back as it is.
    """
    cuts = sorted(_head_places(sentence, patterns))
    if len(cuts) < 2:
        return (sentence,)
    lines = [sentence.line[start:end].split() for start, end in zip(cuts, [*cuts[1:], None], strict=True)]
    return tuple(Sentence(tuple(line), " ".join(line), sentence.asks, f" {' '.join(line)} ") for line in lines if line)


def _heads(sentence: Sentence, patterns: Patterns) -> int:
    """Count the places where a question starts inside one sentence."""
    return len(_head_places(sentence, patterns))


def _head_places(sentence: Sentence, patterns: Patterns) -> set[int]:
    starts: set[int] = set()
    for row in (*patterns.forms["open"], *patterns.forms["closed"]):
        starts.update(match.start() for match in row.finditer(sentence.line))
    return starts
