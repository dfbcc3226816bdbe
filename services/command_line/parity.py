"""`splitbrain check personaplex --parity CASE`: does this torch, driver and moshi give the tokens of the original?

In float32 every token must be equal. Half precision rounds, so there the text logits are compared by a tolerance.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from services.command_line import console
from services.command_line.exits import CommandError, Exit
from shared.errors import BadInput

NAME = "personaplex"


def run(options: argparse.Namespace) -> Exit:
    """Run the case: 0 if all rows are equal (or logits within the tolerance), 1 if not, 2 if it is no case."""
    if options.services != [NAME] or not options.parity:
        raise CommandError(Exit.USAGE, f"`splitbrain check {NAME}` and --parity CASE go together")
    try:
        from services.voice_worker.engines.personaplex.model import parity
    except ModuleNotFoundError as error:
        raise CommandError(
            Exit.USAGE, f"the Python module {error.name} is missing: install splitbrain[personaplex]"
        ) from error
    device, dtype = parity.settle(options.device, options.dtype or "")
    name = str(dtype).removeprefix("torch.")
    try:
        case = parity.read_case(Path(options.parity))
        if name == "float32":
            return _tokens(case.name, parity.run_case(case, options.batch, device=device), options, device)
        return _logits(case.name, parity.compare_logits(case, device, dtype), options, device, name)
    except BadInput as error:
        raise CommandError(Exit.USAGE, str(error)) from error
    except RuntimeError as error:  # torch: no such device, no memory
        raise CommandError(Exit.FAILED, f"the case does not run on {device}: {' '.join(str(error).split())}") from error


def _tokens(name: str, verdict: Any, options: argparse.Namespace, device: str) -> Exit:
    passed = verdict.equal == verdict.total
    if options.json:
        console.say_json(
            {
                "case": name,
                "device": device,
                "batch": options.batch,
                "equal": verdict.equal,
                "total": verdict.total,
                "firstWrong": verdict.first_wrong,
                "ok": passed,
            }
        )
    else:
        where = "alone" if options.batch == 1 else f"in slot 2 of a running batch of {options.batch}"
        console.say(f"{name}, float32 on {device}, {where}")
        console.say(f"equal {verdict.equal}/{verdict.total}")
        if not passed:
            console.warn(f"the first wrong frame is {verdict.first_wrong}: do not serve with this torch and driver")
    return Exit.OK if passed else Exit.FAILED


def _logits(name: str, verdict: Any, options: argparse.Namespace, device: str, dtype: str) -> Exit:
    if options.json:
        console.say_json(
            {
                "case": name,
                "device": device,
                "dtype": dtype,
                "medianError": verdict.median_error,
                "largestError": verdict.largest_error,
                "tolerance": verdict.tolerance,
                "ok": verdict.within,
            }
        )
    else:
        console.say(f"{name}, {dtype} on {device}: tokens are not compared, rounding changes some; logits are")
        console.say(
            f"{'within' if verdict.within else 'BEYOND'} the tolerance: median error {verdict.median_error:.3f} of a"
            f" standard deviation (at most {verdict.tolerance}), largest {verdict.largest_error:.3f},"
            f" {verdict.n_rows} rows against float32 on the CPU"
        )
    return Exit.OK if verdict.within else Exit.FAILED
