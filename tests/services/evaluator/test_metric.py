from __future__ import annotations

from services.evaluator.metric import measured, unavailable
from services.evaluator.timeline import Timeline
from shared.events import MetricValue


class Half:
    name = "half"
    unit = "ratio"

    def compute(self, timeline: Timeline) -> MetricValue:
        return measured(self, 0.5)


def test_values_are_rounded_once_and_zero_has_no_sign() -> None:
    assert measured(Half(), 1 / 3, "good", "n") == MetricValue("half", 0.3333, "ratio", "good", "n")
    assert str(measured(Half(), -0.00001).value) == "0.0"


def test_what_cannot_be_told_is_none_with_its_reason() -> None:
    assert unavailable(Half(), "nobody spoke") == MetricValue("half", None, "ratio", "", "nobody spoke")
