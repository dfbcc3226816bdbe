"""Counts and figures of agreement between labels and predictions: sets of ids, grades, classes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from shared.coaching.knowledge import Knowledge, Quality

GRADES: tuple[Quality, ...] = ("missed", "partial", "ok")


@dataclass(slots=True)
class SetCounts:
    """Hits, false finds and misses for each id."""

    hit: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)

    def add(self, labels: Iterable[str], found: Iterable[str], also_right: Iterable[str] = ()) -> None:
        """Count one turn.

        An id that is found and labelled is a hit. Of the rest, a find among `also_right` stands for one label
        that was not found (a hit of that label, in the order of ids); where no label is left it counts neither
        way. Everything else found is false, every label left is missed.
        """
        gold, seen = set(labels), set(found)
        self.hit.update(gold & seen)
        left, extra = sorted(gold - seen), sorted(seen - gold)
        for item in extra:
            if item not in set(also_right):
                self.false[item] += 1
            elif left:
                self.hit[left.pop(0)] += 1
        self.missed.update(left)

    def merge(self, other: SetCounts) -> None:
        """Take in the counts of another part of the data."""
        self.hit.update(other.hit)
        self.false.update(other.false)
        self.missed.update(other.missed)

    @property
    def micro(self) -> dict[str, float | None]:
        """Precision, recall and F1 over all ids together; None where nothing is there to divide by."""
        return _figures(self.hit.total(), self.false.total(), self.missed.total())

    @property
    def macro(self) -> dict[str, float | None]:
        """The mean over the ids that were labelled or found at least once; an undefined share counts as 0."""
        ids = [item for item in {*self.hit, *self.false, *self.missed} if self._n(item)]
        if not ids:
            return _figures(0, 0, 0)
        each = [_figures(self.hit[item], self.false[item], self.missed[item]) for item in sorted(ids)]
        return {name: sum(one[name] or 0.0 for one in each) / len(each) for name in ("precision", "recall", "f1")}

    def _n(self, item: str) -> int:
        return self.hit[item] + self.false[item] + self.missed[item]


def _figures(hit: int, false: int, missed: int) -> dict[str, float | None]:
    return {
        "precision": hit / (hit + false) if hit + false else None,
        "recall": hit / (hit + missed) if hit + missed else None,
        "f1": 2 * hit / (2 * hit + false + missed) if hit + false + missed else None,
    }


def parent(technique_id: str, knowledge: Knowledge) -> str:
    """Return what an id counts as one level up: the group that it lies in, itself where it is a group or in none.

    2.1.1.6 counts as 2.1.1, 2.1.3 as 2.1, 4.2.4 as 4.2; 2.3 and 4.INDIEN as themselves.
    """
    technique = knowledge.techniques.get(technique_id)
    if technique is None or technique.is_group or technique.parent not in knowledge.techniques:
        return technique_id
    return technique.parent


def phase(technique_id: str) -> str:
    """Return the phase that an id belongs to."""
    return technique_id[:1]


def weighted_kappa(pairs: Sequence[tuple[Quality, Quality]]) -> float | None:
    """Return Cohen's kappa with quadratic weights over (label, prediction); None where it is not defined.

    Formula: 1 - sum(w o) / sum(w e), w = (difference of grades)^2, o observed and e expected from both margins.
    """
    if not pairs:
        return None
    first, second = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    observed = sum(_distance(one, other) for one, other in pairs)
    expected = sum(_distance(a, b) * first[a] * second[b] for a in GRADES for b in GRADES) / len(pairs)
    return 1 - observed / expected if expected else None


def _distance(one: Quality, other: Quality) -> int:
    return (GRADES.index(one) - GRADES.index(other)) ** 2
