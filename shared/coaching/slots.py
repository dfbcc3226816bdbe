"""What the coach knows of the seller: product, customer, sector, channel, experience, as the seller said it."""

from __future__ import annotations

import re
from typing import Literal

from shared.coaching.words import fold_in_place, without_abbreviation_stops, words
from shared.events import Language

Slot = Literal["product", "customer_type", "sector", "channel", "experience"]

ASKED: tuple[Slot, ...] = ("product", "customer_type", "sector")
"""The slots that are asked for; the others are kept when they come up."""

MAX_VALUE_WORDS = 6

_NL_STOP = r"(?= (?:en|maar|want|dus|die|dat|om|omdat|via|aan|voor|in|bij|vooral|meestal)\b|[,.;!?]|\s*$)"
_EN_STOP = r"(?= (?:and|but|because|so|who|that|which|to|for|in|via|at|mostly|mainly)\b|[,.;!?]|\s*$)"
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
        " goedemorgen goedemiddag goedenavond goedenmorgen goedendag morgen middag avond dank dankjewel bedankt mr mrs"
        " ms dr prof dhr mevr mw morning afternoon evening thank thanks"
        " you good ok okay hello hi hey to mean sure idea dunno think see question"
    )
)

_BEGINS_NO_THING = frozenset(
    words(
        "en maar of want dus tenzij als wanneer terwijl omdat hoewel sinds dan niet nooit met zonder van wat wie welke"
        " waar waarom hoe dat dit die"
        " and but or nor so unless if when while because although though until since than as not never with without"
        " of from about what who whom whose which where why how that this these those"
    )
)
_IN_A_CLAUSE = frozenset(
    words(
        "ik jij je hij ze zij we wij u jullie ben bent is was waren heb hebt heeft hebben word wordt zal zou kan kunt"
        " moet wil wilt"
        " i you he she it we they am are were be been isn't wasn't i'm he's she's we're you're has had have will would"
        " can could should must"
    )
)
"""Subjects and auxiliary verbs: where one stands, the words are a sentence and name no thing."""

_RELATIVE = re.compile(r" (?:who|that|which|because|die|dat|omdat)\b", re.IGNORECASE)
_TRAILING = frozenset(["vooral", "meestal", "enzo", "of", "en", "zo", "mostly", "mainly", "and", "or", "really"])


def find_slots(text: str, language: Language, asked: Slot | None = None) -> dict[Slot, str]:
    """Return the slots that a turn fills, in the seller's own words.

    What was asked for may be answered without a full sentence. A value has at most six words; an answer
    without content ("geen idee") fills nothing.
    """
    own = " ".join(without_abbreviation_stops(text).replace("’", "'").split())
    plain = fold_in_place(own)
    found: dict[Slot, str] = {}
    for slot, rule in _RULES[language]:
        match = re.search(rule, plain)
        if match and slot not in found:
            value = _clean(own[slice(*match.span("value"))], language)
            if value:
                found[slot] = value
    if asked and asked not in found and "?" not in own:
        clauses = [_RELATIVE.split(clause, maxsplit=1)[0] for clause in re.split(r"[.!;,]", own)]
        values = [_clean(clause, language) for clause in clauses]
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
    named = words(" ".join(kept))
    if not named or named[0] in _BEGINS_NO_THING or not _IN_A_CLAUSE.isdisjoint(named):
        return ""
    if not any(word not in _EMPTY and len(word) > 1 for word in named):
        return ""
    return " ".join(kept)
