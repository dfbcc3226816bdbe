"""What a rolling restart cost: one line for each replica, and the longest silences. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.records import Heard
from tests.chaos.soak_figures import columns


@dataclass(frozen=True, slots=True)
class Restarted:
    """One replica's restart: sessions that it held and how many of them somebody else took; times in seconds.

    `echo_ms` and `cascade_ms` are the longest silence that any client of that engine heard, from the signal until all
    heard again. A replica without an exit code was left alone: the line to compare the others with.
    """

    label: str
    held: int = 0
    moved: int = 0
    exit_code: int | None = None
    drain_s: float = 0.0
    ready_s: float = 0.0
    echo_ms: int = 0
    cascade_ms: int = 0


def longest_silence_s(heard: Sequence[Heard], from_s: float, until_s: float) -> float:
    """Return the longest time without a message of audio that touches the time between; 0 before the first one."""
    longest, before_s = 0.0, None
    for each in heard:
        if before_s is not None and each.at_s > from_s and before_s < until_s:
            longest = max(longest, min(each.at_s, until_s) - before_s)
        before_s = each.at_s
    return max(longest, until_s - before_s) if before_s is not None and before_s < until_s else longest


HEAD = ("REPLICA", "HELD", "MOVED", "EXIT", "DRAIN s", "READY s", "SILENCE echo ms", "SILENCE cascade ms")


def table(results: Sequence[Restarted]) -> str:
    """Return one line for each replica, in columns."""
    return columns([HEAD, *map(_cells, results)])


def _cells(each: Restarted) -> tuple[str, ...]:
    silences = (str(each.echo_ms), str(each.cascade_ms))
    if each.exit_code is None:
        return (each.label, "-", "-", "-", "-", "-", *silences)
    times = (f"{each.drain_s:.1f}", f"{each.ready_s:.1f}")
    return (each.label, str(each.held), str(each.moved), str(each.exit_code), *times, *silences)
