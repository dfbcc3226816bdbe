"""Turns measurements into figures and tables. Pure. What did not come back counts, as late as can be."""

from __future__ import annotations

import math
from collections.abc import Sequence

MISSING = math.inf
"""The latency of what never came: it moves percentiles up and can never make them better."""


def percentile(values: Sequence[float], n_expected: int, share: float) -> float:
    """Return the value that `share` (0..1) of the expected ones do not exceed: nearest rank.

    `n_expected` is how many there should be; those that are not in `values` are MISSING.
    Raises ValueError if nothing was expected or more came than were.
    """
    if n_expected <= 0 or len(values) > n_expected:
        raise ValueError(f"{len(values)} values of {n_expected} expected")
    rank = max(1, math.ceil(share * n_expected))
    return sorted(values)[rank - 1] if rank <= len(values) else MISSING


def number(value: float, digits: int = 2) -> str:
    """Return a figure for a table; what is missing is a word, never 0."""
    return "missing" if math.isinf(value) or math.isnan(value) else f"{value:.{digits}f}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with its columns in line; the first is text, the others are figures."""
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

    rule = (
        "|" + "|".join("-" * (width + 2) if i == 0 else "-" * (width + 1) + ":" for i, width in enumerate(widths)) + "|"
    )
    return "\n".join([line(heads), rule, *map(line, rows)])
