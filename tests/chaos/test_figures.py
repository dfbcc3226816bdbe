"""Recovery times and the table."""

from __future__ import annotations

import pytest

from tests.chaos.figures import RoundResult, percentile, recovery_s, table
from tests.chaos.records import Heard, Losses, Violation


def heard(*times_s: float, connection: int = 0) -> list[Heard]:
    return [Heard(index, True, at_s, connection) for index, at_s in enumerate(times_s)]


def test_a_client_that_hears_on_was_not_hit() -> None:
    assert recovery_s(heard(*(0.08 * i for i in range(50))), 1.0, 4.0) is None


def test_recovery_is_the_end_of_the_last_gap() -> None:
    times = heard(0.8, 0.9, 2.0, 2.1, 3.5, 3.6, 3.7)
    assert recovery_s(times, 1.0, 4.0) == pytest.approx(2.5)


def test_a_gap_before_the_fault_does_not_count() -> None:
    assert recovery_s(heard(0.1, 0.9, 1.0, 1.3, 1.8), 0.95, 2.0) is None


def test_a_client_that_hears_nothing_more_has_not_recovered() -> None:
    assert recovery_s(heard(0.8, 0.9), 1.0, 4.0) == pytest.approx(3.0)


def test_a_new_socket_is_a_hit_however_soon_it_comes() -> None:
    times = [*heard(0.9, 1.0), *heard(1.2, 1.3, connection=1)]
    assert recovery_s(times, 1.05, 1.4) == pytest.approx(0.15)


def test_percentiles_are_nearest_rank() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert percentile([3.0], 0.99) == 3.0


def test_the_table_counts_by_kind_and_in_all() -> None:
    losses = (Losses(lost=5, told=2, in_flight=1, unheard=4, repeated=0, late=3),)
    results = [
        RoundResult(1, "kill_voice", 1, (1.0,), losses, ()),
        RoundResult(2, "kill_voice", 1, (3.0,), (Losses(),), (Violation("what", "how"),)),
        RoundResult(3, "cut", 1, (), (Losses(),), ()),
    ]
    lines = [line.split() for line in table(results).splitlines()]
    assert lines[1] == ["cut", "1", "0", "-", "-", "0", "0", "0", "0", "0", "0", "0"]
    assert lines[2] == ["kill_voice", "2", "2", "1.00", "3.00", "2", "1", "2", "3", "4", "0", "1"]
    assert lines[3][0] == "all"
