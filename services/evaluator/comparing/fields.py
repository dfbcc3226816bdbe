"""Names the fields in which two JSON values differ. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import Any

MAX_FIELDS = 20
"""Differing fields that are named; more of the same kind help nobody."""

_NOTHING = object()


def differing_fields(first: Any, second: Any, limit: int = MAX_FIELDS) -> list[str]:
    """Return the paths of the values that are not the same in both, in the order of the first one.

    `turns[u3].quality`: an entry of a list goes by its `name`, `turn` or `phase` where it has one, else by its place.
    """
    return list(islice(_differing(first, second, ""), limit))


def _differing(first: Any, second: Any, path: str) -> Iterator[str]:
    if isinstance(first, dict) and isinstance(second, dict):
        for key in [*first, *(key for key in second if key not in first)]:
            where = f"{path}.{key}" if path else str(key)
            yield from _differing(first.get(key, _NOTHING), second.get(key, _NOTHING), where)
    elif isinstance(first, list) and isinstance(second, list):
        for index, (one, other) in enumerate(zip_longest(first, second, fillvalue=_NOTHING)):
            yield from _differing(one, other, f"{path}[{_name(one, other, index)}]")
    elif first is _NOTHING or second is _NOTHING or first != second or type(first) is not type(second):
        yield path or "the whole"


def _name(first: Any, second: Any, index: int) -> str:
    entry = first if isinstance(first, dict) else second
    if isinstance(entry, dict):
        for key in ("name", "turn", "phase"):
            if key in entry:
                return str(entry[key])
    return str(index)
