from __future__ import annotations

from typing import Any

import pytest

from services.evaluator.scoring import TurnVerdict
from services.evaluator.totals import attitudes, flow_score, gate, overall, phase_scores, structure, themes
from shared.coaching.knowledge import Quality, load_knowledge

KNOWLEDGE = load_knowledge()


def verdict(
    *techniques: str, quality: Quality | None = "ok", phase: int | None = None, handled: bool | None = None, **more: Any
) -> TurnVerdict:
    values: dict[str, Any] = {
        "turn": "u1",
        "start_ms": 0,
        "end_ms": 1,
        "techniques": techniques,
        "quality": quality,
        "phase": int(techniques[0][0]) if phase is None and techniques else phase,
        "errors": (),
        "evidence": "",
        "attitude": None,
        "expected": (),
        "is_handled": handled,
        "is_scored": True,
        "is_final": True,
    }
    return TurnVerdict(**(values | more))


def score_of(phase: int, *verdicts: TurnVerdict) -> float | None:
    value = phase_scores(verdicts, KNOWLEDGE)[phase - 1]["score"]
    assert value is None or isinstance(value, float)
    return value


def test_a_phase_is_the_best_of_each_technique_over_the_key_ones() -> None:
    assert score_of(1, verdict("1.1"), verdict("1.2", quality="partial")) == 35.0  # (10 + 4) / 40
    assert score_of(1, verdict("1.1", quality="missed"), verdict("1.1")) == 25.0
    assert score_of(1, *(verdict(item) for item in ("1.1", "1.2", "1.3", "1.4"))) == 100.0


def test_children_count_as_their_key_technique() -> None:
    assert score_of(2, verdict("2.1.1.6"), verdict("2.1.5"), verdict("2.1.1")) == 25.0


def test_more_than_the_key_techniques_widen_the_base() -> None:
    found = [verdict(item) for item in ("3.1", "3.2", "3.3", "3.5", "3.4")]
    assert score_of(3, *found) == 100.0
    assert score_of(3, *found, verdict("3.6", quality="missed")) == round(100 * 50 / 60, 4)


def test_words_of_the_id_are_no_numbers() -> None:
    best = phase_scores([verdict("4.INDIEN"), verdict("4.ABC"), verdict("4.2.4")], KNOWLEDGE)[3]["best"]
    assert list(best) == ["4.2", "4.ABC", "4.INDIEN"]


def test_a_phase_nobody_reached_has_no_score() -> None:
    entry = phase_scores([verdict("2.3")], KNOWLEDGE)[3]
    assert (entry["score"], entry["missing"]) == (None, [])
    assert entry["note"]
    assert score_of(4, verdict(phase=4, quality="missed")) == 0.0  # there, with nothing to show


def test_unscored_turns_count_for_nothing() -> None:
    assert score_of(2, verdict("2.3", is_scored=False)) is None
    assert themes([verdict("2.1.1.6", is_scored=False)], KNOWLEDGE)["score"] is None
    assert flow_score([verdict("2.3", is_scored=False)]) is None


def test_themes_are_those_asked_about() -> None:
    found = themes([verdict("2.1.1.6"), verdict("2.1.1.7", quality="missed"), verdict("2.1.1.1")], KNOWLEDGE)
    assert found["score"] == 25.0
    assert len(found["touched"]) == 2
    assert len(found["missing"]) == 6


@pytest.mark.parametrize(
    ("order", "score"),
    [
        ([1, 2, 3, 4], 100),
        ([2, 3, 4], 85),
        ([1, 3, 4], 50),  # no phase 2, and it was skipped
        ([1, 2, 4], 90),
        ([2, 3, 2, 3], 90),  # a swing back is good
        ([2, 3, 2, 3, 2, 3, 2, 3, 2], 100),  # three swings at most
        ([4], 45),
        ([1, 2, 4, 2, 4], 90),  # skipped once
    ],
)
def test_flow(order: list[int], score: int) -> None:
    assert flow_score([verdict(phase=phase) for phase in order]) == score


def test_overall_counts_what_was_left_out_and_reached_does_not() -> None:
    phases = phase_scores([verdict("2.3"), verdict("2.4")], KNOWLEDGE)
    assert overall(phases) == {"overall": 20.0, "reached": 50.0, "coverage": 0.4, "note": ""}
    assert overall(phase_scores([], KNOWLEDGE))["overall"] is None


def test_structure_is_flow_themes_opening_and_steps() -> None:
    verdicts = [verdict("1.1"), verdict("1.2"), verdict("2.1.1.6"), verdict("2.3", quality="missed")]
    phases = phase_scores(verdicts, KNOWLEDGE)
    found = structure(verdicts, phases, 12.5)
    assert found["epic_steps"] == ["2.1"]
    assert found["score"] == 0.30 * 100 + 0.25 * 12.5 + 0.20 * 50 + 0.25 * 25
    assert structure([], phase_scores([], KNOWLEDGE), None)["score"] is None


def test_attitudes_are_weighted_by_phase() -> None:
    found = attitudes(
        [verdict("2.3", handled=True), verdict("2.3", handled=False), verdict("4.2.4", handled=True), verdict("1.1")]
    )
    assert (found["shown"], found["handled"]) == (3, 2)
    assert found["score"] == 75.0  # (0.3 x 1/2 + 0.3 x 1) / 0.6
    assert attitudes([verdict("1.1")])["score"] is None


def test_the_gate_tells_who_went_through_early() -> None:
    early = verdict("3.2", quality="missed", errors=("no_commitment_before_phase3",), turn="u7")
    assert gate([early], False) == {"asked": False, "committed": False, "passed_early": ["u7"]}
    assert gate([verdict("2.4", quality="partial")], True) == {"asked": True, "committed": True, "passed_early": []}
    assert not gate([verdict("2.4", quality="missed")], False)["asked"]
