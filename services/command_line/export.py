"""`splitbrain export`: recordings as Parquet tables, or in the layout of Full-Duplex-Bench."""

from __future__ import annotations

import argparse
from pathlib import Path

from services.command_line import console
from services.command_line.chosen import Chosen, choose, needs_analyst
from services.command_line.exits import CommandError, Exit
from services.command_line.outputs import make_folder


def run(options: argparse.Namespace) -> Exit:
    """Export what is meant; 1 if a recording could not be read or gave nothing, 2 for wrong options."""
    chosen = choose(options.what, options.store)
    folder = Path(options.to)
    make_folder(folder, "--to")
    try:
        counts, silent = _tables(chosen, folder) if options.format == "parquet" else _samples(chosen, folder)
    except ModuleNotFoundError as error:
        raise needs_analyst(error) from error
    except OSError as error:
        raise CommandError(Exit.FAILED, f"{folder} cannot be written: {error.strerror or error}") from error
    for recording_id, why in [*chosen.bad, *((each, "has no sound to export") for each in silent)]:
        console.warn(f"{recording_id}: {why}")
    if options.json:
        bad = [{"id": recording_id, "reason": why} for recording_id, why in chosen.bad]
        console.say_json(
            {"folder": str(folder), "format": options.format, "counts": counts, "bad": bad, "silent": silent}
        )
    else:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        console.say(f"wrote {folder}/: {told or 'nothing'}")
    return Exit.FAILED if chosen.bad or silent else Exit.OK


def _tables(chosen: Chosen, folder: Path) -> tuple[dict[str, int], list[str]]:
    from services.evaluator.api import evaluate
    from services.evaluator.exporting.frames import write_parquet

    return write_parquet((evaluate(recording) for recording in chosen.read()), folder), []


def _samples(chosen: Chosen, folder: Path) -> tuple[dict[str, int], list[str]]:
    from services.evaluator.api import evaluate
    from services.evaluator.exporting.duplex_files import write_samples

    return write_samples((evaluate(recording) for recording in chosen.read()), folder)
