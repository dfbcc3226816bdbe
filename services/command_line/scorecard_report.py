"""A scorecard as lines of text for a terminal. Pure; reads the card as clients get it (docs/protocol.md)."""

from __future__ import annotations

from typing import Any


def scorecard_lines(card: dict[str, Any]) -> list[str]:
    """Return the lines; what is not available is said with its reason, never shown as 0."""
    lines = [f"evaluator {card['evaluator_version']}, knowledge {card['knowledge_hash'][:12]}"]
    lines += [_metric(metric) for metric in card["metrics"] if metric["value"] is not None]
    lines += [_turn(turn) for turn in card["turns"]]
    for phase in card["phases"]:
        score = "not reached" if phase["score"] is None else f"{phase['score']:.0f}"
        missing = f" (still missing: {', '.join(phase['missing'])})" if phase["missing"] else ""
        lines.append(f"  phase {phase['phase']}: {score}{missing}")
    totals = card["totals"]
    if totals["overall"] is not None:
        lines.append(f"  overall {totals['overall']:.0f}; over the phases reached {totals['reached']:.0f}")
    absent = [metric["name"] for metric in card["metrics"] if metric["value"] is None]
    if absent:
        lines.append(f"  not available: {', '.join(absent)}")
    return [*lines, f"  {card['notice'].get(card['session']['language'], card['notice']['en'])}"]


def _metric(metric: dict[str, Any]) -> str:
    band = f" [{metric['band']}]" if metric["band"] else ""
    return f"  {metric['name'].replace('_', ' ')}: {metric['value']:g} {metric['unit']}{band}".rstrip()


def _turn(turn: dict[str, Any]) -> str:
    techniques = ", ".join(turn["techniques"]) or "no technique"
    errors = f"; {', '.join(turn['errors'])}" if turn["errors"] else ""
    evidence = f' "{turn["evidence"]}"' if turn["evidence"] else ""
    return f"  {turn['turn']}: {techniques}, {turn['quality'] or 'not scored'}{errors}{evidence}"
