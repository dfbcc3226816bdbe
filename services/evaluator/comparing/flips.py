"""Turns that two runs judge otherwise, with the words that each verdict rests on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

FIELDS: Final = ("techniques", "quality", "phase", "errors", "attitude", "is_scored")
"""What of a verdict counts as judged otherwise. Times and evidence do not: they follow from these, or the words."""

_UNORDERED = frozenset({"techniques", "errors"})


@dataclass(frozen=True, slots=True)
class Flip:
    """One field of one turn's verdict, before and after, each with its evidence (None: no verdict there)."""

    recording: str
    turn: str
    start_ms: int
    field: str
    before: Any
    after: Any
    evidence_before: str | None
    evidence_after: str | None


def flips_of(recording: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Flip]:
    """Return the flips between two scorecards of a recording, in order of the turns; one for each field that changed.

    A turn that only one card lists is one flip of the field `turn`.
    """
    first, second = _by_turn(before), _by_turn(after)
    turns = sorted({**second, **first}.items(), key=lambda item: (item[1]["start_ms"], item[0]))
    return [flip for turn, _ in turns for flip in _of_turn(recording, turn, first.get(turn), second.get(turn))]


def count_turns(before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    """Return how many turns either card lists."""
    return len(_by_turn(before).keys() | _by_turn(after).keys())


def _by_turn(card: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {entry["turn"]: entry for entry in card["turns"]}


def _of_turn(
    recording: str, turn: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> Iterator[Flip]:
    there = before if before is not None else after
    assert there is not None
    start_ms = int(there["start_ms"])
    evidence = (None if before is None else before["evidence"], None if after is None else after["evidence"])
    if before is None or after is None:
        yield Flip(recording, turn, start_ms, "turn", before is not None, after is not None, *evidence)
        return
    for name in FIELDS:
        one, other = before.get(name), after.get(name)
        if name in _UNORDERED:
            one, other = sorted(one or ()), sorted(other or ())
        if one != other:
            yield Flip(recording, turn, start_ms, name, before.get(name), after.get(name), *evidence)
