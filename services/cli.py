"""The `splitbrain` command: picks the subcommand and turns errors into messages and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from services.command_line.exits import CommandError, Exit
from services.command_line.parser import build_parser
from services.command_line.roles import ROLES
from shared.errors import BadInput, ConfigError, SplitbrainError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code. Wrong options end with code 2."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments and arguments[0] in ROLES:
            from services.command_line import foreground

            return foreground.run(arguments[0], arguments[1:])
        return _run(arguments)
    except CommandError as error:
        return _tell(error, error.code)
    except (BadInput, ConfigError) as error:
        return _tell(error, Exit.USAGE)
    except SplitbrainError as error:
        return _tell(error, Exit.FAILED)
    except BrokenPipeError:
        # Whoever read our output is gone: no more of it, and no complaint at the interpreter's end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def _run(arguments: list[str]) -> int:
    options = build_parser().parse_args(arguments)
    try:
        command = importlib.import_module(f"services.command_line.{options.command}")
    except ModuleNotFoundError as error:
        raise CommandError(
            Exit.USAGE,
            f"`splitbrain {options.command}` needs the Python module {error.name}: pip install 'splitbrain[local]'",
        ) from error
    code: int = command.run(options)
    return int(code)


def _tell(error: Exception, code: int) -> int:
    sys.stderr.write(f"splitbrain: {error}\n")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
