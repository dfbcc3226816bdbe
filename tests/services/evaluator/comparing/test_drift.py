from __future__ import annotations

import copy
from typing import Any

import pytest

from services.evaluator.comparing.drift import Drift, drifts, figures_of, interval

Pairs = list[tuple[str, dict[str, Any], dict[str, Any]]]


def moved(card: dict[str, Any], points: list[float | None]) -> Pairs:
    pairs = []
    for number, by in enumerate(points):
        after = copy.deepcopy(card)
        after["totals"]["overall"] = None if by is None else card["totals"]["overall"] + by
        pairs.append((f"r{number}", card, after))
    return pairs


def overall(pairs: Pairs) -> Drift:
    return next(drift for drift in drifts(pairs) if drift.name == "totals.overall")


def test_every_score_and_metric_of_a_card_has_its_drift(card: dict[str, Any]) -> None:
    names = [drift.name for drift in drifts(moved(card, [0, 0]))]
    assert names == list(figures_of(card))
    assert {"totals.overall", "phases.2", "structure.score", "metrics.talk_share"} <= set(names)
    assert all(drift.is_still for drift in drifts(moved(card, [0, 0])))


def test_a_drift(card: dict[str, Any]) -> None:
    drift = overall(moved(card, [1.0, -5.0, 1.0, 1.0]))
    assert (drift.n, drift.change, drift.furthest, drift.furthest_in) == (4, -0.5, -5.0, "r1")
    assert drift.before == pytest.approx(card["totals"]["overall"], abs=1e-4)
    assert drift.low is not None
    assert drift.high is not None
    assert -5 <= drift.low < -0.5 < drift.high <= 1
    assert not drift.is_still


def test_what_only_one_run_has_is_told(card: dict[str, Any]) -> None:
    pairs = moved(card, [None, 0.0])
    assert overall(pairs).lost == ("r0",)
    assert overall([(name, b, a) for name, a, b in pairs]).gained == ("r0",)
    alone = overall(moved(card, [None]))
    assert (alone.n, alone.change, alone.low, alone.is_still) == (0, None, None, False)


def test_the_draws_are_the_same_each_time() -> None:
    changes = [0.5, -1.0, 2.0, 0.0, 0.25]
    assert interval(changes) == interval(changes) == (-0.5, 1.25)
    assert interval(changes, seed=1) != (None, None)
    assert interval([3.0]) == (None, None)
    assert interval([0.0, 0.0, 0.0]) == (0.0, 0.0)
    assert interval([2.0, 2.0]) == (2.0, 2.0)
