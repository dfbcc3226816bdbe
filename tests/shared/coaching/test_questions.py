"""Questions: their form, their number, with and without punctuation."""

from __future__ import annotations

import pytest

from shared.coaching.patterns import load_patterns
from shared.coaching.questions import find_questions
from shared.coaching.words import sentences
from shared.events import Language


@pytest.mark.parametrize(
    ("text", "language", "forms"),
    [
        ("Wat kost dat u?", "nl", ("open",)),
        ("wat kost dat u", "nl", ("open",)),
        ("Heeft u al een systeem?", "nl", ("closed",)),
        ("heeft u al een systeem", "nl", ("closed",)),
        ("Is het eerder de tijd of eerder de prijs?", "nl", ("choice",)),
        ("U wilt toch zeker ook besparen?", "nl", ("leading",)),
        ("Dat is mooi.", "nl", ()),
        ("How does that work?", "en", ("open",)),
        ("how does that work", "en", ("open",)),
        ("Do you use one?", "en", ("closed",)),
        ("Surely you want to save money?", "en", ("leading",)),
        ("The cameras? They are covered.", "en", ()),
    ],
)
def test_forms(text: str, language: Language, forms: tuple[str, ...]) -> None:
    patterns = load_patterns(language)
    assert find_questions(sentences(text, patterns.drop), patterns).forms == forms


def test_heads_count_the_questions_inside_a_sentence() -> None:
    patterns = load_patterns("en")
    text = "And who'd need to sign off, and roughly what range are we talking, and when would you want it live?"
    assert find_questions(sentences(text), patterns).heads >= 3


def test_a_second_question_may_hang_on_the_first() -> None:
    patterns = load_patterns("nl")
    linked = find_questions(sentences("Hebt u ooit met zoiets gewerkt? En hoe ging dat?"), patterns)
    apart = find_questions(sentences("Wie tekent er? Welk budget is voorzien?"), patterns)
    assert linked.linked
    assert not apart.linked
    assert find_questions(sentences("Dus u wilt rust. Klopt dat?"), patterns).confirms
