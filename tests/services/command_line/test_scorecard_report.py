"""The scorecard on a terminal."""

from __future__ import annotations

from typing import Any

from services.command_line.scorecard_report import scorecard_lines
from services.evaluator.evaluation import evaluate_events
from shared.wire import event_from_json


def card() -> dict[str, Any]:
    import json
    from pathlib import Path

    lines = (Path(__file__).parents[2] / "fixtures" / "events" / "role_play.jsonl").read_text("utf-8").splitlines()
    return evaluate_events([event_from_json(json.loads(line)) for line in lines]).data


def test_shows_figures_turns_phases_and_the_notice() -> None:
    data = card()
    text = "\n".join(scorecard_lines(data))
    for metric in data["metrics"]:
        shown = metric["name"].replace("_", " ") + ":" in text
        assert shown == (metric["value"] is not None), metric["name"]
    assert all(f"  {turn['turn']}: " in text for turn in data["turns"])
    assert text.endswith(data["notice"][data["session"]["language"]])


def test_what_is_not_available_is_never_a_zero() -> None:
    data = card()
    for metric in data["metrics"]:
        metric["value"] = None
    data["totals"]["overall"] = None
    text = "\n".join(scorecard_lines(data))
    assert "not available: " in text
    assert " 0 " not in text.split("not available")[0].split("u1:")[0]
