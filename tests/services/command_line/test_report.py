"""`splitbrain report`: the page is written whole or not at all, and what is wrong is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from services.cli import main
from services.evaluator.recording.archive import publish
from services.evaluator.recording.store import RecordingStore
from services.evaluator.report import data
from shared.coaching.detector import rule_detector
from tests.services.evaluator.recorded_talks import packed, scene_events

Run = Callable[..., int]


@pytest.fixture(autouse=True)
def _rules_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The learned detector takes seconds to load, and these tests are not about it."""
    monkeypatch.setattr(data, "default_detector", rule_detector)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    store = RecordingStore(str(tmp_path / "calls"))
    for number in range(4):
        talk = scene_events("Hoe plant u uw ritten?", "Wat betekent dat?", number=number)
        publish(store, packed(talk, sound=number == 0, engine="echo" if number % 2 else "cascade"))
    return tmp_path / "calls"


def ids(folder: Path) -> list[str]:
    return RecordingStore(str(folder)).ids()


def test_a_page_about_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = ids(folder)[0]
    assert main(["report", f"calls/{first}"]) == 0
    page = Path(f"{first}.html")
    assert "wrote" in capsys.readouterr().out
    assert page.read_text("utf-8").count('src="data:audio/ogg') == 2
    assert page.stat().st_mode & 0o077 == 0  # what people said is for its owner only


def test_a_small_page_in_another_language(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = ids(folder)[0]
    assert main(["report", first, "--store", "calls", "--no-audio", "--lang", "en", "--out", "a.html", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["recordings"], told["bad"]) == ("a.html", 1, [])
    assert told["bytes"] == Path("a.html").stat().st_size
    assert "data:audio" not in Path("a.html").read_text("utf-8")


def test_a_page_about_many(folder: Path) -> None:
    assert main(["report", "calls", "--by", "engine"]) == 0
    assert "cascade (2) / echo (2)" in Path("recordings.html").read_text("utf-8")


def test_groups_from_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{each},{'new' if n < 2 else 'old'}" for n, each in enumerate(ids(folder))]
    Path("groups.csv").write_text("\n".join(["recording,group", *rows, "01jd9999999999999999999999,old"]) + "\n")
    assert main(["report", "calls", "--groups", "groups.csv"]) == 0
    assert "new (2) / old (2)" in Path("recordings.html").read_text("utf-8")
    assert "1 recordings are not in calls" in capsys.readouterr().err


def test_a_damaged_recording_is_told_and_the_page_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = ids(folder)[1]
    (folder / bad / "events.jsonl").write_bytes(b"{}\n")
    assert main(["report", "calls"]) == 1
    assert bad in capsys.readouterr().err
    assert bad in Path("recordings.html").read_text("utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "nothing-here"],
        ["report", "calls", "--groups", "nothing.csv"],
        ["report", "calls", "--groups", "wrong.csv"],
        ["report", "calls", "--groups", "half.csv"],
        ["report", "calls", "--out", "no/such/folder/page.html"],
        ["report", "calls", "--out", "calls"],
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    folder: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wrong.csv").write_text("id,team\n1,2\n")
    Path("half.csv").write_text("recording,group\n01jd0000000000000000000001,\n")
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("splitbrain: ")
    assert list(Path().glob("*.html*")) == []


def test_groups_are_for_many(folder: Path) -> None:
    assert main(["report", f"calls/{ids(folder)[0]}", "--by", "engine"]) == 2
