from __future__ import annotations

import pytest

from services.evaluator.lexicon import backchannel_words, is_belgian, phrases


def test_longer_entries_are_tried_first() -> None:
    found = [entry.tokens for entry in phrases("discourse", "nl", False)]
    assert found.index(("weet", "je", "wel")) < found.index(("weet", "je"))


def test_belgian_words_are_listed_for_belgium_only() -> None:
    assert ("allez",) in [entry.tokens for entry in phrases("discourse", "nl", True)]
    assert ("allez",) not in [entry.tokens for entry in phrases("discourse", "nl", False)]
    assert ("normaal", "gezien") in [entry.tokens for entry in phrases("hedge", "nl", True)]


@pytest.mark.parametrize(
    ("language", "locale", "expected"),
    [("nl", "nl-BE", True), ("nl", "nl_be", True), ("nl", "nl-NL", False), ("nl", "", False), ("en", "en-BE", False)],
)
def test_belgian_dutch_is_told_by_its_locale(language: str, locale: str, expected: bool) -> None:
    assert is_belgian(language, locale) is expected  # type: ignore[arg-type]


def test_a_no_is_never_a_backchannel() -> None:
    assert "nee" not in backchannel_words("nl")
    assert "no" not in backchannel_words("en")
