"""The contract of every metric that the folder holds; a new file is tested here without a change."""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.evaluator import metrics as package
from services.evaluator.metric import Metric
from services.evaluator.metrics import compute_all, load_metrics
from services.evaluator.timeline import Timeline, TimelineBuilder
from shared.events import Event

UNITS = {
    "ratio",
    "s",
    "count",
    "per_min",
    "per_30_min",
    "per_100_words",
    "words_per_min",
    "syllables_per_s",
    "semitones",
    "dB",
}
ALL = pytest.mark.parametrize("metric", load_metrics(), ids=lambda metric: metric.name)


def check_bounds(metric: Metric, timeline: Timeline) -> None:
    value = metric.compute(timeline)
    assert (value.name, value.unit) == (metric.name, metric.unit)
    assert value.band in {"good", "warn", "red", ""}
    if value.value is None:
        assert value.note, "a missing value says why"
        assert value.band == ""
        return
    assert math.isfinite(value.value)
    low, high = metric.bounds
    assert low <= value.value <= high
    assert value.value == round(value.value, 4)


@ALL
def test_nothing_heard_is_not_available(metric: Metric) -> None:
    value = metric.compute(Timeline())
    assert value.value is None
    assert value.note


@ALL
def test_units_are_known_and_the_docstring_says_it_all(metric: Metric) -> None:
    assert metric.unit in UNITS
    text = " ".join((inspect.getdoc(type(metric)) or "").split())
    for word in ("Formula:", "Source:", "Unit", "Bands:", "Not available"):
        assert word in text, f"{type(metric).__name__} says no {word}"


@ALL
def test_a_share_is_a_part_of_one(metric: Metric) -> None:
    low, high = metric.bounds
    assert low == 0 < high
    assert (high == 1) is ("share" in metric.name or metric.name == "voice_energy")
    assert high > 1 or metric.unit == "ratio"


@ALL
def test_values_stay_in_their_bounds_at_every_moment(metric: Metric, role_play: list[Event]) -> None:
    builder = TimelineBuilder()
    for event in role_play:
        builder.add(event)
        check_bounds(metric, builder.snapshot())


@ALL
def test_values_stay_in_their_bounds_on_odd_streams(metric: Metric, role_play: list[Event]) -> None:
    """Lost, doubled and swapped events must not make a figure run away."""
    for seed in range(20):
        dice = random.Random(seed)
        events = [event for event in role_play if dice.random() > 0.3]
        dice.shuffle(events)
        builder = TimelineBuilder()
        for event in events:
            builder.add(event)
        check_bounds(metric, builder.snapshot())


@ALL
def test_the_same_timeline_gives_the_same_value(
    metric: Metric, role_play: list[Event], timeline_of: Callable[[list[Event]], Timeline]
) -> None:
    first = metric.compute(timeline_of(role_play))
    assert metric.compute(timeline_of(list(role_play))) == first
    assert type(metric).compute(metric, timeline_of(role_play)) == first


def test_names_are_unique_and_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [metric.name for metric in load_metrics()]
    assert names == sorted(set(names))

    class Module:
        METRICS = (load_metrics()[0],)

    monkeypatch.setattr(package.importlib, "import_module", lambda name: Module)
    load_metrics.cache_clear()
    try:
        with pytest.raises(ValueError, match="two metrics are named"):
            load_metrics()
    finally:
        load_metrics.cache_clear()


def test_all_metrics_are_computed(role_play: list[Event], timeline_of: Callable[[Any], Timeline]) -> None:
    assert [value.name for value in compute_all(timeline_of(role_play))] == [metric.name for metric in load_metrics()]


def test_the_manual_names_every_metric_with_its_unit() -> None:
    page = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for metric in load_metrics():
        row = next((row for row in rows if f"`{metric.name}`" in row.split("|")[1]), None)
        assert row is not None, f"docs/evaluation.md has no row for {metric.name}"
        assert row.split("|")[2].strip() == metric.unit
