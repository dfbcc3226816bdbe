"""Where a command will write, looked at before its work begins: a wrong path must not cost a whole call."""

from __future__ import annotations

import os
from pathlib import Path

from services.command_line.exits import CommandError, Exit


def check_file(path: Path, option: str = "--out") -> None:
    """Raise CommandError (2) that names the option if no file can be written there."""
    if path.is_dir():
        raise _wrong(option, f"{path} is a folder: name a file")
    if not path.parent.is_dir():
        raise _wrong(option, f"there is no folder {path.parent}: make it first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise _wrong(option, f"{path} cannot be written")


def make_folder(path: Path, option: str = "--out") -> None:
    """Make the folder where it is not there. Raises CommandError (2) that names the option if there can be none."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise _wrong(option, f"{path} is a file: name a folder") from None
    except OSError as error:
        raise _wrong(option, f"the folder {path} cannot be made: {error.strerror or error}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise _wrong(option, f"nothing can be written into {path}")


def _wrong(option: str, why: str) -> CommandError:
    return CommandError(Exit.USAGE, f"{option}: {why}")
