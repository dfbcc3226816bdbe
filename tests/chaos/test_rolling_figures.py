"""The longest silence, and the table."""

from __future__ import annotations

import pytest

from tests.chaos.records import Heard
from tests.chaos.rolling_figures import Restarted, longest_silence_s, table


def heard(*times_s: float) -> list[Heard]:
    return [Heard(index, True, at_s, 0) for index, at_s in enumerate(times_s)]


def test_the_longest_silence_is_between_two_frames() -> None:
    assert longest_silence_s(heard(1.0, 1.1, 1.6, 1.7, 1.8), 1.0, 1.8) == pytest.approx(0.5)


def test_a_silence_that_began_before_counts_whole() -> None:
    assert longest_silence_s(heard(0.5, 1.4, 1.5), 1.0, 1.5) == pytest.approx(0.9)


def test_silences_outside_do_not_count() -> None:
    assert longest_silence_s(heard(0.0, 0.9, 1.0, 1.1, 1.2, 9.0), 1.0, 1.2) == pytest.approx(0.1)


def test_who_hears_nothing_more_is_silent_to_the_end() -> None:
    assert longest_silence_s(heard(0.9, 1.0), 1.0, 4.0) == pytest.approx(3.0)
    assert longest_silence_s([], 1.0, 4.0) == 0.0


def test_the_table_has_a_line_for_each_replica() -> None:
    lines = table([Restarted("nobody", echo_ms=90, cascade_ms=110), Restarted("voice-1", 20, 19, 0, 1.26, 3.0, 400, 1)])
    assert lines.splitlines()[1].split() == ["nobody", "-", "-", "-", "-", "-", "90", "110"]
    assert lines.splitlines()[2].split() == ["voice-1", "20", "19", "0", "1.3", "3.0", "400", "1"]
