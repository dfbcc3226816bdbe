"""What is kept of one recording of many."""

from __future__ import annotations

from dataclasses import replace

from services.evaluator.report.summary import summary_of
from tests.services.evaluator.recorded_talks import role_play_view


def test_figures_scores_techniques_and_errors_are_kept() -> None:
    view = role_play_view()
    summary = summary_of(view)
    assert summary.values["total_reached"] == view.card["totals"]["reached"]
    assert summary.values["talk_share"] == next(m["value"] for m in view.card["metrics"] if m["name"] == "talk_share")
    assert summary.errors == view.card["errors"]
    assert summary.n_turns == len(view.turns)
    assert (summary.group("engine"), summary.group("locale")) == ("cascade", "nl-BE")


def test_what_is_not_available_is_left_out() -> None:
    view = role_play_view()
    absent = {metric["name"] for metric in view.card["metrics"] if metric["value"] is None}
    assert absent
    assert absent.isdisjoint(summary_of(view).values)


def test_the_best_quality_of_a_technique_counts() -> None:
    view = role_play_view()
    first, *rest = [each for each in view.turns if each.verdict]
    assert first.verdict
    again = [replace(first, verdict=replace(first.verdict, quality=quality)) for quality in ("missed", "ok", "partial")]
    summary = summary_of(replace(view, turns=(*again, *rest)))
    assert {summary.qualities[item] for item in first.verdict.techniques} == {"ok"}
