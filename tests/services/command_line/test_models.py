"""`splitbrain models`: the answers of the models directory as a table, as JSON and as exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services import cli
from services.command_line.models import is_wrong
from services.voice_worker.speech.manifest import manifest
from services.voice_worker.speech.models import ModelStatus


def status(state: str, *, optional: bool = False) -> ModelStatus:
    return ModelStatus("m", state, False, optional, Path("m"), ("en",), "MIT", 1, "")  # type: ignore[arg-type]


def test_an_empty_folder_misses_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "--models-dir", str(tmp_path), "--json", "list"]) == 1
    found = json.loads(capsys.readouterr().out)["models"]
    assert [item["name"] for item in found] == [*(model.name for model in manifest()), "personaplex"]
    assert {item["state"] for item in found} == {"missing"}


def test_the_table_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["models", "--models-dir", str(tmp_path), "list"])
    answer = capsys.readouterr()
    assert answer.out.splitlines()[0].split() == ["MODEL", "STATE", "MB", "LANGUAGES", "LICENCE", "PATH"]
    assert "splitbrain models install" in answer.err


def test_install_verify_corrupt_and_replace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "moonshine-tiny-en"
    folder = ["models", "--models-dir", str(tmp_path), "--json"]
    assert cli.main([*folder, "install", "--offline", name]) == 0
    assert cli.main([*folder, "verify", name]) == 0
    file = tmp_path / name / "encoder_model.ort"
    own = tmp_path / "own.ort"
    own.write_bytes(b"mine")
    file.write_bytes(b"damaged")
    capsys.readouterr()
    assert cli.main([*folder, "verify", name]) == 1
    assert json.loads(capsys.readouterr().out)["models"][0]["state"] == "corrupt"
    assert cli.main([*folder, "replace", name, str(own)]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["replaced"] is True


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "no-such-model"],
        ["replace", "no-such-model", "x"],
        ["install", "personaplex"],
        ["replace", "personaplex", "x"],
    ],
)
def test_an_unknown_model_is_wrong_use(tmp_path: Path, arguments: list[str]) -> None:
    assert cli.main(["models", "--models-dir", str(tmp_path), *arguments]) == 2


def test_only_what_is_needed_is_wrong_when_missing() -> None:
    assert not is_wrong(status("ok"))
    assert not is_wrong(status("missing", optional=True))
    assert is_wrong(status("missing"))
    assert is_wrong(status("corrupt", optional=True))
