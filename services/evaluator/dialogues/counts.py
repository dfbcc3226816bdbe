"""What one dialogue adds to the figures of its language, and the figures of many such counts together. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from services.evaluator.dialogues.agreement import SetCounts, parent, phase, weighted_kappa
from services.evaluator.dialogues.reading import Labels
from services.evaluator.dialogues.replay import JudgedDialogue
from shared.coaching.detection import Detection
from shared.coaching.knowledge import Knowledge, Quality

LEVELS = ("leaf", "parent", "phase")


@dataclass(slots=True)
class Counts:
    """Counts over labelled turns; `merge` adds those of another dialogue."""

    techniques: dict[str, SetCounts] = field(default_factory=lambda: {level: SetCounts() for level in LEVELS})
    errors: SetCounts = field(default_factory=SetCounts)
    attitudes: SetCounts = field(default_factory=SetCounts)
    grades: list[tuple[Quality, Quality]] = field(default_factory=list)
    n_attitudes: int = 0
    n_attitudes_right: int = 0
    n_turns: int = 0
    n_phases: int = 0
    n_phases_right: int = 0
    n_spoken: int = 0
    n_spoken_right: int = 0
    n_gates: int = 0
    n_gates_right: int = 0

    def merge(self, other: Counts) -> None:
        """Take in another dialogue's counts."""
        for level in LEVELS:
            self.techniques[level].merge(other.techniques[level])
        self.errors.merge(other.errors)
        self.attitudes.merge(other.attitudes)
        self.grades += other.grades
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


_NUMBERS = tuple(name for name in Counts.__dataclass_fields__ if name.startswith("n_"))


def count(judged: JudgedDialogue, knowledge: Knowledge) -> Counts:
    """Return what a dialogue's labels and predictions count for."""
    counts = Counts()
    for number, turn in enumerate(judged.dialogue.turns):
        if turn.speaker == "seller" and turn.labels is not None:
            _count_seller(counts, turn.labels, judged.seen[number], knowledge)
        elif turn.has_attitude_label:
            found = judged.attitudes[number]
            counts.n_attitudes += 1
            counts.n_attitudes_right += found == turn.attitude
            counts.attitudes.add([turn.attitude] if turn.attitude else [], [found] if found else [])
    outcome = judged.dialogue.session
    if outcome is not None and outcome.commitment is not None:
        counts.n_gates += 1
        counts.n_gates_right += outcome.commitment == judged.is_committed
    return counts


def _count_seller(counts: Counts, labels: Labels, found: Detection, knowledge: Knowledge) -> None:
    counts.n_spoken += 1
    counts.n_spoken_right += labels.scored == found.scored
    if not labels.scored:
        return
    counts.n_turns += 1
    counts.techniques["leaf"].add(labels.techniques, found.techniques, labels.alt_techniques)
    maps: dict[str, Callable[[str], str]] = {"parent": lambda item: parent(item, knowledge), "phase": phase}
    for level, up in maps.items():
        gold, seen, also = (
            {up(item) for item in ids} for ids in (labels.techniques, found.techniques, labels.alt_techniques)
        )
        counts.techniques[level].add(gold, seen, also - gold)
    counts.errors.add(labels.errors, found.errors)
    if labels.phase is not None:
        counts.n_phases += 1
        counts.n_phases_right += labels.phase == found.phase
    if labels.quality is not None:
        counts.grades.append((labels.quality, found.quality or "missed"))


def total(parts: Iterable[Counts]) -> Counts:
    """Return the sum of counts."""
    counts = Counts()
    for part in parts:
        counts.merge(part)
    return counts


def figures(counts: Counts) -> dict[str, Any]:
    """Return the figures of some counts; None where nothing was labelled.

    `quality`: a scored turn in which nothing was recognised counts as missed, as it does in the session scores.
    """
    right = sum(label == found for label, found in counts.grades)
    return {
        "techniques": {level: _both(counts.techniques[level]) for level in LEVELS},
        "quality": {
            "weighted_kappa": weighted_kappa(counts.grades),
            "accuracy": _share(right, len(counts.grades)),
        },
        "errors": _both(counts.errors),
        "attitudes": {"accuracy": _share(counts.n_attitudes_right, counts.n_attitudes), **_both(counts.attitudes)},
        "phase": {"accuracy": _share(counts.n_phases_right, counts.n_phases)},
        "to_coach": {"accuracy": _share(counts.n_spoken_right, counts.n_spoken)},
        "gate": {"accuracy": _share(counts.n_gates_right, counts.n_gates)},
    }


def _both(sets: SetCounts) -> dict[str, dict[str, float | None]]:
    return {"micro": sets.micro, "macro": sets.macro}


def _share(right: int, n: int) -> float | None:
    return right / n if n else None
