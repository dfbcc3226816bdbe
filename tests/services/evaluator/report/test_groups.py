"""Two groups: the right two, a difference that is there is found, one that is not is not, and always the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.evaluator.report.groups import best_way, compare, difference
from services.evaluator.report.summary import Summary, summary_of
from tests.services.evaluator.recorded_talks import role_play_view


def summaries(*engines: str) -> list[Summary]:
    one = summary_of(role_play_view())
    return [
        replace(one, id=f"r{n}", engine=engine, values={"talk_share": 0.4 + n / 100})
        for n, engine in enumerate(engines)
    ]


def test_the_first_way_with_two_groups_of_two_is_taken() -> None:
    assert best_way(summaries("echo", "echo", "cascade", "cascade")) == "engine"
    assert best_way(summaries("echo", "echo", "cascade")) is None


def test_the_two_largest_groups_are_compared() -> None:
    found = summaries("a", "b", "b", "c", "c", "c", "a", "c")
    comparison = compare(found, {each.id: each.engine for each in found}, ["talk_share", "patience"])
    assert comparison is not None
    assert (comparison.a, comparison.b, comparison.n_a, comparison.n_b, comparison.n_others) == ("a", "c", 2, 4, 2)
    assert [each.name for each in comparison.differences] == ["talk_share"]  # nobody has a patience


def test_one_group_is_none() -> None:
    found = summaries("a", "a", "b")
    assert compare(found, {each.id: each.engine for each in found}, ["talk_share"]) is None


def test_a_difference_that_is_there_is_found() -> None:
    draw = np.random.default_rng(1)
    found = difference("x", draw.normal(10, 1, 30), draw.normal(12, 1, 30))
    assert found.is_sure
    assert found.interval[0] < found.difference < found.interval[1]
    assert found.effect == pytest.approx(2, abs=0.5)


def test_intervals_hold_what_they_say() -> None:
    """Of samples without a difference about one in twenty looks as if there was one (small samples: some more)."""
    draw = np.random.default_rng(2)
    wrong = sum(difference("x", draw.normal(0, 1, 25), draw.normal(0, 1, 25)).is_sure for _ in range(100))
    assert wrong <= 13


def test_it_is_the_same_each_time() -> None:
    a, b = np.arange(5.0), np.arange(5.0) + 1
    assert difference("x", a, b) == difference("x", a, b)


def test_values_that_are_all_equal_have_no_effect() -> None:
    found = difference("x", np.ones(3), np.ones(3))
    assert (found.effect, found.is_sure) == (0.0, False)
