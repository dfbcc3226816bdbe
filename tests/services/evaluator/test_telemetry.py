from __future__ import annotations

from prometheus_client import Counter, Histogram

from services.evaluator import telemetry


def test_names_carry_units_and_no_label_holds_a_session() -> None:
    found = [item for item in vars(telemetry).values() if isinstance(item, Counter | Histogram)]
    assert len(found) >= 6
    for item in found:
        (family,) = item.describe()
        name = f"{family.name}_total" if isinstance(item, Counter) else family.name
        assert name.startswith("splitbrain_evaluator_")
        assert name.endswith(("_total", "_seconds"))
        assert not {"session", "session_id", "user"} & set(item._labelnames)
