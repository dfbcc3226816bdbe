"""The scorecard of a session: its form, its canonical bytes, its notice. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.evaluator.scoring import TurnVerdict
from services.evaluator.timeline import Timeline
from services.evaluator.totals import attitudes, gate, overall, phase_scores, rounded, structure, themes
from shared.coaching.knowledge import Knowledge
from shared.events import MetricValue

SCHEMA = "splitbrain.scorecard/1"

EVALUATOR_VERSION = "1.2.0"
"""Raised with every change that may change a figure: same recording and same version, same bytes."""

MAX_TURN_ENTRIES = 400
"""Turns listed one by one, so that the card fits one stream entry; all turns count in the totals."""

NOTICE = {
    "en": (
        "Automated scores are coaching hints. They are not meant for decisions about employment, grading or "
        "certification, and no emotion is part of them."
    ),
    "nl": (
        "Automatische scores zijn aanwijzingen om van te leren. Ze zijn niet bedoeld voor beslissingen over werk, "
        "beoordeling of certificering, en er zit geen emotie in."
    ),
}

NOT_AVAILABLE = (
    "impact score: benefits and pains of the customer are not tracked",
    "pause and pace after an objection: not measured yet",
)


@dataclass(frozen=True, slots=True)
class Scorecard:
    """A scorecard as JSON-ready values."""

    data: dict[str, Any]

    def to_bytes(self) -> bytes:
        """Return the canonical JSON."""
        return canonical_json(self.data)


def canonical_json(value: object) -> bytes:
    """Return UTF-8 JSON with sorted keys and no spaces. NaN and infinity raise ValueError: they are no figures."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


@dataclass(frozen=True, slots=True)
class Basis:
    """What a card rests on, beside the timeline: the method, the judge, and what the talk had come to."""

    knowledge: Knowledge
    detector_version: str
    is_committed: bool
    is_coached: bool
    end_reason: str | None


def build_scorecard(
    timeline: Timeline,
    verdicts: Sequence[TurnVerdict],
    metrics: Sequence[MetricValue],
    basis: Basis,
    notes: Sequence[str],
) -> Scorecard:
    """Return the scorecard of a session."""
    knowledge = basis.knowledge
    phases = phase_scores(verdicts, knowledge)
    explored = themes(verdicts, knowledge)
    listed = [verdict_entry(verdict) for verdict in verdicts[:MAX_TURN_ENTRIES]]
    more = (
        [f"{len(verdicts) - len(listed)} later turns are counted but not listed"] if len(verdicts) > len(listed) else []
    )
    return Scorecard(
        {
            "schema": SCHEMA,
            "evaluator_version": EVALUATOR_VERSION,
            "knowledge_version": knowledge.version,
            "knowledge_hash": knowledge.knowledge_hash,
            "detector": basis.detector_version,
            "session": _session(timeline, basis),
            "metrics": [metric_entry(metric) for metric in metrics],
            "turns": listed,
            "phases": phases,
            "themes": explored,
            "attitudes": attitudes(verdicts),
            "gate": gate(verdicts, basis.is_committed),
            "structure": structure(verdicts, phases, explored["score"]),
            "errors": dict(Counter(code for verdict in verdicts for code in verdict.errors)),
            "totals": overall(phases),
            "notes": [*notes, *more, *NOT_AVAILABLE, *_metric_notes(metrics)],
            "notice": NOTICE,
        }
    )


def metric_entry(metric: MetricValue) -> dict[str, Any]:
    """Return a metric as it stands in the card."""
    return {
        "name": metric.name,
        "value": metric.value,
        "unit": metric.unit,
        "band": metric.band,
        "note": metric.note,
    }


def verdict_entry(verdict: TurnVerdict) -> dict[str, Any]:
    """Return a turn's verdict as it stands in the card."""
    return {
        "turn": verdict.turn,
        "start_ms": verdict.start_ms,
        "end_ms": verdict.end_ms,
        "techniques": list(verdict.techniques),
        "quality": verdict.quality,
        "phase": verdict.phase,
        "errors": list(verdict.errors),
        "evidence": verdict.evidence,
        "attitude": verdict.attitude,
        "expected": list(verdict.expected),
        "is_handled": verdict.is_handled,
        "is_scored": verdict.is_scored,
        "is_final": verdict.is_final,
    }


def _session(timeline: Timeline, basis: Basis) -> dict[str, Any]:
    return {
        "language": timeline.language,
        "locale": timeline.locale,
        "end_reason": basis.end_reason,
        "hugo_is": "coach" if basis.is_coached else "customer",
        "talk_s": rounded(timeline.span.length_ms / 1000),
        "user_turns": len(timeline.turns_of("user")),
        "hugo_turns": len(timeline.turns_of("hugo")),
        "user_words": timeline.user_words,
    }


def _metric_notes(metrics: Sequence[MetricValue]) -> list[str]:
    return [f"{metric.name}: {metric.note}" for metric in metrics if metric.value is None]
