"""`splitbrain compare`: what changed between two evaluations of the same recordings; a gate for CI by its exit code."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.command_line import console
from services.command_line.exits import Exit
from services.evaluator.comparing.drift import Drift
from services.evaluator.comparing.flips import Flip
from services.evaluator.comparing.report import Comparison, Gates, compare, judges
from services.evaluator.replay.results import Run, read_run

SHOWN_FLIPS = 50
"""Flips that are shown to people; --json has all."""

SHOWN_IDS = 10

DRIFT_HEADS = ("FIGURE", "BEFORE", "AFTER", "CHANGE", "95 %", "OF", "FURTHEST")


def run(options: argparse.Namespace) -> Exit:
    """Run the subcommand: 1 if a gate does not let the change pass, 2 if a run cannot be read."""
    before, after = read_run(Path(options.run_a)), read_run(Path(options.run_b))
    found = compare(before.cards, after.cards)
    failed = found.failed_gates(Gates(options.max_flips, options.max_drift))
    if options.json:
        runs = {"a": about(before), "b": about(after)}
        console.say_json({"runs": runs, **found.to_json(), "failedGates": failed})
    else:
        console.say("\n".join(describe(before, after, found)))
        for why in failed:
            console.warn(f"gate: {why}")
    return Exit.FAILED if failed else Exit.OK


def about(one: Run) -> dict[str, Any]:
    """Return what a run rests on."""
    return {"name": one.name, "recordings": len(one.cards), "judges": judges(one.cards), **one.version}


def describe(before: Run, after: Run, found: Comparison) -> list[str]:
    """Return the comparison for people: the versions, what moved, and each flip with its evidence."""
    parts = [_run_line("A", before), _run_line("B", after)]
    parts.append(
        f"{len(found.recordings)} recordings in both, {found.n_flipped} of {found.n_turns} turns judged otherwise "
        f"({found.flip_share:.2%})"
    )
    for name, ids in (("A", found.only_in_a), ("B", found.only_in_b)):
        if ids:
            more = f" and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else ""
            parts.append(f"only in {name}: {', '.join(ids[:SHOWN_IDS])}{more}")
    moved = [drift_row(drift) for drift in found.drifts if not drift.is_still]
    parts += ["", console.table(DRIFT_HEADS, moved) if moved else "no score and no metric moved"]
    if found.flips:
        parts.append("")
        parts += [line for flip in found.flips[:SHOWN_FLIPS] for line in flip_lines(flip)]
        if len(found.flips) > SHOWN_FLIPS:
            parts.append(f"{len(found.flips) - SHOWN_FLIPS} more flips: --json has all")
    return parts


def _run_line(letter: str, one: Run) -> str:
    version: Mapping[str, Any] = one.version
    by = ", ".join(f"{who} ({n})" for who, n in judges(one.cards).items()) or "nobody"
    return (
        f"{letter}: {len(one.cards)} recordings, evaluator {version.get('evaluator_version')}, knowledge "
        f"{str(version.get('knowledge_hash'))[:12]}, detector {version.get('detector')}, judged by {by}"
    )


def drift_row(drift: Drift) -> tuple[str, ...]:
    """Return a figure's row; what only one run has is told in the last column."""
    spans = "-" if drift.low is None or drift.high is None else f"{drift.low:+.2f} to {drift.high:+.2f}"
    told = [f"{drift.furthest:+.2f} in {drift.furthest_in}"] if drift.furthest else []
    told += [f"{len(ids)} {word}" for word, ids in (("gained it", drift.gained), ("lost it", drift.lost)) if ids]
    numbers = (_number(drift.before), _number(drift.after), _number(drift.change, "+"))
    return (drift.name, *numbers, spans, str(drift.n), ", ".join(told))


def flip_lines(flip: Flip) -> list[str]:
    """Return a flip: what changed, and the words that it rests on before and after."""
    at_s = flip.start_ms / 1000
    lines = [
        f"{flip.recording} {flip.turn} at {at_s:.1f} s: {flip.field} {_value(flip.before)} -> {_value(flip.after)}"
    ]
    if flip.evidence_before == flip.evidence_after:
        return [*lines, f'  "{flip.evidence_before}"'] if flip.evidence_before else lines
    return [*lines, f"  A {_quoted(flip.evidence_before)}", f"  B {_quoted(flip.evidence_after)}"]


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.2f}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _quoted(evidence: str | None) -> str:
    return "no verdict" if evidence is None else f'"{evidence}"'
