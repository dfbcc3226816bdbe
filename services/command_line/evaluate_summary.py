"""What `splitbrain evaluate FOLDER` says at its end: counts, failures, how cards agree, means. Writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from services.command_line import console
from services.evaluator.replay.results import Results

SCORES: dict[str, Callable[[Mapping[str, Any]], float | None]] = {
    "overall": lambda card: card["totals"]["overall"],
    "reached": lambda card: card["totals"]["reached"],
    "coverage": lambda card: card["totals"]["coverage"],
    "structure": lambda card: card["structure"]["score"],
    "themes": lambda card: card["themes"]["score"],
    "attitudes": lambda card: card["attitudes"]["score"],
}
"""Scores of which means are told. What a card does not have is left out of its mean, and counted."""

AGREEMENT = {
    "equal": "equal to the recorded scorecard",
    "differs": "different from the recorded scorecard",
    "not_recorded": "without a recorded scorecard",
}


def summarise(
    results: Results, kept: Sequence[str], evaluated: Sequence[str], failed: Mapping[str, str]
) -> dict[str, Any]:
    """Return the summary as JSON-ready values, in camelCase. Reads each result."""
    there = sorted((*kept, *evaluated))
    sources = [source for each in there if (source := results.source(each)) is not None]
    cards = [results.card(each) for each in there]
    return {
        "recordings": len(there) + len(failed),
        "evaluated": len(evaluated),
        "kept": len(kept),
        "failed": [{"id": each, "reason": failed[each]} for each in sorted(failed)],
        "mediaS": sum(source.media_ms for source in sources) / 1000,
        "recorded": {name: sum(source.agreement == name for source in sources) for name in AGREEMENT},
        "means": {name: _mean(score(card) for card in cards) for name, score in SCORES.items()},
        "errors": dict(sorted(sum((Counter(card["errors"]) for card in cards), Counter()).items())),
    }


def _mean(values: Iterable[float | None]) -> dict[str, Any]:
    there = [value for value in values if value is not None]
    return {"mean": round(sum(there) / len(there), 4) if there else None, "n": len(there)}


def lines(whole: Mapping[str, Any], results: Results, seconds: float) -> list[str]:
    """Return the summary for people."""
    version = results.version
    parts = [
        f"{whole['recordings']} recordings: {whole['evaluated']} evaluated, {whole['kept']} already there, "
        f"{len(whole['failed'])} failed; {console.duration(whole['mediaS'])} of talk in {seconds:.1f} s",
        f"evaluator {version.evaluator_version}, knowledge {version.knowledge_hash[:12]}, detector {version.detector}",
    ]
    means = [
        (name, "-" if each["mean"] is None else f"{each['mean']:.2f}", str(each["n"]))
        for name, each in whole["means"].items()
    ]
    parts.append(console.table(("SCORE", "MEAN", "OF"), means))
    parts += [f"{n} {AGREEMENT[name]}" for name, n in whole["recorded"].items() if n]
    parts += [f"{each['id']}: {each['reason']}" for each in whole["failed"]]
    return [*parts, f"results in {results.folder}"]
