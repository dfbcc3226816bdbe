"""The coach's metrics: units in the names, no label that grows with sessions."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from services.coach_worker import metrics


def test_names_and_labels() -> None:
    found = [value for value in vars(metrics).values() if isinstance(value, Counter | Histogram)]
    assert len(found) >= 6
    for metric in found:
        (family,) = metric.describe()
        assert family.name.startswith("splitbrain_coach_")
        assert not isinstance(metric, Histogram) or family.name.endswith("_seconds")
        assert set(metric._labelnames) <= {"brain", "cause", "reason"}
