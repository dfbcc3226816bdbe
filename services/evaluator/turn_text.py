"""What the words of one turn come to: counts, questions and fillers, each worked out once and kept with the turn.

Live figures are made at every turn's end over all turns so far; what was counted in an earlier turn stays counted.
"""

from __future__ import annotations

from functools import cached_property

from services.evaluator.lexicon import FIRST_PERSON, LONG_FUNCTION_WORDS, SECOND_PERSON, ListName
from services.evaluator.words import (
    Question,
    Token,
    count_hedges,
    count_phrases,
    questions,
    sentences,
    syllables,
    tokens,
)
from shared.coaching.detection import QuestionForm
from shared.coaching.patterns import load_patterns
from shared.coaching.questions import count_questions, find_questions
from shared.coaching.words import sentences as folded_sentences
from shared.events import Language

CONTENT_WORD_LETTERS = 6
"""Letters of a word that is taken for a content word; shorter ones are mostly grammar in both languages."""


class TurnText:
    """The words of a turn, read on demand. Immutable: another text is another object."""

    def __init__(self, text: str, language: Language) -> None:
        self._text = text
        self._language: Language = language
        self._counts: dict[tuple[ListName, bool, bool], int] = {}
        self._hedges: dict[bool, tuple[int, int]] = {}

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """The words with the punctuation around them."""
        return tokens(self._text)

    @property
    def n_words(self) -> int:
        return len(self.tokens)

    @cached_property
    def n_sentences(self) -> int:
        return len(sentences(self.tokens))

    @cached_property
    def n_syllables(self) -> int:
        return sum(syllables(token.word, self._language) for token in self.tokens)

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """The sentences that ask, and whether each is open."""
        return questions(self.tokens, self._language)

    @cached_property
    def question_forms(self) -> tuple[QuestionForm, ...]:
        """The detector's form of each sentence that asks: open, closed, leading or choice."""
        patterns = load_patterns(self._language)
        return find_questions(folded_sentences(self._text, patterns.drop), patterns).forms

    @cached_property
    def n_asked(self) -> int:
        """How many questions the detector counts; one sentence may hold several."""
        return count_questions(self._text, self._language)

    @cached_property
    def n_second_person(self) -> int:
        return sum(token.word in SECOND_PERSON[self._language] for token in self.tokens)

    @cached_property
    def n_first_person(self) -> int:
        return sum(token.word in FIRST_PERSON[self._language] for token in self.tokens)

    @cached_property
    def content_words(self) -> frozenset[str]:
        """The different words of six letters and more that are no grammar."""
        long = {token.word for token in self.tokens if len(token.word) >= CONTENT_WORD_LETTERS}
        return frozenset(long - LONG_FUNCTION_WORDS[self._language])

    def count(self, name: ListName, *, belgian: bool, prompted: bool) -> int:
        """Return how many entries of a word list the turn holds; `prompted`: it follows a question."""
        key = (name, belgian, prompted)
        if key not in self._counts:
            found = count_phrases(self.tokens, name, self._language, belgian=belgian, prompted=prompted)
            self._counts[key] = found
        return self._counts[key]

    def hedges(self, belgian: bool) -> tuple[int, int]:
        """Return (hedges, words) of the turn's statements."""
        if belgian not in self._hedges:
            self._hedges[belgian] = count_hedges(self.tokens, self._language, belgian)
        return self._hedges[belgian]
