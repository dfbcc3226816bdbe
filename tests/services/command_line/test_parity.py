"""`splitbrain check personaplex --parity`: what an operator runs to trust a torch, a driver and a moshi."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.cli import main

CASES = Path(__file__).parents[2] / "fixtures" / "personaplex"


@pytest.mark.parametrize("batch", ["1", "4"])
def test_equal_tokens_end_with_0(batch: str, capsys: pytest.CaptureFixture[str]) -> None:
    case = str(CASES / "public_2.json")
    assert main(["check", "personaplex", "--parity", case, "--batch", batch, "--device", "cpu"]) == 0
    assert "equal 60/60" in capsys.readouterr().out


def test_a_wrong_token_ends_with_1_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads((CASES / "public_2.json").read_text("utf-8"))
    data["expected"]["frames"][41][3] += 1
    case = tmp_path / "case.json"
    case.write_text(json.dumps(data), "utf-8")
    assert main(["check", "personaplex", "--parity", str(case), "--device", "cpu", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["equal"], told["total"], told["firstWrong"], told["ok"]) == (59, 60, 41, False)


def test_half_precision_is_judged_by_logits(capsys: pytest.CaptureFixture[str]) -> None:
    case = str(CASES / "public_1.json")
    assert main(["check", "personaplex", "--parity", case, "--device", "cpu", "--dtype", "bfloat16"]) == 0
    assert "within the tolerance" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["voice", "--parity", "x.json"], "go together"),
        (["personaplex"], "go together"),
        (["personaplex", "--parity", "/nowhere/x.json"], "cannot read"),
        (["personaplex", "--parity", str(CASES / "public_1.json"), "--batch", "2", "--device", "cpu"], "at least 3"),
        (["personaplex", "--parity", str(CASES / "public_1.json"), "--device", "abacus"], "does not run on abacus"),
    ],
)
def test_what_cannot_be_run_says_why(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *arguments]) in (1, 2)
    assert message in capsys.readouterr().err
