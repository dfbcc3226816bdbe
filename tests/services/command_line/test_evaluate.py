"""`splitbrain evaluate --dialogues`: what it prints, and how it ends where a file is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services import cli
from services.command_line.exits import Exit

FOUR = Path(__file__).parents[2] / "fixtures/dialogues/labelled_dialogues.jsonl"


def test_figures_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "--dialogues", str(FOUR), "--json"]) == Exit.OK
    report = json.loads(capsys.readouterr().out)
    for language in ("nl", "en"):
        for level in ("leaf", "parent", "phase"):
            for average in ("micro", "macro"):
                figures = report["languages"][language]["techniques"][level][average]
                assert all(0 <= figures[name] <= 1 for name in ("precision", "recall", "f1"))
    assert len(report["dialogues"]) == 4


def test_figures_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "--dialogues", str(FOUR)]) == Exit.OK
    text = capsys.readouterr().out
    assert "nl: 14 scored turns of 2 dialogues" in text
    assert "techniques, leaf" in text
    assert "quality, weighted kappa" in text
    assert "en-05" in text


def test_dialogues_without_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"id": "a", "lang": "en", "turns": [{"speaker": "seller", "text": "How did you find us?"}]}\n')
    assert cli.main(["evaluate", "--dialogues", str(file)]) == Exit.OK
    assert "the dialogues carry no labels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"id": "a"}\n{', "line 2: not JSON"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"", "holds no dialogue"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_wrong_file_ends_with_code_2(
    content: bytes | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.jsonl"
    if content is not None:
        file.write_bytes(content)
    assert cli.main(["evaluate", "--dialogues", str(file)]) == Exit.USAGE
    assert told in capsys.readouterr().err
