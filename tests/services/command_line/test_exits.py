"""The exit codes are a promise to scripts: the numbers, the help text and the document say the same."""

from __future__ import annotations

import re
from pathlib import Path

from services.command_line.exits import CommandError, Exit
from services.command_line.parser import EXIT_CODES

ROOT = Path(__file__).parents[3]


def test_help_and_document_name_every_code() -> None:
    document = (ROOT / "docs/cli.md").read_text("utf-8")
    for code in Exit:
        assert re.search(rf"\b{int(code)} ", EXIT_CODES), code
        assert re.search(rf"^\| {int(code)} \|", document, re.MULTILINE), code


def test_an_error_carries_its_code() -> None:
    assert CommandError(Exit.BUSY, "later").code == 5
