"""Figures of agreement against sums done by hand."""

from __future__ import annotations

import pytest

from services.evaluator.dialogues.agreement import SetCounts, parent, phase, weighted_kappa
from shared.coaching.knowledge import load_knowledge


def test_hits_false_finds_and_misses() -> None:
    counts = SetCounts()
    counts.add(["2.3"], ["2.3"])
    counts.add(["2.4"], ["2.1.6"])
    counts.add([], ["1.1"])
    counts.add(["2.3", "2.2"], ["2.3"])
    assert counts.micro == pytest.approx({"precision": 2 / 4, "recall": 2 / 4, "f1": 0.5})
    assert counts.macro["f1"] == pytest.approx((1 + 0 + 0 + 0 + 0) / 5)


def test_an_alternative_stands_for_a_label_that_was_not_found() -> None:
    counts = SetCounts()
    counts.add(["2.4"], ["2.1.6"], ["2.1.6"])
    assert (counts.hit, counts.false.total(), counts.missed.total()) == ({"2.4": 1}, 0, 0)


def test_an_alternative_beside_the_label_counts_neither_way() -> None:
    counts = SetCounts()
    counts.add(["2.4"], ["2.4", "2.1.6"], ["2.1.6"])
    assert counts.micro == {"precision": 1, "recall": 1, "f1": 1}
    assert counts.hit.total() == 1


def test_one_alternative_stands_for_one_label_only() -> None:
    counts = SetCounts()
    counts.add(["2.1.4", "2.1.3"], ["2.1.1.8"], ["2.1.1.8"])
    assert (counts.hit.total(), counts.missed.total()) == (1, 1)


def test_nothing_to_divide_by_is_none() -> None:
    assert SetCounts().micro == SetCounts().macro == {"precision": None, "recall": None, "f1": None}


@pytest.mark.parametrize(
    ("technique", "up"),
    [
        ("2.1.1.6", "2.1.1"),
        ("2.1.1", "2.1.1"),
        ("2.1.3", "2.1"),
        ("4.2.4", "4.2"),
        ("2.3", "2.3"),
        ("4.INDIEN", "4.INDIEN"),
        ("9.9", "9.9"),
    ],
)
def test_parents(technique: str, up: str) -> None:
    assert parent(technique, load_knowledge()) == up
    assert phase(technique) == technique[0]


def test_kappa() -> None:
    assert weighted_kappa([("ok", "ok"), ("missed", "missed"), ("partial", "partial")]) == 1
    assert weighted_kappa([("ok", "missed"), ("missed", "ok")]) == -1
    # By hand: w o = 1; w e = (2 x 1 + 2 x 4 + 1 x 4 + 1 x 1) / 3 = 5.
    assert weighted_kappa([("ok", "ok"), ("ok", "partial"), ("missed", "missed")]) == pytest.approx(1 - 1 / 5)
    assert weighted_kappa([("ok", "ok")]) is None
    assert weighted_kappa([]) is None
