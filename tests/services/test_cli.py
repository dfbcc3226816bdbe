"""The command: each error class has its exit code, and a service starts where only its own extra is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services import cli
from services.command_line import ps
from services.command_line.exits import CommandError, Exit
from shared.errors import BadInput, ConfigError, SplitbrainError

ROOT = Path(__file__).parents[2]

# A Python in which the packages of the other services cannot be imported.
WITHOUT = """
import sys
allowed, arguments = sys.argv[1].split(","), sys.argv[2:]
REFUSED = {"numpy", "soxr", "opuslib_next", "openai", "arq", "onnxruntime", "tqdm", "jwt"}.difference(allowed)
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
from services.cli import main
sys.exit(main(arguments))
"""


def run_without(allowed: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, allowed, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandError(Exit.REFUSED, "no"), 4),
        (BadInput("x", "no"), 2),
        (ConfigError("no"), 2),
        (SplitbrainError("no"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_become_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    def fail(_: object) -> Exit:
        raise error

    monkeypatch.setattr(ps, "run", fail)
    assert cli.main(["ps"]) == code
    if code != 130:
        assert capsys.readouterr().err == "splitbrain: no\n"


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == "splitbrain 0.1.0\n"


def test_the_edge_needs_its_own_extra_only() -> None:
    done = run_without("jwt", "check", "edge", "--json")
    assert done.returncode in (0, 1), done.stderr
    assert '"settings", "subject": "edge", "state": "ok"' in done.stdout


def test_a_missing_extra_is_named() -> None:
    done = run_without("", "edge")
    assert done.returncode == 2
    assert done.stderr == "splitbrain: the edge service needs the Python module jwt: pip install 'splitbrain[edge]'\n"
    done = run_without("", "talk", "--wav", "x")
    assert done.returncode == 2
    assert "pip install 'splitbrain[local]'" in done.stderr


def test_a_reader_who_leaves_is_no_error() -> None:
    done = subprocess.run(
        f"'{sys.executable}' -m services.cli models list | true; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "BrokenPipe" not in done.stderr
    assert "Traceback" not in done.stderr
