"""Intervals by the bootstrap: dialogues are drawn again, whole ones, since turns of one talk are not independent."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

RESAMPLES = 1_000
SEED = 20_251
LEVEL = 0.95

T = TypeVar("T")


def intervals(
    parts: Sequence[T], figures: Callable[[Sequence[T]], Mapping[str, Any]], n: int = RESAMPLES, seed: int = SEED
) -> dict[str, Any]:
    """Return [low, high] for each figure: the percentiles between which 95 % of the resampled figures lie.

    `figures` gives nested mappings of numbers (or None); the answer has the same form. A figure that fewer than
    half of the samples have, and every figure of fewer than two parts, gets None.
    """
    draw = random.Random(seed)
    whole = figures(parts)
    if len(parts) < 2:
        return _shape(whole, [])
    samples = [figures([parts[draw.randrange(len(parts))] for _ in parts]) for _ in range(n)]
    return _shape(whole, samples)


def _shape(whole: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        name: _shape(value, [sample[name] for sample in samples])
        if isinstance(value, Mapping)
        else _interval([sample[name] for sample in samples])
        for name, value in whole.items()
    }


def _interval(values: Sequence[float | None]) -> list[float] | None:
    there = sorted(value for value in values if value is not None)
    if not there or len(there) * 2 < len(values):
        return None
    cut = (1 - LEVEL) / 2
    return [there[round(cut * (len(there) - 1))], there[round((1 - cut) * (len(there) - 1))]]
