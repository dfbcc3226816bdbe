"""What the context makes likely: order, attitudes, the gate."""

from __future__ import annotations

import pytest

from shared.coaching.detection import NO_CONTEXT, DetectionContext
from shared.coaching.expectation import log_odds
from shared.coaching.knowledge import load_knowledge

K = load_knowledge()


def odds(technique: str, **context: object) -> float:
    return log_odds(technique, DetectionContext(**context), K)  # type: ignore[arg-type]


def test_without_a_context_an_opening_is_a_little_more_likely() -> None:
    assert log_odds("2.3", NO_CONTEXT, K) == 0
    assert log_odds("1.1", NO_CONTEXT, K) > 0


@pytest.mark.parametrize(("before", "after"), [("1.1", "1.2"), ("3.2", "3.3"), ("4.3.3", "4.3.4")])
def test_the_next_step_is_likely(before: str, after: str) -> None:
    phase = int(before[0])
    assert odds(after, phase=phase, committed=True, done=(before,)) > odds(
        before, phase=phase, committed=True, done=(before,)
    )


def test_an_attitude_calls_for_its_technique_and_against_the_others() -> None:
    there = {"phase": 4, "committed": True, "attitude": "twijfel"}
    assert odds("4.2.2", **there) > 0 > odds("4.2.4", **there)


def test_before_the_yes_later_phases_are_less_likely() -> None:
    assert odds("3.2", phase=2) < odds("3.2", phase=2, committed=True) <= 0


def test_every_technique_has_odds_in_every_phase() -> None:
    for technique in K.techniques:
        for phase in (None, 1, 2, 3, 4):
            assert -8 < odds(technique, phase=phase, done=("4.2.4",)) < 4
