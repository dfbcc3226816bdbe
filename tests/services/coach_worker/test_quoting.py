"""The seller's own words."""

from __future__ import annotations

import pytest

from services.coach_worker.quoting import MAX_WORDS, quote
from shared.events import Language


@pytest.mark.parametrize(
    ("text", "language", "out"),
    [
        ("Een dag per maand. En wat betekent dat concreet voor jou?", "nl", "wat betekent dat concreet voor jou"),
        ("Euh, dus u wilt rustige maandagen, klopt dat?", "nl", "u wilt rustige maandagen"),
        ("So, um, do you want to buy it?", "en", "do you want to buy it"),
        ("Ja.", "nl", ""),
        ("So, and Mr.", "en", ""),
        ("I spoke with Mr. Knightley about the price.", "en", "I spoke with Mr Knightley about the price"),
        ("Ik sprak dhr. Jansen over de levering.", "nl", "Ik sprak dhr Jansen over de levering"),
        ("", "en", ""),
        ("En “te duur” tegenover wat precies?", "nl", "te duur tegenover wat precies"),
    ],
)
def test_quotes(text: str, language: Language, out: str) -> None:
    assert quote(text, language) == out


def test_long_clauses_are_cut_at_a_joint() -> None:
    text = "wat betekent het voor u als die machine in het weekend weer stilstaat"
    assert quote(text, "nl") == "wat betekent het voor u"
    text = "daarom plaatsen we een tweede machine bij u want dan valt er nooit iets stil"
    found = quote(text, "nl")
    assert len(found.split()) <= MAX_WORDS
    assert text.startswith(found)
