"""What a page about many recordings keeps of each one: figures, scores, best qualities, errors. Pure and small."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, get_args

from services.evaluator.exporting.tables import scores_of
from services.evaluator.report.data import SessionView
from services.evaluator.totals import POINTS
from shared.coaching.knowledge import Quality
from shared.events import Language

By = Literal["engine", "language", "locale", "source"]
WAYS: tuple[By, ...] = get_args(By)


@dataclass(frozen=True, slots=True)
class Summary:
    """One recording of many. `values`: metrics and scores by name, those that are available.

    `imported_from` is the first file of a call that was recorded elsewhere, "" for a session.
    """

    id: str
    started_wall_ms: int
    length_ms: int
    engine: str
    language: Language
    locale: str
    source: str
    n_turns: int
    has_sound: bool
    evaluator_version: str
    knowledge_version: str
    detector: str
    imported_from: str = ""
    values: dict[str, float] = field(default_factory=dict)
    qualities: dict[str, Quality] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)

    def group(self, by: By) -> str:
        """Return the group that it belongs to, "" where that is not known."""
        return str(getattr(self, by))


def summary_of(view: SessionView) -> Summary:
    """Return what is kept of a recording."""
    manifest, card = view.recording.manifest, view.card
    values = {metric["name"]: metric["value"] for metric in card["metrics"]} | scores_of(card)
    qualities: dict[str, Quality] = {}
    for each in view.turns:
        verdict = each.verdict
        if verdict is None or not verdict.is_scored or verdict.quality is None:
            continue
        for item in verdict.techniques:
            if item not in qualities or POINTS[verdict.quality] > POINTS[qualities[item]]:
                qualities[item] = verdict.quality
    return Summary(
        id=manifest.id,
        started_wall_ms=manifest.clocks.started_wall_ms,
        length_ms=view.length_ms,
        engine=manifest.engine,
        language=manifest.language,
        locale=manifest.locale,
        source=manifest.source,
        n_turns=len(view.turns),
        has_sound=view.has_sound,
        evaluator_version=card["evaluator_version"],
        knowledge_version=card["knowledge_version"],
        detector=card["detector"],
        imported_from=next(iter(manifest.imported_from), ""),
        values={name: float(value) for name, value in values.items() if value is not None},
        qualities=qualities,
        errors=dict(Counter(card["errors"])),
    )
