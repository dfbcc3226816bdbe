from __future__ import annotations

from typing import Any

import pytest

from shared.coaching.detector import default_detector
from shared.events import TurnEnded


def ask(scene: Any, number: int, text: str, start_s: int) -> None:
    scene.user(number, start_s * 1_000, text, word_ms=200, gap_ms=0)


def test_the_rate_is_brought_to_half_an_hour(scene: Any, measure: Any) -> None:
    ask(scene, 1, "Hoe loopt dat bij u?", 0)
    ask(scene, 2, "Wat betekent dat voor u?", 100)
    scene.add(TurnEnded("h1", "hugo", 299_000, 300_000), "h", 300_000)
    value = measure(scene, "question_rate")
    assert (value.value, value.band) == (12.0, "good")


def test_a_minute_is_needed_for_a_rate_and_five_for_a_band(scene: Any, measure: Any) -> None:
    ask(scene, 1, "Hoe loopt dat bij u?", 0)
    assert measure(scene, "question_rate").value is None
    scene.add(TurnEnded("h1", "hugo", 59_000, 120_000), "h", 120_000)
    value = measure(scene, "question_rate")
    assert (value.value, value.band) == (15.0, "")


def test_share_of_sentences(scene: Any, measure: Any) -> None:
    ask(scene, 1, "Dat is mooi. Hoe doet u dat?", 0)
    ask(scene, 2, "Goed. Dat snap ik.", 20)
    assert measure(scene, "question_share").value == 0.25


@pytest.mark.parametrize(
    ("texts", "share", "band"),
    [
        (["Hoe loopt dat?", "Wat kost dat?", "Klopt dat?"], 0.6667, "good"),
        (["Klopt dat?", "Past dat?", "Hoe dan?"], 0.3333, "warn"),
        (["Klopt dat?"], 0.0, ""),
    ],
)
def test_open_share(scene: Any, measure: Any, texts: list[str], share: float, band: str) -> None:
    for number, text in enumerate(texts, 1):
        ask(scene, number, text, number * 20)
    value = measure(scene, "open_question_share")
    assert (value.value, value.band) == (share, band)


def test_turns_with_several_questions(scene: Any, measure: Any) -> None:
    ask(scene, 1, "Hoe loopt dat? En wat kost dat?", 0)
    ask(scene, 2, "Klopt dat?", 20)
    value = measure(scene, "turns_with_several_questions")
    assert (value.value, value.band) == (1.0, "")


@pytest.mark.parametrize(
    "text",
    [
        "How many people plan the routes today, and who decides about the budget, and when do you want to start?",
        "how many people plan the routes today and who decides about the budget and when do you want to start",
    ],
)
def test_several_questions_are_those_that_the_detector_sees(english: Any, measure: Any, text: str) -> None:
    """A recogniser often writes one "?" for all of them, or none: the verdict and the figure must not differ."""
    assert default_detector().detect(text, "en").stacked
    ask(english, 1, text, 0)
    assert measure(english, "turns_with_several_questions").value == 1.0


def test_no_question_is_told_apart_from_none_of_a_kind(scene: Any, measure: Any) -> None:
    ask(scene, 1, "Dat is goed.", 0)
    assert measure(scene, "open_question_share").value is None
    assert measure(scene, "question_share").value == 0.0


@pytest.mark.parametrize(
    ("texts", "share", "band"),
    [
        (["U wilt toch rust in uw planning?", "Hoe loopt dat?", "Wat kost dat?"], 0.3333, "warn"),
        (["U wilt toch rust?", "Hoe loopt dat?", "Wat kost dat?", "Wie plant dat?"], 0.25, ""),
        (["Hoe loopt dat?", "Wat kost dat?", "Wie plant dat?"], 0.0, "good"),
        (["U wilt toch rust?", "Hoe loopt dat?"], 0.5, ""),
    ],
)
def test_leading_share(scene: Any, measure: Any, texts: list[str], share: float, band: str) -> None:
    for number, text in enumerate(texts, 1):
        ask(scene, number, text, number * 20)
    value = measure(scene, "leading_question_share")
    assert (value.value, value.band, value.note) == (share, band, f"over {len(texts)} questions")


def test_without_a_question_none_was_leading(scene: Any, measure: Any) -> None:
    ask(scene, 1, "U wilt toch rust.", 0)
    assert measure(scene, "leading_question_share").note == "the user has asked no question"
