"""Where figures come from: each place lies in the talk and holds what the metric counts."""

from __future__ import annotations

import pytest

from services.evaluator.metrics import load_metrics
from services.evaluator.report.evidence import _FINDERS, MAX_PLACES, places_of
from tests.services.evaluator.recorded_talks import role_play_view


def test_every_finder_is_of_a_metric() -> None:
    assert set(_FINDERS) <= {metric.name for metric in load_metrics()}


@pytest.mark.parametrize("name", sorted(_FINDERS))
def test_places_lie_within_the_talk_and_in_order(name: str) -> None:
    view = role_play_view()
    places = places_of(name, view.timeline)
    assert len(places) <= MAX_PLACES
    assert list(places) == sorted(places, key=lambda place: place.start_ms)
    assert all(0 <= place.start_ms < place.end_ms <= view.length_ms + 2_000 for place in places)


def test_interruptions_are_as_many_as_the_metric_counts() -> None:
    view = role_play_view()
    values = {metric["name"]: metric["value"] for metric in view.card["metrics"]}
    for by in ("user", "hugo"):
        assert len(places_of(f"interruptions_by_{by}", view.timeline)) == values[f"interruptions_by_{by}"]


def test_the_longest_monologue_is_the_metrics_own() -> None:
    view = role_play_view()
    values = {metric["name"]: metric["value"] for metric in view.card["metrics"]}
    for name in ("longest_monologue", "longest_customer_story"):
        (place,) = places_of(name, view.timeline)
        assert (place.end_ms - place.start_ms) / 1000 == values[name]


def test_filled_pauses_are_found_in_their_turn() -> None:
    (place,) = places_of("filled_pauses", role_play_view().timeline)
    assert place.note == "1×"


def test_what_rests_on_the_whole_talk_has_no_place() -> None:
    assert places_of("interactivity", role_play_view().timeline) == ()
