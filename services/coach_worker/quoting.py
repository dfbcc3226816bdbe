"""Picks the seller's own words to hand back: one short clause, as it was said. Pure."""

from __future__ import annotations

import re

from shared.coaching.words import fold, without_abbreviation_stops, words
from shared.events import Language

MAX_WORDS = 8
MIN_WORDS = 2

_CUT = re.compile(r"\s*[,;:…—.?!]+\s*|\s+-\s+")
_LEAD = frozenset(
    words(
        "en dus maar ja nou oke ok euh uh eh ehm goed top dan want"
        " um er so and but well okay right yeah then thanks great"
    )
)
_LIGHT = frozenset(
    words(
        "de het een dat die dit er we wij ik u je jij jullie is zijn was heeft heb hebt kan kunt wil wilt zou van"
        " voor met op in aan te om of als bij naar uit zo ook nog wel niet"
        " the a an that this it we i you your is are was have has can do does would will of for with on in at to or"
        " if as by from so also not be me my our"
    )
)

_JOINTS = frozenset(words("en maar als omdat zodat want dus die waar and but when if because so that who which while"))


def quote(evidence: str, language: Language) -> str:
    """Return the weightiest short clause of `evidence`, without marks at its ends, "" if there is none."""
    best: tuple[int, str] = (0, "")
    for clause in _CUT.split(without_abbreviation_stops(evidence)):
        spoken = clause.split()
        while spoken and fold(spoken[0]).strip("'\"“”") in _LEAD:
            spoken = spoken[1:]
        kept = _within(spoken)
        weight = sum(1 for word in kept if fold(word) not in _LIGHT)
        if len(kept) >= MIN_WORDS and weight > best[0]:
            best = (weight, " ".join(kept))
    return best[1].replace("“", "").replace("”", "").replace('"', "")


def _within(spoken: list[str]) -> list[str]:
    """Cut to the limit: at a joint between two thoughts if there is one, never behind a word that asks for more."""
    if len(spoken) <= MAX_WORDS:
        return spoken
    kept = spoken[:MAX_WORDS]
    joints = [place for place, word in enumerate(kept) if place >= 3 and fold(word) in _JOINTS]
    if joints:
        kept = kept[: joints[-1]]
        while fold(kept[-1]) in _JOINTS:
            kept = kept[:-1]
        return kept
    while kept and fold(kept[-1]) in _LIGHT:
        kept = kept[:-1]
    return kept
