"""What the seller says of their work."""

from __future__ import annotations

import pytest

from shared.coaching.slots import MAX_VALUE_WORDS, Slot, find_slots
from shared.events import Language


@pytest.mark.parametrize(
    ("text", "language", "asked", "found"),
    [
        (
            "Ik verkoop koffiemachines aan cafés.", "nl", "product",
            {"product": "koffiemachines", "customer_type": "cafés"},
        ),
        ("aan bakkers vooral", "nl", "customer_type", {"customer_type": "bakkers"}),
        ("verzekeringen", "nl", "product", {"product": "verzekeringen"}),
        ("Euh, in de bouw", "nl", "sector", {"sector": "bouw"}),
        ("geen idee", "nl", "sector", {}),
        ("Wat bedoel je?", "nl", "sector", {}),
        (
            "We sell security training to logistics firms", "en", "product",
            {"product": "security training", "customer_type": "logistics firms"},
        ),
        ("mostly small shops", "en", "customer_type", {"customer_type": "small shops"}),
        ("I don't know", "en", "sector", {}),
        (
            "I sell planning software to wholesalers mostly over the phone.", "en", None,
            {"product": "planning software", "customer_type": "wholesalers", "channel": "over the phone"},
        ),
        ("I sell insurance on the phone", "en", None, {"product": "insurance on the phone", "channel": "on the phone"}),
    ],
)  # fmt: skip
def test_slots(text: str, language: Language, asked: Slot | None, found: dict[str, str]) -> None:
    assert find_slots(text, language, asked) == found


@pytest.mark.parametrize(
    ("text", "language", "asked"),
    [
        ("So, and Mr.", "en", "product"),
        ("and Mr. Knightley", "en", "product"),
        ("unless to be rather cold-hearted", "en", "customer_type"),
        ("He was not an ill-spose young man.", "en", "product"),
        ("Goedemorgen.", "nl", "customer_type"),
        ("Goedemorgen Hugo, dankjewel", "nl", "customer_type"),
        ("Good afternoon, thank you", "en", "product"),
        ("tenzij dat niet zo is", "nl", "customer_type"),
        ("what you need", "en", "product"),
        ("wat ze zelf willen", "nl", "product"),
        ("dat hangt ervan af", "nl", "sector"),
        ("I sell what they need", "en", None),
    ],
)
def test_what_is_no_thing_fills_nothing(text: str, language: Language, asked: Slot | None) -> None:
    """Hugo says a value back ("so you're talking to ..."): none is better than half a sentence."""
    assert find_slots(text, language, asked) == {}


@pytest.mark.parametrize(
    ("text", "language", "asked", "value"),
    [
        ("machines of Dr. Oetker", "en", "product", "machines of Dr Oetker"),
        ("people who are ill", "en", "customer_type", "people"),
        ("mensen die ziek zijn", "nl", "customer_type", "mensen"),
        ("op maat gemaakte kasten", "nl", "product", "op maat gemaakte kasten"),
        ("they are mostly bakers", "en", "customer_type", "bakers"),
        ("goedemorgen, koffiemachines", "nl", "product", "koffiemachines"),
    ],
)
def test_a_thing_is_still_found(text: str, language: Language, asked: Slot, value: str) -> None:
    assert find_slots(text, language, asked) == {asked: value}


def test_a_value_is_short() -> None:
    value = find_slots("een twee drie vier vijf zes zeven acht negen", "nl", "product")["product"]
    assert len(value.split()) <= MAX_VALUE_WORDS
