"""What may not be spoken."""

from __future__ import annotations

import pytest

from services.coach_worker.guards import MAX_SENTENCES, TurnGuard
from shared.events import Language


def guard(language: Language = "en", *said: str) -> TurnGuard:
    return TurnGuard(language, lambda sentence: sentence in said)


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("Good, that works.", None),
        ("You asked 3 things at € 15.50, right.", None),
        ("Your customer says: “It's too expensive.”", None),
        ("", "empty"),
        ("…", "empty"),
        ("**Good** work.", "format"),
        ("# Feedback", "format"),
        ("- a point", "format"),
        ("1. a point", "format"),
        ("One line.\nAnother.", "format"),
        ("See https://example.org now.", "format"),
        ("Well done 🎉", "format"),
        ("As an AI, I like it.", "leak"),
        ("My system prompt says so.", "leak"),
        ("word " * 33, "too_long"),
        ("Is it this? Or is it that?", "second_question"),
        ("Dat is goed en je zegt het ook niet verkeerd.", "language"),
        ("Said before.", "repeat"),
    ],
)
def test_reasons(sentence: str, reason: str | None) -> None:
    assert guard("en", "Said before.").refuse(sentence) == reason


def test_one_question_a_turn_and_nothing_after_it() -> None:
    turn = guard("nl")
    assert turn.refuse("Wat vraag je nu?") is None
    assert turn.refuse("En wie beslist er?") == "second_question"
    assert turn.refuse("Denk er rustig over na.") == "after_question"


def test_not_the_same_twice_and_not_too_many() -> None:
    turn = guard("nl")
    assert turn.refuse("Mooi gedaan.") is None
    assert turn.refuse("mooi gedaan!") == "repeat"
    for number in range(MAX_SENTENCES - 1):
        assert turn.refuse(f"Zin nummer {number}.") is None
    assert turn.refuse("Nog eentje.") == "too_many_sentences"


def test_dutch_with_english_names_is_dutch() -> None:
    assert guard("nl").refuse("Dat heet Ping-pong, en je doet het met een woord van de klant.") is None
    assert guard("nl").refuse("That is what you have to ask the customer now.") == "language"
