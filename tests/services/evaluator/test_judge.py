from __future__ import annotations

from services.evaluator.judge import Judge, default_detector


def test_the_default_judge_tells_a_clear_yes_from_a_polite_one() -> None:
    judge: Judge = default_detector()
    assert judge.is_clear_yes("Ja, dat klopt helemaal.", "nl")
    assert not judge.is_clear_yes("Ja, misschien wel.", "nl")


def test_it_is_built_once() -> None:
    assert default_detector() is default_detector()
