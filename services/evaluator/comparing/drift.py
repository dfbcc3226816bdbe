"""How far scores and metrics of two runs lie apart over the same recordings, with intervals. Pure.

Recordings are drawn again in pairs, whole ones: what two versions say of one talk hangs together. The draws are the
same on every machine.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

RESAMPLES: Final = 1_000
SEED: Final = 20_251
LEVEL: Final = 0.95

TOTALS: Final = ("overall", "reached", "coverage")

Card = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Drift:
    """One figure over the recordings in which both runs have it; `n` of them. Means and change are None where n is 0.

    `low` and `high` hold the mean change with 95 % (None below two recordings). `furthest` is the largest change of
    one recording, `furthest_in` that recording. `gained` and `lost` have the figure in the second, or first, run only.
    """

    name: str
    n: int
    before: float | None
    after: float | None
    change: float | None
    low: float | None
    high: float | None
    furthest: float
    furthest_in: str
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def is_still(self) -> bool:
        """True if no recording's figure changed."""
        return self.furthest == 0 and not self.gained and not self.lost


def figures_of(card: Card) -> dict[str, float | None]:
    """Return the scores and metrics of a card by name; scores first."""
    found: dict[str, float | None] = {f"totals.{name}": card["totals"][name] for name in TOTALS}
    for phase in card["phases"]:
        found[f"phases.{phase['phase']}"] = phase["score"]
    found |= {f"{part}.score": card[part]["score"] for part in ("structure", "themes", "attitudes")}
    return found | {f"metrics.{metric['name']}": metric["value"] for metric in card["metrics"]}


def drifts(pairs: Sequence[tuple[str, Card, Card]]) -> list[Drift]:
    """Return the drift of each figure that either run has, in the order of the cards. `pairs`: (recording, a, b)."""
    figures = [(recording, figures_of(before), figures_of(after)) for recording, before, after in pairs]
    names = dict.fromkeys(name for _, before, after in figures for name in (*before, *after))
    return [_drift(name, [(each, a.get(name), b.get(name)) for each, a, b in figures]) for name in names]


def _drift(name: str, values: Iterable[tuple[str, float | None, float | None]]) -> Drift:
    there: list[tuple[str, float, float]] = []
    gained: list[str] = []
    lost: list[str] = []
    for recording, before, after in values:
        if before is not None and after is not None:
            there.append((recording, before, after))
        elif after is not None:
            gained.append(recording)
        elif before is not None:
            lost.append(recording)
    one_way = (tuple(gained), tuple(lost))
    if not there:
        return Drift(name, 0, None, None, None, None, None, 0.0, "", *one_way)
    changes = [after - before for _, before, after in there]
    at = max(range(len(changes)), key=lambda index: abs(changes[index]))
    furthest = _rounded(changes[at])
    low, high = interval(changes)
    return Drift(
        name,
        len(there),
        _rounded(fmean(before for _, before, _ in there)),
        _rounded(fmean(after for _, _, after in there)),
        _rounded(fmean(changes)),
        low,
        high,
        furthest,
        there[at][0] if furthest else "",
        *one_way,
    )


def interval(changes: Sequence[float], n: int = RESAMPLES, seed: int = SEED) -> tuple[float | None, float | None]:
    """Return between which values 95 % of the means of resampled changes lie; (None, None) below two changes."""
    if len(changes) < 2:
        return None, None
    if not any(changes):
        return 0.0, 0.0
    draw = random.Random(seed)  # a sample, no secret
    means = sorted(fmean(draw.choices(changes, k=len(changes))) for _ in range(n))
    cut = (1 - LEVEL) / 2
    return _rounded(means[round(cut * (n - 1))]), _rounded(means[round((1 - cut) * (n - 1))])


def _rounded(value: float) -> float:
    return round(value, 4) + 0.0
