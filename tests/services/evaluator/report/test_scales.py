"""Scales: the good zones are the metrics' own, and every figure has its place on the page."""

from __future__ import annotations

import inspect

import pytest

from services.evaluator.metrics import load_metrics
from services.evaluator.report.scales import _SCALES, GROUPS, MAIN, Scale, group_of, number, scale_of, shown
from shared.events import MetricValue

METRICS = {metric.name: metric for metric in load_metrics()}


@pytest.mark.parametrize("name", sorted({*_SCALES, *MAIN}))
def test_scales_are_of_metrics_that_exist(name: str) -> None:
    assert name in METRICS


@pytest.mark.parametrize("name", sorted(name for name, scale in _SCALES.items() if scale.good))
def test_the_good_zone_is_told_by_the_metric(name: str) -> None:
    """Each bound that is no end of the scale stands in the source of the metric."""
    scale = _SCALES[name]
    assert scale.good
    source = inspect.getsource(inspect.getmodule(type(METRICS[name])))  # type: ignore[arg-type]
    for bound in scale.good:
        if bound not in (scale.low, scale.high):
            assert any(text in source for text in (f"{bound:g}", f"{bound:.2f}", f"{bound:.1f}")), bound


@pytest.mark.parametrize(("locale", "good"), [("nl-NL", (130, 190)), ("nl-BE", (120, 175)), ("en-GB", (130, 190))])
def test_pace_depends_on_the_variety(locale: str, good: tuple[float, float]) -> None:
    scale = scale_of("pace_words", locale[:2], locale)
    assert scale
    assert scale.good == good


def test_a_value_beyond_the_end_makes_the_scale_longer() -> None:
    assert Scale(0, 30, (11, 14)).reaching(128).high >= 128
    longer = Scale(0, 120, (60, 120)).reaching(200)
    assert longer.good == (60, longer.high)
    assert Scale(0, 1).reaching(0.4) == Scale(0, 1)


def test_groups_hold_each_figure_once() -> None:
    names = [name for group in GROUPS.values() for name in group]
    assert len(names) == len(set(names))
    assert set(names) <= METRICS.keys()
    assert group_of("hugo_response_latency") == "hugo"
    assert group_of("talk_share_phase_2") == "floor"


@pytest.mark.parametrize(
    ("value", "language", "text"), [(0.834, "nl", "0,83"), (4.25, "en", "4.2"), (12, "nl", "12"), (143.4, "en", "143")]
)
def test_numbers_are_as_long_as_they_need(value: float, language: str, text: str) -> None:
    assert number(value, language) == text


def test_shares_are_per_cent_and_nothing_is_a_dash() -> None:
    assert shown(MetricValue("talk_share", 0.55, "ratio"), "nl") == "55 %"
    assert shown(MetricValue("you_to_i", 1.5, "ratio"), "en") == "1.50"
    assert shown(MetricValue("patience", None, "s"), "en") == "–"
