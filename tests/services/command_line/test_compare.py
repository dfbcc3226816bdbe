"""`splitbrain compare` on results folders: what it says, and its exit code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.cli import main
from services.evaluator.replay.in_process import Replayed
from services.evaluator.replay.results import Results, RunVersion
from services.evaluator.scorecard import canonical_json

VERSION = RunVersion("1.1.0", "2026-01", "a" * 64, "rules-1:abc")
FIRST, SECOND = "0" * 26, "1" * 26


def card(quality: str, overall: float | None, evidence: str = "Wat betekent dat?") -> dict[str, Any]:
    turn = {"turn": "u1", "start_ms": 9_300, "techniques": ["2.3"], "quality": quality, "phase": 2, "errors": []}
    return {
        "schema": "splitbrain.scorecard/1",
        "turns": [{**turn, "evidence": evidence, "attitude": None, "is_scored": True}],
        "totals": {"overall": overall, "reached": overall, "coverage": 0.4},
        "phases": [{"phase": 2, "score": overall}],
        **{part: {"score": overall} for part in ("structure", "themes", "attitudes")},
        "metrics": [{"name": "talk_share", "value": 0.4}],
    }


def put(folder: Path, version: RunVersion, cards: dict[str, dict[str, Any]]) -> str:
    results = Results(folder, version)
    results.open()
    for recording_id, each in cards.items():
        results.put(Replayed(recording_id, canonical_json(each)), "f" * 64, 1_000)
    return str(folder)


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str]:
    before = put(tmp_path / "a", VERSION, {FIRST: card("ok", 60.0), SECOND: card("ok", 50.0)})
    newer = replace(VERSION, evaluator_version="1.2.0")
    after = put(tmp_path / "b", newer, {FIRST: card("partial", 54.0, "Wat dan?"), SECOND: card("ok", 50.0)})
    return before, after


def test_what_is_said(runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *runs]) == 0
    said = capsys.readouterr().out
    assert "A: 2 recordings, evaluator 1.1.0" in said
    assert "B: 2 recordings, evaluator 1.2.0" in said
    assert "1 of 2 turns judged otherwise (50.00%)" in said
    assert f"{FIRST} u1 at 9.3 s: quality ok -> partial" in said
    assert '  A "Wat betekent dat?"\n  B "Wat dan?"' in said
    row = next(line.split() for line in said.splitlines() if line.startswith("totals.overall"))
    assert row[1:] == ["55.00", "52.00", "-3.00", "-6.00", "to", "+0.00", "2", "-6.00", "in", FIRST]
    assert "talk_share" not in said


def test_the_same_run_twice(runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", runs[0], runs[0], "--max-flips", "0", "--max-drift", "0"]) == 0
    assert "no score and no metric moved" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        (["--max-flips", "0.5"], 0),
        (["--max-flips", "0.4"], 1),
        (["--max-drift", "6"], 0),
        (["--max-drift", "5.9"], 1),
    ],
)
def test_gates(runs: tuple[str, str], gate: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *runs, *gate]) == code
    assert ("gate: " in capsys.readouterr().err) is bool(code)


def test_json(runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *runs, "--max-drift", "1", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["runs"]["a"]["evaluator_version"], told["runs"]["b"]["judges"]) == ("1.1.0", {"rules": 2})
    assert (told["flipsByField"], len(told["failedGates"])) == ({"quality": 1}, 2)


@pytest.mark.parametrize("option", [["--max-flips", "2"], ["--max-drift", "x"], ["--max-drift", "nan"]])
def test_wrong_options(runs: tuple[str, str], option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["compare", *runs, *option])
    assert end.value.code == 2
    assert "must be" in capsys.readouterr().err


def test_what_is_no_run(tmp_path: Path, runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", runs[0], str(tmp_path / "nowhere")]) == 2
    assert "cannot be read" in capsys.readouterr().err
