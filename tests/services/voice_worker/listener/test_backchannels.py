"""What counts as a backchannel, in both languages."""

from __future__ import annotations

from typing import Literal

import pytest

from services.voice_worker.listener.backchannels import is_backchannel, may_be_backchannel, words_of


@pytest.mark.parametrize(
    ("text", "language", "is_one"),
    [
        ("Ja.", "nl", True),
        ("Ja, ja, precies!", "nl", True),
        ("Oké", "nl", True),
        ("hm", "nl", True),
        ("Ja ja ja ja", "nl", False),
        ("Ja, maar", "nl", False),
        ("Nee", "nl", False),
        ("yeah", "nl", False),
        ("", "nl", False),
        ("...", "nl", False),
        ("Uh-huh.", "en", True),
        ("Mm-hm, right, okay", "en", True),
        ("Sure, exactly", "en", True),
        ("No", "en", False),
        ("Wait", "en", False),
        ("right now", "en", False),
    ],
)
def test_one_to_three_words_of_the_list_and_nothing_else(
    text: str, language: Literal["nl", "en"], is_one: bool
) -> None:
    assert is_backchannel(text, language) is is_one
    assert may_be_backchannel(text, language) is (is_one or not words_of(text))


def test_words_are_whole_and_keep_accents_and_hyphens() -> None:
    assert words_of("Oké, dát's zo: mm-hm 12 km!") == ["oké", "dát's", "zo", "mm-hm", "12", "km"]
