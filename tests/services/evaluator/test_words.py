from __future__ import annotations

import pytest

from services.evaluator.words import (
    count_phrases,
    questions,
    sentences,
    statements,
    syllables,
    tokens,
)
from shared.events import Language


def test_tokens_know_their_punctuation() -> None:
    found = tokens("Goed, ’s avonds 3,5 uur?")
    assert [token.word for token in found] == ["goed", "s", "avonds", "3,5", "uur"]
    assert (found[0].before, found[0].after, found[-1].after) == ("^", ",", "?")


def test_composed_and_decomposed_letters_are_the_same_word() -> None:
    assert tokens("hè") == tokens("he\u0300")


@pytest.mark.parametrize(
    ("word", "language", "count"),
    [
        ("planning", "nl", 2),
        ("blijven", "nl", 2),
        ("ruïne", "nl", 3),
        ("ja", "nl", 1),
        ("time", "en", 1),
        ("table", "en", 2),
        ("customer", "en", 3),
        ("hm", "nl", 1),
        ("180", "nl", 3),
    ],
)
def test_syllables(word: str, language: Language, count: int) -> None:
    assert syllables(word, language) == count


def test_counts_of_nothing_are_nothing() -> None:
    assert (tokens(""), sentences(tokens(" ... ")), questions(tokens(""), "nl")) == ((), [], ())


@pytest.mark.parametrize(
    ("text", "language", "forms"),
    [
        ("Hoe loopt dat vandaag bij u?", "nl", ["open"]),
        ("Met hoeveel mensen doet u dat?", "nl", ["open"]),
        ("Stel dat u morgen vrij hebt, wat doet u dan?", "nl", ["open"]),
        ("Vertel eens. Past dat voor u?", "nl", ["closed"]),
        ("Mag ik u iets vragen?", "nl", ["closed"]),
        ("And by when does it need to run?", "en", ["open"]),
        ("Is that right? What else is on the table?", "en", ["closed", "open"]),
        ("We leveren morgen.", "nl", []),
        ("hoe loopt dat bij u", "nl", ["open"]),
        ("zou dat voor u passen", "nl", ["closed"]),
        ("dat past goed", "nl", []),
    ],
)
def test_questions_and_their_form(text: str, language: Language, forms: list[str]) -> None:
    assert [question.form for question in questions(tokens(text), language)] == forms


def test_statements_are_what_is_left() -> None:
    found = statements(tokens("Dat is goed. Past dat? Prima."), "nl")
    assert [[token.word for token in part] for part in found] == [["dat", "is", "goed"], ["prima"]]


@pytest.mark.parametrize(
    ("text", "name", "language", "count"),
    [
        ("Euh, dat is uhm goed", "filled", "nl", 2),
        ("De euro en de uhmatie", "filled", "nl", 0),  # whole tokens only
        ("Dat is zeg maar weet je wel goed", "discourse", "nl", 2),
        ("Weet je wat het kost?", "discourse", "nl", 0),
        ("Het is duur, weet je, echt duur", "discourse", "nl", 1),
        ("Dus we gaan door", "discourse", "nl", 0),
        ("Dat is het dus.", "discourse", "nl", 1),
        ("I like it", "discourse", "en", 0),
        ("It is, like, expensive", "discourse", "en", 1),
        ("It is um like expensive", "discourse", "en", 1),
        ("So we start. That works, right?", "discourse", "en", 2),
        ("Turn right here", "discourse", "en", 0),
        ("Misschien kan dat, ik denk het", "hedge", "nl", 2),
        ("Ik, denk ik niet", "hedge", "nl", 1),  # "ik, denk" is not one phrase, "denk ik" is
        ("Perhaps it might work", "hedge", "en", 2),
    ],
)
def test_phrases_count_in_their_places(text: str, name: str, language: Language, count: int) -> None:
    assert count_phrases(tokens(text), name, language) == count  # type: ignore[arg-type]


def test_a_yes_after_a_question_is_an_answer() -> None:
    words = tokens("Ja, dat klopt")
    assert count_phrases(words, "discourse", "nl", prompted=False) == 1
    assert count_phrases(words, "discourse", "nl", prompted=True) == 0
