"""Tables, durations and the status line, on a terminal and on anything else."""

from __future__ import annotations

import io
import json

import pytest

from services.command_line.console import StatusLine, duration, say_json, table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_are_as_wide_as_their_longest_cell() -> None:
    assert table(("A", "B"), [("long cell", "x"), ("y", "")]) == "A          B\nlong cell  x\ny"
    assert table(("A", "B"), []) == "A  B"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0.9, "0s"), (59, "59s"), (185, "3m05s"), (7620, "2h07m"), (4 * 86_400 + 10_800, "4d03h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_terminals_status_is_rewritten_and_comes_back_after_a_line() -> None:
    out = Terminal()
    status = StatusLine(out)
    status.show("one")
    status.show("one")
    status.line("between")
    status.show("two")
    status.clear()
    assert out.getvalue() == "\r\x1b[2Kone\r\x1b[2Kbetween\none\r\x1b[2Ktwo\r\x1b[2K"


def test_elsewhere_each_status_is_a_line_once() -> None:
    out = io.StringIO()
    status = StatusLine(out)
    for text in ("one", "one", "two"):
        status.show(text)
    status.line("three")
    status.clear()
    assert out.getvalue() == "one\ntwo\nthree\n"


def test_json_is_one_line_in_plain_letters(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"text": "één\ntwee"})
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert "één" in line
    assert json.loads(line) == {"text": "één\ntwee"}
