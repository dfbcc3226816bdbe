from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("text", "ratio", "band"),
    [
        ("U zei dat uw mensen u bellen, dat snap ik, en wij helpen u", 2.0, "good"),
        ("Ik denk dat ik u kan helpen met onze module van ons", 0.25, "warn"),
        ("Ik hoor u, wij zien u, ik help u", 1.0, ""),
    ],
)
def test_you_to_i(scene: Any, measure: Any, text: str, ratio: float, band: str) -> None:
    scene.user(1, 0, text)
    value = measure(scene, "you_to_i")
    assert (value.value, value.band) == (ratio, band)


def test_too_few_pronouns_or_none_in_the_first_person(scene: Any, measure: Any) -> None:
    scene.user(1, 0, "U en uw mensen, u en jullie, u")
    assert measure(scene, "you_to_i").value is None


def test_english_pronouns(english: Any, measure: Any) -> None:
    english.user(1, 0, "You said your people need you, I'll help you")
    assert measure(english, "you_to_i").value == 4.0


def test_words_that_the_customer_said_first(scene: Any, measure: Any) -> None:
    scene.user(1, 0, "Dat is een mooie werkplaats")
    scene.hugo(1, 5_000, "Die werkplaats geeft chauffeurs telefoons en zondagavond")
    scene.user(2, 15_000, "Dus chauffeurs bellen, telefoons rinkelen, en de werkplaats wacht")
    assert measure(scene, "customer_words_used").value == 2  # "werkplaats" was the user's own


def test_before_an_answer_there_is_nothing_to_take_up(scene: Any, measure: Any) -> None:
    scene.user(1, 0, "Dat is een mooie werkplaats")
    scene.hugo(1, 5_000, "Die werkplaats geeft chauffeurs")
    assert measure(scene, "customer_words_used").value is None


def test_grammar_is_nobodys_word(scene: Any, measure: Any) -> None:
    scene.hugo(1, 0, "Eigenlijk zouden onze chauffeurs helemaal anders moeten rijden")
    scene.user(1, 15_000, "Dus eigenlijk zouden uw chauffeurs helemaal anders moeten werken")
    assert measure(scene, "customer_words_used").value == 1  # "chauffeurs"


def test_a_customer_without_a_word_worth_taking_up(scene: Any, measure: Any) -> None:
    scene.hugo(1, 0, "Ja, dat is zo.")
    scene.user(1, 5_000, "Hoe loopt dat bij u?")
    value = measure(scene, "customer_words_used")
    assert (value.value, value.note) == (
        None,
        "the user has not spoken after the customer used a word worth taking up",
    )
