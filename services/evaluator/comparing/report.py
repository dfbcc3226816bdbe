"""Two runs side by side: what both judged, what changed, and whether a gate lets that pass. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic.alias_generators import to_camel

from services.evaluator.comparing.drift import Card, Drift, drifts
from services.evaluator.comparing.flips import Flip, count_turns, flips_of

GATED_TOTALS = ("totals.overall", "totals.reached")


@dataclass(frozen=True, slots=True)
class Gates:
    """What may change: a share of the turns, and points of one recording's total. None: anything."""

    max_flips: float | None = None
    max_drift: float | None = None

    @property
    def are_set(self) -> bool:
        return self.max_flips is not None or self.max_drift is not None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed between two runs over the recordings that both have."""

    recordings: tuple[str, ...]
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    n_turns: int
    flips: tuple[Flip, ...]
    drifts: tuple[Drift, ...]

    @property
    def n_flipped(self) -> int:
        """How many turns were judged otherwise, in one field or more."""
        return len({(flip.recording, flip.turn) for flip in self.flips})

    @property
    def flip_share(self) -> float:
        """The share of the turns that were judged otherwise."""
        return self.n_flipped / self.n_turns if self.n_turns else 0.0

    @property
    def flips_by_field(self) -> dict[str, int]:
        """How many flips each field has."""
        return dict(sorted(Counter(flip.field for flip in self.flips).items()))

    def failed_gates(self, gates: Gates) -> list[str]:
        """Return why the gates do not let this pass; empty where they do.

        What the second run lacks fails any gate: a run that broke off must not pass for one without changes.
        """
        if not gates.are_set:
            return []
        why = []
        if not self.recordings:
            why.append("the runs have no recording in common")
        if self.only_in_a:
            why.append(f"{len(self.only_in_a)} recordings of the first run are not in the second")
        if gates.max_flips is not None and self.flip_share > gates.max_flips:
            counted = f"{self.n_flipped} of {self.n_turns} turns"
            why.append(f"{counted} were judged otherwise ({self.flip_share:.2%}; at most {gates.max_flips:.2%})")
        if gates.max_drift is not None:
            why += [line for drift in self.drifts for line in _too_far(drift, gates.max_drift)]
        return why

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON-ready values in camelCase."""
        return {
            "recordings": list(self.recordings),
            "onlyInA": list(self.only_in_a),
            "onlyInB": list(self.only_in_b),
            "turns": self.n_turns,
            "flippedTurns": self.n_flipped,
            "flipShare": round(self.flip_share, 6),
            "flipsByField": self.flips_by_field,
            "flips": [_camel(asdict(flip)) for flip in self.flips],
            "drifts": [_camel(asdict(drift)) for drift in self.drifts],
        }


def compare(before: Mapping[str, Card], after: Mapping[str, Card]) -> Comparison:
    """Compare two runs: scorecards by recording."""
    both = sorted(before.keys() & after.keys())
    pairs = [(each, before[each], after[each]) for each in both]
    return Comparison(
        tuple(both),
        tuple(sorted(before.keys() - after.keys())),
        tuple(sorted(after.keys() - before.keys())),
        sum(count_turns(a, b) for _, a, b in pairs),
        tuple(flip for each, a, b in pairs for flip in flips_of(each, a, b)),
        tuple(drifts(pairs)),
    )


def judges(cards: Mapping[str, Card]) -> dict[str, int]:
    """Return who judged a run's cards, by number: the rules alone, or the model that came second."""
    return dict(sorted(Counter(card.get("judge", {}).get("model", "rules") for card in cards.values()).items()))


def _too_far(drift: Drift, limit: float) -> Sequence[str]:
    if drift.name not in GATED_TOTALS:
        return ()
    found = []
    if abs(drift.furthest) > limit:
        found.append(f"{drift.name} moved by {drift.furthest:+.2f} in {drift.furthest_in} (at most {limit:g})")
    if one_way := (*drift.gained, *drift.lost):
        found.append(f"{drift.name} is there in one run only for {len(one_way)} recordings, the first {one_way[0]}")
    return found


def _camel(values: Mapping[str, Any]) -> dict[str, Any]:
    return {to_camel(name): value for name, value in values.items()}
