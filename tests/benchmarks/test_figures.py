"""Figures that cannot be prettier than the measurement: what is missing counts, and is never a zero."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import MISSING, number, percentile, table


@given(values=st.lists(st.floats(0, 1e6), min_size=1), lost=st.integers(0, 50), share=st.floats(0.01, 1))
def test_losses_never_make_a_percentile_better(values: list[float], lost: int, share: float) -> None:
    n = len(values)
    assert percentile(values, n + lost, share) >= percentile(values, n, share)


def test_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, 100, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert percentile([7.0], 1, 0.01) == 7.0


def test_half_lost_means_a_missing_p99_and_all_lost_a_missing_median() -> None:
    assert percentile([1.0] * 50, 100, 0.5) == 1.0
    assert percentile([1.0] * 50, 100, 0.99) == MISSING
    assert percentile([], 100, 0.5) == MISSING


@pytest.mark.parametrize(("n_values", "n_expected"), [(0, 0), (2, 1)])
def test_wrong_counts_are_an_error(n_values: int, n_expected: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        percentile([1.0] * n_values, n_expected, 0.5)


def test_what_is_missing_is_a_word() -> None:
    assert [number(value) for value in (MISSING, math.nan, 0.0, 1.234)] == ["missing", "missing", "0.00", "1.23"]


def test_a_table_is_in_line() -> None:
    lines = table(("what", "ms"), [("a", "1"), ("longer name", "1234")]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1].endswith("-:|")
