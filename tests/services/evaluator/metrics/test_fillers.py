from __future__ import annotations

from typing import Any

import pytest

PLAIN = "wij plannen elke week alle ritten voor zestig groothandels daar en dat doen we al jaren zonder klachten"  # 18


def test_filled_pauses_per_hundred_words(scene: Any, measure: Any) -> None:
    scene.user(1, 0, f"Euh, {PLAIN} uhm")
    value = measure(scene, "filled_pauses")
    assert (value.value, value.band) == (10.0, "red")


def test_none_written_is_not_none_said(scene: Any, measure: Any) -> None:
    scene.user(1, 0, f"Ook {PLAIN} hier.")
    value = measure(scene, "filled_pauses")
    assert value.value is None
    assert "recogniser" in value.note


def test_few_words_tell_nothing(scene: Any, measure: Any) -> None:
    scene.user(1, 0, f"Euh {PLAIN}")  # 19 words
    assert measure(scene, "filled_pauses").value is None
    assert measure(scene, "discourse_fillers").value is None


def test_discourse_fillers_of_belgium(scene: Any, measure: Any) -> None:
    scene.user(1, 0, f"Allez, {PLAIN} hè.")
    assert measure(scene, "discourse_fillers").value == 10.0
    assert measure(scene, "discourse_fillers").band == "warn"


@pytest.mark.parametrize(("said", "rate"), [("Is dat zo?", 0.0), ("Dat is zo.", 5.0)])
def test_a_ja_that_answers_is_no_filler(scene: Any, measure: Any, said: str, rate: float) -> None:
    scene.hugo(1, 0, said)
    scene.user(1, 9_000, f"Ja, {PLAIN} hier.")
    assert measure(scene, "discourse_fillers").value == rate


def test_hedges_count_in_statements_only(scene: Any, measure: Any) -> None:
    scene.user(1, 0, f"Ik denk {PLAIN}. Zou u misschien willen kijken?")
    value = measure(scene, "hedges")
    assert (value.value, value.band) == (5.0, "warn")


def test_hugos_words_are_not_counted(scene: Any, measure: Any) -> None:
    scene.hugo(1, 0, f"Euh, {PLAIN} uhm misschien")
    assert measure(scene, "filled_pauses").value is None
    assert measure(scene, "hedges").value is None


def test_english_lists(english: Any, measure: Any) -> None:
    english.user(
        1, 0, "Um, I think we could, like, plan all of the routes for you every week without any of the calls."
    )
    assert measure(english, "filled_pauses").value == 5.0
    assert measure(english, "discourse_fillers").value == 5.0
    assert measure(english, "hedges").value == 5.0
