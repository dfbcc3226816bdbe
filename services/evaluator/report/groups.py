"""Two groups of recordings held against each other: means, their difference, and how sure it is. Pure.

Recordings are drawn again, whole ones, within each group (bootstrap, percentiles): turns of one talk are not
independent. The seed is fixed: the same recordings give the same page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.evaluator.report.summary import WAYS, By, Summary

RESAMPLES = 4_000
SEED = 20_251
LEVEL = 0.95
LEAST = 2
"""Recordings that a group must have; with so few an interval says how little is known."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure in both groups. `difference` is B minus A, `effect` the same in standard deviations (pooled)."""

    name: str
    n: tuple[int, int]
    means: tuple[float, float]
    intervals: tuple[Interval, Interval]
    difference: float
    interval: Interval
    effect: float
    effect_interval: Interval

    @property
    def is_sure(self) -> bool:
        """True if the interval of the difference does not touch zero."""
        return self.interval[0] > 0 or self.interval[1] < 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The two largest groups; `n_others` recordings are in further ones, or in none."""

    a: str
    b: str
    n_a: int
    n_b: int
    n_others: int
    differences: tuple[Difference, ...]


def best_way(summaries: Sequence[Summary]) -> By | None:
    """Return the first way to group that gives two groups of at least two; None if none does."""
    for by in WAYS:
        counts = Counter(group for each in summaries if (group := each.group(by)))
        if sum(count >= LEAST for count in counts.values()) >= 2:
            return by
    return None


def compare(summaries: Sequence[Summary], groups: Mapping[str, str], names: Sequence[str]) -> Comparison | None:
    """Compare the two largest groups in the named figures. `groups`: recording id -> group; None without two groups."""
    counts = Counter(group for each in summaries if (group := groups.get(each.id)))
    largest = sorted((name for name, n in counts.items() if n >= LEAST), key=lambda name: (-counts[name], name))[:2]
    if len(largest) < 2:
        return None
    a, b = sorted(largest)
    found = []
    for name in names:
        parts = [
            np.array([each.values[name] for each in summaries if groups.get(each.id) == group and name in each.values])
            for group in (a, b)
        ]
        if all(len(part) >= LEAST for part in parts):
            found.append(difference(name, parts[0], parts[1]))
    n_others = len(summaries) - counts[a] - counts[b]
    return Comparison(a, b, counts[a], counts[b], n_others, tuple(found))


def difference(name: str, a: NDArray[np.float64], b: NDArray[np.float64]) -> Difference:
    """Return how a figure differs between two samples of at least two values each."""
    draw = np.random.default_rng(SEED)
    means_a = _resampled_means(a, draw)
    means_b = _resampled_means(b, draw)
    gap = float(b.mean() - a.mean())
    interval = _percentiles(means_b - means_a)
    freedom = len(a) + len(b) - 2
    spread = float(np.sqrt((a.var(ddof=1) * (len(a) - 1) + b.var(ddof=1) * (len(b) - 1)) / freedom))
    scale = 1 / spread if spread > 1e-12 else 0.0
    return Difference(
        name,
        (len(a), len(b)),
        (float(a.mean()), float(b.mean())),
        (_percentiles(means_a), _percentiles(means_b)),
        gap,
        interval,
        gap * scale,
        (interval[0] * scale, interval[1] * scale),
    )


def _resampled_means(values: NDArray[np.float64], draw: np.random.Generator) -> NDArray[np.float64]:
    picks = draw.integers(0, len(values), size=(RESAMPLES, len(values)))
    means: NDArray[np.float64] = values[picks].mean(axis=1)
    return means


def _percentiles(values: NDArray[np.float64]) -> Interval:
    cut = (1 - LEVEL) / 2
    low, high = np.quantile(values, (cut, 1 - cut))
    return float(low), float(high)
