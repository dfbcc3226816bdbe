"""Names of the edge's metrics."""

from __future__ import annotations

from prometheus_client.metrics import MetricWrapperBase

from services.edge import metrics

OBJECTS = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]


def test_names_say_whose_they_are_and_their_unit() -> None:
    assert len(OBJECTS) >= 9
    for metric in OBJECTS:
        (family,) = metric.collect()
        assert family.name.startswith("splitbrain_edge_")
        assert family.type in ("gauge", "counter") or family.name.endswith("_seconds")


def test_no_label_holds_a_session_or_a_user() -> None:
    labels = {name for metric in OBJECTS for name in metric._labelnames}
    assert labels <= {"engine", "how", "reason", "why"}
