"""What a metric is, and the three answers it can give: a value, a value with its band, or why there is none."""

from __future__ import annotations

import math
from typing import Literal, Protocol

from services.evaluator.timeline import Timeline
from shared.events import MetricValue

Band = Literal["good", "warn", "red", ""]

Bounds = tuple[float, float]
"""The least and the greatest value that a metric can have, both included."""

SHARE: Bounds = (0.0, 1.0)
UNBOUNDED: Bounds = (0.0, math.inf)
"""Counts, times and rates: never below 0, with no greatest value."""

N_DECIMALS = 4
"""Every figure is rounded once, here, so that live and replay print the same digits."""


class Metric(Protocol):
    """One figure of a conversation. Stateless; the same timeline gives the same answer.

    The docstring of each class says formula, source, unit, bands, and when there is no value.
    """

    @property
    def name(self) -> str:
        """Stable name in snake_case, unique among the metrics."""
        ...

    @property
    def unit(self) -> str:
        """ratio | s | ms | count | per_min | per_5_min | per_30_min | per_100_words | words_per_min | ..."""
        ...

    @property
    def bounds(self) -> Bounds:
        """Between which values every answer lies, whatever the events."""
        ...

    def compute(self, timeline: Timeline) -> MetricValue:
        """Return the figure, or value None with the reason in `note`; never 0 for what cannot be told."""
        ...


def measured(metric: Metric, value: float, band: Band = "", note: str = "") -> MetricValue:
    """Return a value, rounded."""
    rounded = round(float(value), N_DECIMALS)
    return MetricValue(metric.name, rounded + 0.0, metric.unit, band, note)  # + 0.0 turns -0.0 into 0.0


def unavailable(metric: Metric, why: str) -> MetricValue:
    """Return "not available" with its reason."""
    return MetricValue(metric.name, None, metric.unit, "", why)
