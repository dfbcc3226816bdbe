"""The report: its form, with and without labels, and that it is the same every time."""

from __future__ import annotations

import json
from pathlib import Path

from services.evaluator.dialogues.reading import Dialogue, DialogueTurn, Labels, read_dialogues
from services.evaluator.dialogues.report import SCHEMA, evaluate_dialogues
from shared.coaching.detector import rule_detector
from shared.coaching.knowledge import load_knowledge

FOUR = Path(__file__).parents[3] / "fixtures/dialogues/labelled_dialogues.jsonl"


def test_figures_of_each_language() -> None:
    dialogues = read_dialogues(FOUR.read_text(encoding="utf-8"), "four")
    report = evaluate_dialogues(dialogues, rule_detector(), load_knowledge())
    assert report["schema"] == SCHEMA
    assert set(report["languages"]) == {"en", "nl"}
    dutch = report["languages"]["nl"]
    assert (dutch["dialogues"], dutch["turns"]) == (2, 14)
    for level in ("leaf", "parent", "phase"):
        for average in ("micro", "macro"):
            assert set(dutch["techniques"][level][average]) == {"precision", "recall", "f1"}
            low, high = dutch["intervals"]["techniques"][level][average]["f1"]
            assert low <= dutch["techniques"][level][average]["f1"] <= high
    assert report["notes"] == []
    again = evaluate_dialogues(dialogues, rule_detector(), load_knowledge())
    assert json.dumps(report, allow_nan=False) == json.dumps(again)


def test_each_turn_and_the_session_scores() -> None:
    (first, *_) = read_dialogues(FOUR.read_text(encoding="utf-8"), "four")
    (one,) = evaluate_dialogues([first], rule_detector(), load_knowledge())["dialogues"]
    assert one["id"] == "nl-03"
    assert one["turns"][0] == {"i": 0, "speaker": "customer", "attitude": None}
    assert one["turns"][7]["errors"] == ["premature_pitch", "no_commitment_before_phase3"]
    assert one["turns"][7]["evidence"] in first.turns[7].text
    assert one["turns"][8] == {"i": 8, "speaker": "coach"}
    assert one["session"]["gate"]["committed"] is False
    assert set(one["session"]) == {"phases", "themes", "attitudes", "gate", "structure", "totals"}


def test_without_labels_there_are_predictions_only() -> None:
    bare = Dialogue(id="a", lang="en", turns=(DialogueTurn(speaker="seller", text="How did you find us?"),))
    report = evaluate_dialogues([bare], rule_detector(), load_knowledge())
    assert report["languages"] == {}
    assert report["dialogues"][0]["turns"][0]["techniques"] == ["2.1.1.1"]


def test_labels_that_the_method_does_not_know_are_named() -> None:
    turns = (
        DialogueTurn(speaker="seller", text="x", labels=Labels(techniques=("7.7",), errors=("oops",))),
        DialogueTurn(speaker="customer", text="x", attitude="blij"),
    )
    report = evaluate_dialogues([Dialogue(id="a", lang="en", turns=turns)], rule_detector(), load_knowledge())
    assert [note.rpartition(", ")[2] for note in report["notes"]] == [
        "under techniques: 7.7",
        "under errors: oops",
        "under attitudes: blij",
    ]
