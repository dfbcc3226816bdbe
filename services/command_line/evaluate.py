"""`splitbrain evaluate`: scores written dialogues, and compares with their labels where they have some.

A folder of recordings is `evaluate_folder`'s.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.command_line import console
from services.command_line.exits import CommandError, Exit
from services.evaluator.dialogues.reading import read_dialogues
from services.evaluator.dialogues.report import evaluate_dialogues
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge

MAX_BYTES = 200_000_000

HEADS = ("", "micro P", "micro R", "micro F1", "95 %", "macro F1", "95 %")
SETS = (
    ("techniques, leaf", ("techniques", "leaf")),
    ("techniques, parent", ("techniques", "parent")),
    ("techniques, phase", ("techniques", "phase")),
    ("error codes", ("errors",)),
    ("attitudes", ("attitudes",)),
)
SINGLE = (
    ("quality, weighted kappa", ("quality", "weighted_kappa")),
    ("quality, accuracy", ("quality", "accuracy")),
    ("attitude, accuracy", ("attitudes", "accuracy")),
    ("phase of the turn, accuracy", ("phase", "accuracy")),
    ("talk to the coach told apart", ("to_coach", "accuracy")),
    ("gate open at the end, accuracy", ("gate", "accuracy")),
)


def run(options: argparse.Namespace) -> Exit:
    """Run the subcommand. A file that cannot be read ends it with code 2 and the lines that are wrong."""
    if options.folder is not None:
        from services.command_line import evaluate_folder

        return evaluate_folder.run(options)
    report = evaluate_dialogues(
        read_dialogues(_read(Path(options.dialogues)), options.dialogues), default_detector(), load_knowledge()
    )
    if options.json:
        console.say_json(report)
    else:
        console.say(describe(report))
    return Exit.OK


def describe(report: Mapping[str, Any]) -> str:
    """Return the report for people: each dialogue in a line, then the figures of each language."""
    dialogues = [_line(one) for one in report["dialogues"]]
    parts = [
        f"detector {report['detector']}",
        console.table(("DIALOGUE", "TURNS", "TECHNIQUES", "OVERALL", "REACHED", "GATE"), dialogues),
    ]
    for language, figures in report["languages"].items():
        parts += ["", f"{language}: {figures['turns']} scored turns of {figures['dialogues']} dialogues"]
        parts.append(console.table(HEADS, [_set_row(name, path, figures) for name, path in SETS]))
        singles = [(name, _text(_at(figures, path)), _text(_at(figures["intervals"], path))) for name, path in SINGLE]
        parts.append(console.table(("", "", "95 %"), singles))
    if not report["languages"]:
        parts += ["", "the dialogues carry no labels: predictions only (--json shows each turn)"]
    return "\n".join([*parts, *report["notes"]])


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CommandError(Exit.USAGE, f"{path} is larger than {MAX_BYTES // 1_000_000} MB")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(Exit.USAGE, f"{path} is not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise CommandError(Exit.USAGE, f"{path} cannot be read: {error.strerror or error}") from error


def _line(one: Mapping[str, Any]) -> tuple[str, ...]:
    session = one["session"]
    judged = [turn for turn in one["turns"] if turn.get("scored")]
    return (
        one["id"],
        str(len(judged)),
        str(sum(len(turn["techniques"]) for turn in judged)),
        _text(session["totals"]["overall"]),
        _text(session["totals"]["reached"]),
        "open" if session["gate"]["committed"] else "shut",
    )


def _set_row(name: str, path: Sequence[str], figures: Mapping[str, Any]) -> tuple[str, ...]:
    sets, spans = _at(figures, path), _at(figures["intervals"], path)
    micro = [_text(sets["micro"][key]) for key in ("precision", "recall", "f1")]
    return (name, *micro, _text(spans["micro"]["f1"]), _text(sets["macro"]["f1"]), _text(spans["macro"]["f1"]))


def _at(value: Mapping[str, Any], path: Sequence[str]) -> Any:
    for step in path:
        value = value[step]
    return value


def _text(value: float | Sequence[float] | None) -> str:
    match value:
        case None:
            return "-"
        case int() | float():
            return f"{value:.2f}"
        case _:
            return f"{value[0]:.2f}-{value[1]:.2f}"
