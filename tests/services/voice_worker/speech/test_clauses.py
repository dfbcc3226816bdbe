"""Cutting text: nothing is lost, and the first piece is short where the text allows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.speech.clauses import clauses


@given(
    text=st.text(alphabet="abc ABC.,;!?…-–'\"\n andifen", max_size=300), language=st.sampled_from(["en", "nl", "xx"])
)
def test_no_word_is_lost_or_moved(text: str, language: str) -> None:
    assert " ".join(clauses(text, language=language)).split() == text.split()


@given(text=st.text(max_size=200))
def test_no_piece_is_empty(text: str) -> None:
    assert all(piece.strip() for piece in clauses(text, language="en"))


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Okay, so what happens if you do nothing?", "en", ("Okay, so what happens if you do nothing?",)),
        (
            "That sounds frustrating, and what would it cost you over a whole year?",
            "en",
            ("That sounds frustrating,", "and what would it cost you over a whole year?"),
        ),
        ('Mr. Jones said "stop it." Then he left. Why?', "en", ('Mr. Jones said "stop it."', "Then he left.", "Why?")),
        (
            "I hear you want to move fast and keep the price low while your team is small",
            "en",
            ("I hear you want to move fast", "and keep the price low while your team is small"),
        ),
        (
            "Ik begrijp dat de prijs hoog lijkt. Bijv. omdat u weinig tijd heeft.",
            "nl",
            ("Ik begrijp dat de prijs hoog lijkt.", "Bijv. omdat u weinig tijd heeft."),
        ),
        ("", "en", ()),
        ("  \n ", "en", ()),
        ("Hi.", "en", ("Hi.",)),
    ],
)
def test_examples(text: str, language: str, expected: tuple[str, ...]) -> None:
    assert clauses(text, language=language) == expected


def test_a_text_without_marks_or_links_stays_whole() -> None:
    text = "one two three four five six seven eight nine ten eleven twelve"
    assert clauses(text, language="en") == (text,)
