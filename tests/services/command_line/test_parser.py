"""Options: defaults, bounds, and that the help of every command can be shown."""

from __future__ import annotations

import pytest

from services.command_line.parser import build_parser
from services.command_line.roles import ROLES


@pytest.mark.parametrize("command", ["up", "ps", "talk", "check", "models", "demo"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        build_parser().parse_args([command, "--help"])
    assert end.value.code == 0
    assert f"splitbrain {command}" in capsys.readouterr().out


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in ("up", "ps", "talk", "check", "models", "demo", *ROLES))
    assert "exit codes: 0 done" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["up", "--port", "65536"],
        ["up", "--port", "x"],
        ["up", "--voice-workers", "0"],
        ["up", "--engine", "nonsense"],
        ["talk"],
        ["talk", "--wav", "a", "--tail", "-1"],
        ["talk", "--wav", "a", "--gap", "nan"],
        ["check", "bogus"],
        ["models"],
        ["models", "replace", "only-a-name"],
        ["models", "pull"],
        ["models", "pull", "piper-joe"],
        ["models", "size", "personaplex", "--gpu", "L4", "--memory-gb", "24"],
        ["models", "size", "personaplex", "--memory-gb", "0"],
        ["models", "size", "personaplex", "--memory-gb", "nan"],
        ["models", "size", "personaplex", "--weights", "4"],
        ["models", "size", "personaplex", "--slots", "0"],
        ["dead"],
        ["dead", "show"],
        ["dead", "retry"],
        ["dead", "retry", "1-0", "--all"],
        ["nonsense"],
        [],
    ],
)
def test_wrong_options_end_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        build_parser().parse_args(arguments)
    assert end.value.code == 2
    assert "usage: splitbrain" in capsys.readouterr().err


def test_defaults_of_up() -> None:
    options = build_parser().parse_args(["up"])
    assert (options.engine, options.host, options.port) == ("cascade", "127.0.0.1", 8080)
    assert (options.voice_workers, options.coach_workers, options.evaluators) == (1, 1, 1)


def test_wavs_are_kept_in_order() -> None:
    assert build_parser().parse_args(["talk", "--wav", "a", "--wav", "b"]).wav == ["a", "b"]
