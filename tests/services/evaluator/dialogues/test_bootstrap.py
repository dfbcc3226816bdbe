"""Intervals: the same every time, round the figure, none where there is nothing to draw from."""

from __future__ import annotations

from collections.abc import Sequence

from services.evaluator.dialogues.bootstrap import intervals


def mean(parts: Sequence[float]) -> dict[str, dict[str, float | None]]:
    there = [part for part in parts if part >= 0]
    return {"a": {"mean": sum(there) / len(there) if there else None}}


def test_an_interval_holds_the_figure_and_is_the_same_again() -> None:
    parts = [0.1, 0.5, 0.9, 0.4, 0.6]
    low, high = intervals(parts, mean)["a"]["mean"]
    assert 0.1 <= low < 0.5 < high <= 0.9
    assert intervals(parts, mean) == intervals(parts, mean)
    assert intervals(parts, mean, seed=1)["a"]["mean"] != [low, high]


def test_like_parts_leave_no_doubt() -> None:
    assert intervals([0.5, 0.5], mean)["a"]["mean"] == [0.5, 0.5]


def test_one_part_has_no_interval() -> None:
    assert intervals([0.5], mean) == {"a": {"mean": None}}


def test_a_figure_that_most_samples_lack_has_none() -> None:
    assert intervals([-1.0] * 30, mean) == {"a": {"mean": None}}
