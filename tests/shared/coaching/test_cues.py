"""The customer's line in what the coach says."""

from __future__ import annotations

import pytest

from shared.coaching.cues import customer_line
from shared.events import Language


@pytest.mark.parametrize(
    ("text", "language", "line"),
    [
        ("Mooi. Je klant zegt: “Tja, het gaat wel.” Wat zeg je?", "nl", "Tja, het gaat wel."),
        ("De klant reageert meteen: “Te duur.” En jij?", "nl", "Te duur."),
        ("Je klant zegt dan: tja, het gaat wel. Wat zeg je?", "nl", "tja, het gaat wel."),
        ("Your customer says: “Yes, that's right.” What now?", "en", "Yes, that's right."),
        ("The customer asks at once: how much is that? And you?", "en", "how much is that?"),
        ("Wat zou je klant zeggen?", "nl", None),
        ("Je klant zegt nog niets.", "nl", None),
        ("Your customer says: “” What?", "en", None),
    ],
)
def test_lines(text: str, language: Language, line: str | None) -> None:
    assert customer_line(text, language) == line
