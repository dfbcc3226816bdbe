"""Whether a figure of a process grows over a long run: a line through its samples, a verdict, a table. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

WARM_UP_SHARE = 1 / 6
"""Share of the run that is left out at its start: caches and pools fill."""

GROWTH_SHARE = 0.05
"""Growth over the rest of the run, as a share of the level at its start, that is still called flat."""

MINIMUMS: Mapping[str, float] = {
    "rss MB": 4.0,
    "uss MB": 4.0,
    "descriptors": 8.0,
    "threads": 3.0,
    "keys": 40.0,
    "used MB": 2.0,
    "clients": 8.0,
}
"""Growth over the rest of the run that is still called flat, however low the level is."""

_MIN_SAMPLES = 6
_T_975 = (0.0, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""The two-sided 95 % quantile of Student's t by degrees of freedom."""

Series = Sequence[tuple[float, float]]
"""(seconds since the start, value) in the order of time."""

Name = tuple[str, str]
"""A process, and which figure of it."""


@dataclass(frozen=True, slots=True)
class Line:
    """The least-squares line: value at the first sample; slope an hour and the ends of its 95 % interval."""

    level: float
    slope: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Growth:
    """What a figure did after the warm-up: medians of the first, middle and last tenth, the line, the verdict."""

    start: float
    middle: float
    end: float
    line: Line
    verdict: Literal["flat", "grows"]


def t_975(freedom: float) -> float:
    """Return the 97.5 % quantile of Student's t; of the next lower whole number of degrees up to ten."""
    if freedom < len(_T_975):
        return _T_975[max(1, int(freedom))]
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def line_through(series: Series) -> Line:
    """Return the least-squares line through at least three samples.

    Samples of a process follow each other: its interval counts as many independent ones as the residuals' correlation
    with their neighbours leaves.
    """
    n = len(series)
    hours = [at_s / 3600 for at_s, _ in series]
    mean_x, mean_y = sum(hours) / n, sum(value for _, value in series) / n
    spread = sum((x - mean_x) ** 2 for x in hours)
    slope = sum((x - mean_x) * (y - mean_y) for x, (_, y) in zip(hours, series, strict=True)) / spread
    residuals = [y - mean_y - slope * (x - mean_x) for x, (_, y) in zip(hours, series, strict=True)]
    n_independent = max(4.0, n * _independent_share(residuals))
    error = math.sqrt(sum(r * r for r in residuals) / (n - 2) / spread * n / n_independent)
    half = t_975(n_independent - 2) * error
    return Line(mean_y + slope * (hours[0] - mean_x), slope, slope - half, slope + half)


def _independent_share(residuals: Sequence[float]) -> float:
    power = sum(r * r for r in residuals)
    if power < 1e-18:
        return 1.0
    correlation = max(0.0, sum(a * b for a, b in pairwise(residuals)) / power)
    return (1 - correlation) / (1 + correlation)


def growth(series: Series, minimum: float, share: float = GROWTH_SHARE) -> Growth | None:
    """Return what a figure did after the warm-up, None where too few samples tell.

    It grows if all three hold: the slope's interval is above zero; the line rises over the rest of the run by more
    than `share` of its level; and by more than `minimum`.
    """
    if not series:
        return None
    first_s, last_s = series[0][0], series[-1][0]
    rest = [each for each in series if each[0] - first_s >= (last_s - first_s) * WARM_UP_SHARE]
    if len(rest) < _MIN_SAMPLES:
        return None
    line = line_through(rest)
    rise = line.slope * (rest[-1][0] - rest[0][0]) / 3600
    grows = line.low > 0 and rise > share * abs(line.level) and rise > minimum
    n = max(3, len(rest) // 10)
    at = (len(rest) - n) // 2
    values = [value for _, value in rest]
    start, middle, end = (median(part) for part in (values[:n], values[at : at + n], values[-n:]))
    return Growth(start, middle, end, line, "grows" if grows else "flat")


HEAD = ("PROCESS", "FIGURE", "START", "MIDDLE", "END", "SLOPE /h", "95 % INTERVAL", "VERDICT")


def table(found: Mapping[Name, Growth | None]) -> str:
    """Return one line for each figure of each process, in columns."""
    return columns([HEAD, *(_cells(name, each) for name, each in found.items())])


def _cells(name: Name, each: Growth | None) -> tuple[str, ...]:
    if each is None:
        return (*name, "-", "-", "-", "-", "-", "too short")
    line = each.line
    levels = (f"{value:.1f}" for value in (each.start, each.middle, each.end))
    return (*name, *levels, f"{line.slope:+.1f}", f"{line.low:+.1f} to {line.high:+.1f}", each.verdict)


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Return the lines with each column as wide as its widest cell."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
