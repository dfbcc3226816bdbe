"""Session totals from the verdicts: phase scores, themes, structure, attitudes, gate. Pure.

Formulas follow the source method (docs/evaluation.md gives each); what a session does not hold gets None
with a note, except where the source says that leaving it out is itself the fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from services.evaluator.scoring import COMMITMENT, TurnVerdict
from shared.coaching.knowledge import Knowledge, Quality, id_key

POINTS: dict[Quality, int] = {"ok": 10, "partial": 4, "missed": 0}
"""Points of a technique. The source grades 10/7/4/0 (perfect, good, nearly, missed); ok is its upper two."""

KEY_TECHNIQUES: dict[int, tuple[str, ...]] = {
    1: ("1.1", "1.2", "1.3", "1.4"),
    2: ("2.1", "2.2", "2.3", "2.4"),
    3: ("3.1", "3.2", "3.3", "3.5"),
    4: ("4.1", "4.2", "4.3"),
}
PHASE_WEIGHTS: dict[int, float] = {1: 0.15, 2: 0.40, 3: 0.25, 4: 0.20}
ATTITUDE_WEIGHTS: dict[int, float] = {2: 0.3, 3: 0.4, 4: 0.3}
EPIC_STEPS = ("2.1", "2.2", "2.3", "2.4")


def phase_scores(verdicts: Sequence[TurnVerdict], knowledge: Knowledge) -> list[dict[str, Any]]:
    """Return one entry per phase 1-4.

    Formula: 100 x sum of the best points per technique / (10 x max(number of key techniques, number found)).
    Techniques count as their key technique where they lie below one (2.1.1.6 as 2.1).
    """
    return [_phase_score(phase, verdicts, knowledge) for phase in KEY_TECHNIQUES]


def _phase_score(phase: int, verdicts: Sequence[TurnVerdict], knowledge: Knowledge) -> dict[str, Any]:
    keys = KEY_TECHNIQUES[phase]
    best: dict[str, Quality] = {}
    for verdict in _scored(verdicts):
        for item in verdict.techniques:
            if knowledge.technique(item).phase != phase or verdict.quality is None:
                continue
            key = next((key for key in keys if knowledge.is_within(item, key)), item)
            if key not in best or POINTS[verdict.quality] > POINTS[best[key]]:
                best[key] = verdict.quality
    is_reached = bool(best) or any(verdict.phase == phase for verdict in _scored(verdicts))
    score = 100 * sum(POINTS[quality] for quality in best.values()) / (10 * max(len(keys), len(best)))
    return {
        "phase": phase,
        "score": rounded(score) if is_reached else None,
        "best": {key: best[key] for key in sorted(best, key=id_key)},
        "missing": [key for key in keys if key not in best] if is_reached else [],
        "note": "" if is_reached else "no scored turn in this phase",
    }


def themes(verdicts: Sequence[TurnVerdict], knowledge: Knowledge) -> dict[str, Any]:
    """Return the Explore themes asked about. Formula: 100 x themes touched / themes of the method (eight)."""
    shown = {item for verdict in _scored(verdicts) if verdict.quality != "missed" for item in verdict.techniques}
    touched = [theme for theme, technique_id in knowledge.themes.items() if technique_id in shown]
    return {
        "touched": touched,
        "missing": [theme for theme in knowledge.themes if theme not in touched],
        "score": rounded(100 * len(touched) / len(knowledge.themes)) if _scored(verdicts) else None,
    }


def attitudes(verdicts: Sequence[TurnVerdict]) -> dict[str, Any]:
    """Return how the customer's attitudes were met.

    Formula: share of attitudes answered by a technique that they call for (or a child of it), weighted 0.3
    phase 2, 0.4 phase 3, 0.3 phase 4 over the phases in which there was one.
    """
    shown = Counter(verdict.phase for verdict in verdicts if verdict.is_handled is not None)
    met = Counter(verdict.phase for verdict in verdicts if verdict.is_handled)
    there = {phase: weight for phase, weight in ATTITUDE_WEIGHTS.items() if shown[phase]}
    score = None
    if there:
        total = sum(weight * met[phase] / shown[phase] for phase, weight in there.items())
        score = rounded(100 * total / sum(there.values()))
    return {
        "shown": sum(shown.values()),
        "handled": sum(met.values()),
        "score": score,
        "note": "" if there else "no attitude of the customer in phases 2 to 4",
    }


def flow_score(verdicts: Sequence[TurnVerdict]) -> float | None:
    """Return how well the order of phases was kept, 0-100.

    Formula: 100, -40 without phase 2, -15 without phase 1, -10 for each phase skipped on the way forward, +5 for
    each swing back from 3 to 2 (at most +15). Skipped are those between two phases, and those below the first one
    that the talk comes to later: who begins in the middle has skipped nothing, who begins with the end has.
    """
    order = [verdict.phase for verdict in _scored(verdicts) if verdict.phase]
    if not order:
        return None
    score = 100 - (40 if 2 not in order else 0) - (15 if 1 not in order else 0)
    score -= 10 * len({phase for phase in order if phase < order[0]})
    swings, highest = 0, order[0]
    for place, (before, after) in enumerate(pairwise(order), start=1):
        swings += before == 3 and after == 2 and 2 in order[:place]
        score -= 10 * max(0, after - max(highest, before) - 1)
        highest = max(highest, after)
    return rounded(min(100, max(0, score + min(15, 5 * swings))))


def structure(verdicts: Sequence[TurnVerdict], phases: list[dict[str, Any]], explored: float | None) -> dict[str, Any]:
    """Return the structure score. Formula: 0.30 flow + 0.25 explore + 0.20 opening + 0.25 EPIC steps done."""
    flow = flow_score(verdicts)
    if flow is None:
        return {"score": None, "flow": None, "epic_steps": [], "note": "no phase was recognised"}
    best = phases[1]["best"]
    steps = [step for step in EPIC_STEPS if best.get(step) in {"ok", "partial"}]
    opening = phases[0]["score"] or 0.0
    score = 0.30 * flow + 0.25 * (explored or 0.0) + 0.20 * opening + 0.25 * 100 * len(steps) / len(EPIC_STEPS)
    return {"score": rounded(score), "flow": flow, "epic_steps": steps, "note": ""}


def overall(phases: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the technique totals.

    `overall` is the source's formula: 0.15, 0.40, 0.25, 0.20 of the phase scores, a phase that was not reached
    counts 0. `reached` is the same over the phases reached only, and `coverage` the weight of those: for
    practice that begins or ends in the middle of a talk.
    """
    there = [item for item in phases if item["score"] is not None]
    if not there:
        return {"overall": None, "reached": None, "coverage": 0.0, "note": "no turn could be scored"}
    total = sum(PHASE_WEIGHTS[item["phase"]] * item["score"] for item in there)
    weight = sum(PHASE_WEIGHTS[item["phase"]] for item in there)
    return {"overall": rounded(total), "reached": rounded(total / weight), "coverage": rounded(weight), "note": ""}


def gate(verdicts: Sequence[TurnVerdict], is_committed: bool) -> dict[str, Any]:
    """Return whether a commitment was asked for, given, and waited for before phase 3."""
    asked = any(COMMITMENT in verdict.techniques and verdict.quality != "missed" for verdict in _scored(verdicts))
    early = [verdict.turn for verdict in verdicts if "no_commitment_before_phase3" in verdict.errors]
    return {"asked": asked, "committed": is_committed, "passed_early": early}


def rounded(value: float) -> float:
    """Round as every figure of the scorecard is rounded: four decimals, no negative zero."""
    return round(float(value), 4) + 0.0


def _scored(verdicts: Sequence[TurnVerdict]) -> list[TurnVerdict]:
    return [verdict for verdict in verdicts if verdict.is_scored]
