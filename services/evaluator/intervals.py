"""Arithmetic on half-open stretches of media time, in milliseconds. Pure; knows no events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """From `start_ms` up to, not including, `end_ms`."""

    start_ms: int
    end_ms: int

    @property
    def length_ms(self) -> int:
        return self.end_ms - self.start_ms


def merge(parts: Iterable[Interval], gap_ms: int = 0) -> tuple[Interval, ...]:
    """Return the union in order of time; parts with less than `gap_ms` between them become one. Empty ones go."""
    merged: list[Interval] = []
    # A key is several times faster here than comparing dataclasses.
    for part in sorted((p for p in parts if p.end_ms > p.start_ms), key=lambda p: (p.start_ms, p.end_ms)):
        last = merged[-1] if merged else None
        if last is not None and (part.start_ms <= last.end_ms or part.start_ms - last.end_ms < gap_ms):
            merged[-1] = Interval(last.start_ms, max(last.end_ms, part.end_ms))
        else:
            merged.append(part)
    return tuple(merged)


def clip(parts: Iterable[Interval], bounds: Interval) -> tuple[Interval, ...]:
    """Return what of `parts` lies within `bounds`."""
    cut = (Interval(max(p.start_ms, bounds.start_ms), min(p.end_ms, bounds.end_ms)) for p in parts)
    return tuple(part for part in cut if part.end_ms > part.start_ms)


def total_ms(parts: Iterable[Interval]) -> int:
    """Return the sum of the lengths; give it merged parts."""
    return sum(part.length_ms for part in parts)


def overlap(a: tuple[Interval, ...], b: tuple[Interval, ...]) -> tuple[Interval, ...]:
    """Return where both merged sets have speech: one walk over both."""
    shared: list[Interval] = []
    i = j = 0
    while i < len(a) and j < len(b):
        start, end = max(a[i].start_ms, b[j].start_ms), min(a[i].end_ms, b[j].end_ms)
        if start < end:
            shared.append(Interval(start, end))
        if a[i].end_ms <= b[j].end_ms:
            i += 1
        else:
            j += 1
    return tuple(shared)


def gaps(parts: tuple[Interval, ...]) -> tuple[Interval, ...]:
    """Return the stretches between merged parts."""
    return tuple(Interval(a.end_ms, b.start_ms) for a, b in pairwise(parts))
