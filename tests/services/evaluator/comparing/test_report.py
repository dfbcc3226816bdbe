from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from services.evaluator.comparing.report import Gates, compare, judges

Cards = dict[str, dict[str, Any]]


@pytest.fixture
def runs(card: dict[str, Any]) -> tuple[Cards, Cards]:
    """Two runs over `a` and `b`; in the second one turn of `b` is judged otherwise and its total is 4 points less."""
    other = copy.deepcopy(card)
    other["turns"][0] |= {"quality": "partial", "phase": 3}
    other["totals"]["overall"] -= 4
    return {"a": card, "b": card}, {"a": card, "b": other}


def test_what_changed(runs: tuple[Cards, Cards]) -> None:
    before, after = runs
    found = compare(before, {**after, "new": after["a"]})
    assert (found.recordings, found.only_in_a, found.only_in_b) == (("a", "b"), (), ("new",))
    assert (found.n_turns, found.n_flipped) == (2 * len(before["a"]["turns"]), 1)
    assert found.flips_by_field == {"phase": 1, "quality": 1}
    assert [drift.name for drift in found.drifts if not drift.is_still] == ["totals.overall"]
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (told["flippedTurns"], told["onlyInB"], len(told["flips"])) == (1, ["new"], 2)
    assert set(told["flips"][0]) >= {"recording", "turn", "startMs", "evidenceBefore", "evidenceAfter"}


def test_the_same_run_passes_every_gate(runs: tuple[Cards, Cards]) -> None:
    before, _ = runs
    assert compare(before, before).failed_gates(Gates(0.0, 0.0)) == []


@pytest.mark.parametrize(
    ("gates", "why"),
    [
        (Gates(), []),
        (Gates(max_flips=0.5), []),
        (Gates(max_flips=0.01), ["1 of 18 turns"]),
        (Gates(max_drift=4.0), []),
        (Gates(max_drift=3.9), ["totals.overall moved by -4.00 in b"]),
        (Gates(0.0, 1.0), ["1 of 18 turns", "totals.overall moved"]),
    ],
)
def test_gates(runs: tuple[Cards, Cards], gates: Gates, why: list[str]) -> None:
    found = compare(*runs).failed_gates(gates)
    assert len(found) == len(why)
    assert all(line.startswith(start) for line, start in zip(found, why, strict=True))


def test_a_run_that_broke_off_passes_no_gate(runs: tuple[Cards, Cards]) -> None:
    before, _ = runs
    lacking = compare(before, {"a": before["a"]})
    assert lacking.failed_gates(Gates(max_flips=1.0)) == ["1 recordings of the first run are not in the second"]
    assert lacking.failed_gates(Gates()) == []
    nothing = compare(before, {})
    assert "no recording in common" in nothing.failed_gates(Gates(max_drift=100.0))[0]
    assert (nothing.flip_share, nothing.drifts) == (0.0, ())


def test_a_total_that_one_run_lacks_is_no_small_drift(runs: tuple[Cards, Cards]) -> None:
    before, after = runs
    after["b"]["totals"]["overall"] = None
    (why,) = compare(before, after).failed_gates(Gates(max_drift=100.0))
    assert "in one run only" in why


def test_who_judged(card: dict[str, Any]) -> None:
    assert judges({"a": card, "b": {**card, "judge": {"model": "m-1"}}}) == {"m-1": 1, "rules": 1}
