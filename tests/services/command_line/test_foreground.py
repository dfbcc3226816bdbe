"""A service run by `splitbrain <name>` gets its own options and gives its own exit code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from services.command_line import foreground
from services.command_line.exits import CommandError, Exit
from services.command_line.roles import ROLES, Role


@pytest.fixture
def role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["before"])
    monkeypatch.setitem(ROLES, "edge", Role("edge", "runs_in_front", "", "edge"))
    return tmp_path / "runs_in_front.py"


@pytest.mark.parametrize(
    ("program", "code"),
    [("sys.exit(7)", 7), ("sys.exit()", 0), ("sys.exit('what was wrong')", 1), ("", 0)],
)
def test_the_exit_code_is_the_services(role: Path, program: str, code: int) -> None:
    role.write_text(f"import sys\n{program}")
    assert foreground.run("edge", []) == code


def test_the_options_are_the_services(role: Path, capsys: pytest.CaptureFixture[str]) -> None:
    role.write_text("import sys\nif __name__ == '__main__': print(sys.argv)")
    foreground.run("edge", ["--check", "--help"])
    assert capsys.readouterr().out.strip() == "['splitbrain edge', '--check', '--help']"


def test_a_missing_package_is_named_with_its_extra(role: Path) -> None:
    role.write_text("import package_that_is_not_there")
    with pytest.raises(CommandError, match=r"package_that_is_not_there: pip install 'splitbrain\[edge\]'") as caught:
        foreground.run("edge", [])
    assert caught.value.code is Exit.USAGE
