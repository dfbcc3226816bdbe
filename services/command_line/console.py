"""Text for people: tables, durations and one status line that is rewritten in place. Decides nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, TextIO


def say(text: str) -> None:
    """Write a line to stdout at once: a reader of a pipe sees it when it happens."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say_json(value: Any) -> None:
    """Write one JSON object as one line."""
    say(json.dumps(value, ensure_ascii=False))


def warn(text: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a text table: columns as wide as their longest cell, two blanks between, the last one ragged."""
    lines = [list(heads), *[list(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def duration(seconds: float) -> str:
    """Return a short duration: 12s, 3m05s, 2h07m, 4d03h."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if days:
        return f"{days}d{hours % 24:02d}h"
    if hours:
        return f"{hours}h{minutes % 60:02d}m"
    return f"{minutes}m{whole % 60:02d}s" if minutes else f"{whole}s"


class StatusLine:
    """One line on a terminal that is rewritten; on anything else each new text is a line of its own."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._shown = ""

    def show(self, text: str) -> None:
        """Show `text`; nothing happens if it is shown already."""
        if text == self._shown:
            return
        self._shown = text
        self._stream.write(f"\r\x1b[2K{text}" if self._live else f"{text}\n")
        self._stream.flush()

    def line(self, text: str) -> None:
        """Write a line of its own above the status."""
        if self._live and self._shown:
            self._stream.write(f"\r\x1b[2K{text}\n{self._shown}")
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Remove the status from the terminal."""
        if self._live and self._shown:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()
        self._shown = ""
