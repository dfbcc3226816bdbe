"""`splitbrain edge|voice|coach|evaluator`: runs that service in this process, as `python -m` would."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence

from services.command_line.exits import Exit
from services.command_line.roles import ROLES, missing_extra


def run(name: str, arguments: Sequence[str]) -> int:
    """Run the service with its own arguments and return its exit code. CommandError if its extra is missing."""
    role = ROLES[name]
    sys.argv = [f"splitbrain {name}", *arguments]
    try:
        runpy.run_module(role.module, run_name="__main__")
    except ModuleNotFoundError as error:
        raise missing_extra(role, error) from error
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return Exit.OK
