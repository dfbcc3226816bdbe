from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from services.evaluator.replay.in_process import Replayed
from services.evaluator.replay.results import Results, RunVersion, Source, read_run, version_now
from services.evaluator.scorecard import EVALUATOR_VERSION
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.errors import BadInput

VERSION = RunVersion("1.1.0", "2026-01", "a" * 64, "rules-1:abc")
CARD = b'{"schema":"splitbrain.scorecard/1","totals":{}}'
FIRST, SECOND = "0" * 26, "1" * 26


@pytest.fixture
def results(tmp_path: Path) -> Results:
    opened = Results(tmp_path, VERSION)
    opened.open()
    return opened


def test_a_result_comes_back(results: Results, tmp_path: Path) -> None:
    assert results.source(FIRST) is None
    results.put(Replayed(FIRST, CARD, live=CARD), "f" * 64, 1_000)
    results.put(Replayed(FIRST, CARD, live=CARD), "f" * 64, 1_000)
    assert results.source(FIRST) == Source("f" * 64, 1_000, "equal")
    run = read_run(tmp_path)
    assert (list(run.cards), run.cards[FIRST], results.card(FIRST)) == ([FIRST], json.loads(CARD), json.loads(CARD))
    assert run.version["evaluator_version"] == "1.1.0"
    assert read_run(results.folder).cards == run.cards
    assert sorted(path.name for path in (results.folder / FIRST).iterdir()) == ["scorecard.json", "source.json"]
    assert (results.folder / FIRST / "scorecard.json").stat().st_mode & 0o077 == 0


def test_each_thing_that_a_card_rests_on_has_a_folder_of_its_own() -> None:
    changed = [
        replace(VERSION, evaluator_version="1.2.0"),
        replace(VERSION, knowledge_version="2026-02"),
        replace(VERSION, knowledge_hash="b" * 64),
        replace(VERSION, detector="rules-2"),
    ]
    assert len({VERSION.key, *(version.key for version in changed)}) == 5
    now = version_now(load_knowledge(), default_detector())
    assert now.key.startswith(f"{EVALUATOR_VERSION}-")
    assert now == version_now(load_knowledge(), default_detector())


def test_a_half_written_result_is_none(results: Results) -> None:
    results.put(Replayed(FIRST, CARD), "f" * 64, 1_000)
    (results.folder / FIRST / "scorecard.json").unlink()
    assert results.source(FIRST) is None
    (results.folder / SECOND).mkdir()
    (results.folder / SECOND / "scorecard.json").write_bytes(CARD)
    assert results.source(SECOND) is None
    (results.folder / SECOND / "source.json").write_bytes(b'{"unknown": 1}')
    assert results.source(SECOND) is None


def test_which_run_is_meant_must_be_clear(results: Results, tmp_path: Path) -> None:
    Results(tmp_path, replace(VERSION, detector="rules-2")).open()
    with pytest.raises(BadInput, match="several versions"):
        read_run(tmp_path)
    assert read_run(results.folder).cards == {}
    with pytest.raises(BadInput, match="cannot be read"):
        read_run(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no results"):
        read_run(tmp_path / "empty")


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"schema":"other"}'])
def test_what_is_no_card_is_refused(results: Results, data: bytes) -> None:
    results.put(Replayed(FIRST, data), "f" * 64, 0)
    with pytest.raises(BadInput, match="scorecard"):
        read_run(results.folder)


def test_what_is_no_run_is_refused(results: Results) -> None:
    (results.folder / "run.json").write_bytes(b'{"schema":"splitbrain.run/9"}')
    with pytest.raises(BadInput, match="not of schema"):
        read_run(results.folder)
