"""Recovery times and the table that a run prints. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.records import Heard, Losses, Violation

GAP_S = 0.6
"""A client that hears nothing for so long was hit. A link that is 200 ms late each way gives audio every 0.5 s."""


def recovery_s(heard: Sequence[Heard], fault_s: float, until_s: float) -> float | None:
    """Return the seconds from the fault until audio flowed again for good; None if the client was not hit.

    That is the end of the last gap of GAP_S or more behind `fault_s`, or the first sound on the last new socket,
    whichever came later. Times are monotonic seconds.
    """
    before_s = fault_s
    connection = 0
    flowed_s: float | None = None
    for each in heard:
        if fault_s < each.at_s <= until_s and (each.at_s - before_s >= GAP_S or each.connection != connection):
            flowed_s = each.at_s
        before_s, connection = max(before_s, each.at_s), each.connection
    if until_s - before_s >= GAP_S:
        flowed_s = until_s
    return None if flowed_s is None else flowed_s - fault_s


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of at least one value, `share` in 0..1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What one round showed. `recoveries_s` has one value for each session that was hit."""

    number: int
    kind: str
    n_sessions: int
    recoveries_s: tuple[float, ...]
    losses: tuple[Losses, ...]
    violations: tuple[Violation, ...]


@dataclass(slots=True)
class _Row:
    rounds: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    told: int = 0
    in_flight: int = 0
    untold: int = 0
    late: int = 0
    unheard: int = 0
    repeated: int = 0
    violations: int = 0


_COUNTS = ("TOLD", "IN FLIGHT", "SILENT", "LATE", "UNHEARD", "REPEATED", "VIOLATIONS")
HEAD = ("FAULT", "ROUNDS", "HIT", "P50 s", "P99 s", *_COUNTS)


def table(results: Sequence[RoundResult]) -> str:
    """Return one line for each kind of fault, in columns, and one for all."""
    rows: dict[str, _Row] = {}
    for result in results:
        for name in (result.kind, "all"):
            _add(rows.setdefault(name, _Row()), result)
    ordered = sorted((name for name in rows if name != "all"), key=str) + (["all"] if rows else [])
    lines = [HEAD, *(_cells(name, rows[name]) for name in ordered)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    padded = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
    return "\n".join(padded)


def _add(row: _Row, result: RoundResult) -> None:
    row.rounds += 1
    row.recoveries_s += result.recoveries_s
    row.violations += len(result.violations)
    for losses in result.losses:
        row.told += losses.told
        row.in_flight += losses.in_flight
        row.untold += max(0, losses.lost - losses.told - losses.in_flight)
        row.late += losses.late
        row.unheard += losses.unheard
        row.repeated += losses.repeated


def _cells(name: str, row: _Row) -> tuple[str, ...]:
    times = row.recoveries_s
    shown = (f"{percentile(times, 0.5):.2f}", f"{percentile(times, 0.99):.2f}") if times else ("-", "-")
    counts = (row.told, row.in_flight, row.untold, row.late, row.unheard, row.repeated, row.violations)
    return (name, str(row.rounds), str(len(times)), *shown, *map(str, counts))
