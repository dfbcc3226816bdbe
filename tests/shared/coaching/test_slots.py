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
        ("I sell insurance on the phone", "en", None, {"product": "insurance on the phone", "channel": "on the phone"}),
    ],
)  # fmt: skip
def test_slots(text: str, language: Language, asked: Slot | None, found: dict[str, str]) -> None:
    assert find_slots(text, language, asked) == found


def test_a_value_is_short() -> None:
    value = find_slots("een twee drie vier vijf zes zeven acht negen", "nl", "product")["product"]
    assert len(value.split()) <= MAX_VALUE_WORDS
