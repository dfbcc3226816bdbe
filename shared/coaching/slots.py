"""What the coach knows of the seller: product, customer, sector, channel, experience, as the seller said it."""

from __future__ import annotations

import re
from typing import Literal

from shared.coaching.words import fold_in_place, words
from shared.events import Language

Slot = Literal["product", "customer_type", "sector", "channel", "experience"]

ASKED: tuple[Slot, ...] = ("product", "customer_type", "sector")
"""The slots that are asked for; the others are kept when they come up."""

MAX_VALUE_WORDS = 6

_NL_STOP = r"(?= (?:en|maar|want|dus|die|dat|om|omdat|via|aan|voor|in|bij)\b|[,.;!?]|\s*$)"
_EN_STOP = r"(?= (?:and|but|because|so|who|that|which|to|for|in|via|at)\b|[,.;!?]|\s*$)"
_EN_SELL = r"\b(?:sell|selling|sold|offer|provide|supply)"
_RULES: dict[Language, tuple[tuple[Slot, str], ...]] = {
    "nl": (
        (
            "product",
            r"\b(?:verkoop|verkopen|verkocht|leveren|lever|bieden|bied)(?: (?:ik|we|wij|jullie))?"
            rf" (?P<value>(?!aan\b|vooral\b).+?){_NL_STOP}",
        ),
        (
            "customer_type",
            r"\b(?:aan|klanten zijn|doelgroep is|klant is|vooral aan)"
            rf" (?P<value>(?!het\b|dat\b|de telefoon).+?){_NL_STOP}",
        ),
        ("sector", r"\b(?:in|voor) (?:de |het )?(?P<value>\w+(?:sector|branche|wereld|industrie|bouw|zorg|handel))\b"),
        ("sector", r"\bin de (?:sector|branche) (?:van )?(?P<value>\w+)"),
        (
            "channel",
            r"\b(?P<value>aan de telefoon|telefonisch|via teams|online|op een beurs|in de winkel|op bezoek|via mail"
            r"|bij klanten thuis|koud bellen)\b",
        ),
        ("experience", r"\b(?P<value>(?:al )?\w+ (?:jaar|maanden)|net begonnen|pas begonnen|beginner|starter)\b"),
    ),
    "en": (
        ("product", rf"{_EN_SELL} (?P<value>(?!to\b|mostly\b|mainly\b).+?){_EN_STOP}"),
        (
            "customer_type",
            rf"(?:{_EN_SELL}\b.*? to|customers are|clients are|mostly to|mainly to) (?P<value>.+?){_EN_STOP}",
        ),
        ("sector", r"\bin (?:the )?(?P<value>\w+) (?:sector|industry|business|market)\b"),
        (
            "channel",
            r"\b(?P<value>on the phone|over the phone|by phone|on teams|online|at trade shows|in a shop|in store"
            r"|face to face|door to door|cold calling|by email)\b",
        ),
        ("experience", r"\b(?P<value>\w+ (?:years|months)|just started|new to sales|a beginner)\b"),
    ),
}
_LEAD: dict[Language, str] = {
    "nl": r"^(?:(?:ja|nou|euh|uh|eh|ehm|wel|dus|eigenlijk|vooral|meestal|gewoon|dat is|dat zijn|het is|het zijn"
    r"|wij zijn|aan|in|voor|de|het|een) )+",
    "en": r"^(?:(?:yes|well|um|uh|so|actually|mostly|mainly|just|that is|that's|it's|it is|they're|they are|to|in"
    r"|for|the|a|an) )+",
}
_EMPTY = frozenset(
    words(
        "ik we wij het een de en dat ja nee niet weet geen idee gewoon van alles dingen iets eigenlijk euh nou wel is"
        " zijn zo wat of maar je goed oke zeg dus hallo hoi dag hugo aan hm zien bedoel bedoelt vraag"
        " it a an the and that yes no not know don't just stuff things something um well are so what or but all sorts"
        " you good ok okay hello hi hey to mean sure idea dunno think see question"
    )
)

_TRAILING = frozenset(["vooral", "meestal", "enzo", "of", "en", "zo", "mostly", "mainly", "and", "or", "really"])


def find_slots(text: str, language: Language, asked: Slot | None = None) -> dict[Slot, str]:
    """Return the slots that a turn fills, in the seller's own words.

    What was asked for may be answered without a full sentence. A value has at most six words; an answer
    without content ("geen idee") fills nothing.
    """
    own = " ".join(text.replace("’", "'").split())
    plain = fold_in_place(own)
    found: dict[Slot, str] = {}
    for slot, rule in _RULES[language]:
        match = re.search(rule, plain)
        if match and slot not in found:
            value = _clean(own[slice(*match.span("value"))], language)
            if value:
                found[slot] = value
    if asked and asked not in found and "?" not in own:
        values = [_clean(clause, language) for clause in re.split(r"[.!;,]", own)]
        first = next((value for value in values if value), "")
        if first:
            found[asked] = first
    return found


def _clean(value: str, language: Language) -> str:
    value = value.strip()
    lead = re.match(_LEAD[language], fold_in_place(value) + " ")
    kept = value[lead.end() if lead else 0 :].strip(" ,.;!?").split()[:MAX_VALUE_WORDS]
    while kept and kept[-1].lower() in _TRAILING:
        kept.pop()
    if not any(word not in _EMPTY and len(word) > 1 for word in words(" ".join(kept))):
        return ""
    return " ".join(kept)
