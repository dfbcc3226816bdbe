"""The metrics, found by a scan of this folder: each module lists its own in `METRICS`."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from services.evaluator.metric import Metric
from services.evaluator.timeline import Timeline
from shared.events import MetricValue


@functools.cache
def load_metrics() -> tuple[Metric, ...]:
    """Return every metric of the folder in order of name. Raises ValueError if two carry the same name."""
    found: dict[str, Metric] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for metric in importlib.import_module(module.name).METRICS:
            if metric.name in found:
                raise ValueError(f"two metrics are named {metric.name!r}; the second is in {module.name}")
            found[metric.name] = metric
    return tuple(found[name] for name in sorted(found))


def compute_all(timeline: Timeline) -> tuple[MetricValue, ...]:
    """Return every metric of the timeline, in order of name."""
    return tuple(metric.compute(timeline) for metric in load_metrics())
