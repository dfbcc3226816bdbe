"""`splitbrain export`: both formats, from one and from many."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from services.cli import main
from services.evaluator import api
from services.evaluator.recording.archive import publish
from services.evaluator.recording.store import RecordingStore
from services.evaluator.report.data import session_view
from shared.coaching.detector import rule_detector
from tests.services.evaluator.recorded_talks import packed, scene_events


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "evaluate", lambda recording: session_view(recording, rule_detector()))
    store = RecordingStore("calls")
    publish(store, packed(scene_events("Hoe plant u uw ritten?", number=1), sound=True))
    publish(store, packed(scene_events("Wat betekent dat voor u?", number=2)))
    return store.ids()


def test_tables(calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "calls", "--to", "tables", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    turns = pl.read_parquet("tables/turns.parquet")
    assert turns["recording"].unique(maintain_order=True).to_list() == calls
    assert told["counts"]["turns"] == turns.height


def test_the_benchmarks_layout(calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", f"calls/{calls[0]}", "--to", "bench", "--format", "duplex-bench"]) == 0
    assert "smooth_turn_taking 1" in capsys.readouterr().out
    assert (Path("bench") / "smooth_turn_taking" / "1" / "turn_taking.json").is_file()


def test_what_gives_nothing_is_told(calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "calls", "--to", "bench", "--format", "duplex-bench"]) == 1
    assert f"{calls[1]}: has no sound to export" in capsys.readouterr().err


def test_a_file_is_no_folder(calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    assert main(["export", "calls", "--to", "file"]) == 2
    assert "--to" in capsys.readouterr().err
