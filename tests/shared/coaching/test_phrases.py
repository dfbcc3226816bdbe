"""The fixed short phrases."""

from __future__ import annotations

import pytest

from shared.coaching.phrases import acknowledgements, frequent_phrases, is_flemish, openers, whole_sentences
from shared.events import Language


@pytest.mark.parametrize("language", ["nl", "en"])
def test_they_are_few_short_and_each_once(language: Language) -> None:
    phrases = frequent_phrases(language)
    assert 20 <= len(phrases) <= 60
    assert len(set(phrases)) == len(phrases)
    assert all(phrase[-1] == "." and len(phrase.split()) <= 8 for phrase in phrases)
    assert not any("?" in phrase for phrase in (*phrases, *acknowledgements(language)))
    assert set(whole_sentences(language)) <= set(phrases)


def test_flemish_has_its_own() -> None:
    assert "Voilà." in openers("nl", "good", "nl-BE")
    assert "Voilà." not in openers("nl", "good", "nl-NL")
    assert set(frequent_phrases("nl")) < set(frequent_phrases("nl", "nl-BE"))
    assert openers("en", "good", "nl-BE") == openers("en", "good")


@pytest.mark.parametrize(
    ("locale", "answer"), [("nl-BE", True), ("nl_be", True), ("nl", False), ("", False), ("fr-BE", False)]
)
def test_is_flemish(locale: str, answer: bool) -> None:
    assert is_flemish(locale) is answer
