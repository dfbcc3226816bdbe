"""The line through samples, its interval, and what is called growth."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from tests.chaos.soak_figures import Series, columns, growth, line_through, t_975, table


def samples(slope_per_hour: float, *, level: float = 100.0, noise: float = 0.0, minutes: int = 30) -> Series:
    rng = random.Random(1)
    times_s = [10.0 * i for i in range(minutes * 6 + 1)]
    return [(at_s, level + slope_per_hour * at_s / 3600 + rng.gauss(0, noise)) for at_s in times_s]


def test_the_line_is_that_of_least_squares() -> None:
    series = samples(12.0, noise=2.0)
    slope, level = np.polyfit([at_s / 3600 for at_s, _ in series], [value for _, value in series], 1)
    line = line_through(series)
    assert line.slope == pytest.approx(slope)
    assert line.level == pytest.approx(level)
    assert line.low < 12.0 < line.high


def test_the_interval_is_that_of_the_textbook_where_samples_are_independent() -> None:
    """x = 0, 1, 2, 3, 4 hours: slope 2, residuals 1, -2, 1, 0, 0 less their trend; standard error by hand."""
    values = [1.0, 0.0, 5.0, 6.0, 8.0]
    line = line_through([(3600.0 * hour, value) for hour, value in enumerate(values)])
    assert line.slope == pytest.approx(2.0)
    error = math.sqrt(sum(r * r for r in (1.0, -2.0, 1.0, 0.0, 0.0)) / 3 / 10)
    assert line.high - line.slope == pytest.approx(3.182 * error)


def test_samples_that_follow_each_other_count_for_less() -> None:
    rng = random.Random(2)
    walk, value = [], 0.0
    for i in range(180):
        value = 0.95 * value + rng.gauss(0, 1)
        walk.append((10.0 * i, value))
    shuffled = [value for _, value in walk]
    rng.shuffle(shuffled)
    apart = line_through([(10.0 * i, value) for i, value in enumerate(shuffled)])
    line = line_through(walk)
    assert line.high - line.low > 2.5 * (apart.high - apart.low)


def test_quantiles_join_where_the_table_ends() -> None:
    assert t_975(10) == 2.228
    assert t_975(11) == pytest.approx(2.201, abs=0.003)
    assert t_975(1000) == pytest.approx(1.962, abs=0.001)
    assert t_975(0.3) == 12.706


def test_a_leak_is_found_in_noise() -> None:
    found = growth(samples(40.0, noise=2.0), minimum=4.0)
    assert found is not None
    assert found.verdict == "grows"
    assert found.start < found.middle < found.end


@pytest.mark.parametrize(
    ("slope", "level", "minimum", "why"),
    [
        (0.0, 100.0, 4.0, "no slope"),
        (6.0, 100.0, 0.5, "2.5 of 100 in 25 minutes: less than the share"),
        (8.0, 20.0, 4.0, "3.3 of 20: less than the minimum"),
        (-40.0, 100.0, 4.0, "it shrinks"),
    ],
)
def test_what_is_flat(slope: float, level: float, minimum: float, why: str) -> None:
    found = growth(samples(slope, level=level, noise=0.2), minimum)
    assert found is not None
    assert found.verdict == "flat", why


def test_noise_alone_does_not_grow() -> None:
    found = growth(samples(0.0, level=10.0, noise=30.0), minimum=0.0, share=0.0)
    assert found is not None
    assert found.line.low < 0 < found.line.high
    assert found.verdict == "flat"


def test_the_warm_up_does_not_count() -> None:
    """A process that fills its caches in the first sixth and stays there."""
    series = [(at_s, min(value, 104.0)) for at_s, value in samples(60.0)]
    found = growth(series, minimum=0.5, share=0.0)
    assert found is not None
    assert (found.start, found.end, found.verdict) == (104.0, 104.0, "flat")


def test_a_constant_figure_is_flat_and_a_short_one_is_not_judged() -> None:
    found = growth([(float(at_s), 7.0) for at_s in range(60)], minimum=0.0)
    assert found is not None
    assert (found.line.slope, found.verdict) == (0.0, "flat")
    assert growth([(0.0, 1.0), (10.0, 2.0), (20.0, 3.0)], minimum=0.0) is None
    assert growth([], minimum=0.0) is None


def test_the_table_has_a_line_for_each_figure() -> None:
    found = {("edge-1", "rss MB"): growth(samples(40.0), minimum=4.0), ("redis", "keys"): None}
    lines = table(found).splitlines()
    assert lines[1].split()[:6] == ["edge-1", "rss", "MB", "104.1", "111.7", "119.2"]
    assert lines[1].split()[6:] == ["+40.0", "+40.0", "to", "+40.0", "grows"]
    assert lines[2].split()[-2:] == ["too", "short"]
    assert columns([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"
