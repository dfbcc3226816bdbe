from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.command_line.evaluate_summary import lines, summarise
from services.evaluator.replay.in_process import Replayed
from services.evaluator.replay.results import Results, RunVersion
from services.evaluator.scorecard import canonical_json

VERSION = RunVersion("1.1.0", "2026-01", "a" * 64, "rules-1:abc")
FIRST, SECOND, THIRD = "0" * 26, "1" * 26, "2" * 26


@pytest.fixture
def results(tmp_path: Path) -> Results:
    made = Results(tmp_path, VERSION)
    made.open()
    for recording_id, overall in ((FIRST, 40.0), (SECOND, None)):
        card = {
            "totals": {"overall": overall, "reached": overall, "coverage": 0.5},
            **{part: {"score": overall} for part in ("structure", "themes", "attitudes")},
            "errors": {"stacked_questions": 2},
            "schema": "splitbrain.scorecard/1",
        }
        recorded = canonical_json(card) if overall else None
        made.put(Replayed(recording_id, canonical_json(card), recorded), "f" * 64, 90_000)
    return made


def test_what_is_summed_up(results: Results) -> None:
    whole = summarise(results, [FIRST], [SECOND], {THIRD: "the recording is not there"})
    assert json.loads(json.dumps(whole)) == {
        "recordings": 3,
        "evaluated": 1,
        "kept": 1,
        "failed": [{"id": THIRD, "reason": "the recording is not there"}],
        "mediaS": 180.0,
        "recorded": {"equal": 1, "differs": 0, "not_recorded": 1},
        "means": {
            "overall": {"mean": 40.0, "n": 1},
            "reached": {"mean": 40.0, "n": 1},
            "coverage": {"mean": 0.5, "n": 2},
            "structure": {"mean": 40.0, "n": 1},
            "themes": {"mean": 40.0, "n": 1},
            "attitudes": {"mean": 40.0, "n": 1},
        },
        "errors": {"stacked_questions": 4},
    }
    said = lines(whole, results, 2.0)
    assert said[0] == "3 recordings: 1 evaluated, 1 already there, 1 failed; 3m00s of talk in 2.0 s"
    assert "1 equal to the recorded scorecard" in said
    assert f"{THIRD}: the recording is not there" in said


def test_nothing_at_all(results: Results) -> None:
    whole = summarise(results, [], [], {})
    assert whole["means"]["overall"] == {"mean": None, "n": 0}
    assert "-" in lines(whole, results, 0.0)[2]
