"""Exit codes of every subcommand, and the error that carries one. docs/cli.md lists them."""

from __future__ import annotations

from enum import IntEnum

from shared.errors import SplitbrainError


class Exit(IntEnum):
    """Why a command ended. A script may rely on these numbers."""

    OK = 0
    FAILED = 1
    USAGE = 2
    """Wrong options, settings or files."""
    UNREACHABLE = 3
    """Nothing answers at the address."""
    REFUSED = 4
    """The token, the origin or the input was refused; trying again changes nothing."""
    BUSY = 5
    """No free slot, or the server restarts; try again later."""
    CUT_OFF = 6
    """The conversation began and did not come to its end."""
    INTERRUPTED = 130


class CommandError(SplitbrainError):
    """Ends the command with a message on stderr and an exit code."""

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code
