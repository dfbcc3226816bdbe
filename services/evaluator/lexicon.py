"""Word lists of the speech measures, Dutch (nl-NL, nl-BE) and English. Data and its lookup only; no counting.

The lists are the project's own. "eigenlijk", "gewoon", "dus" and "ja" are ordinary words of Dutch, so the
discourse list is counted apart and nothing is ever taken off a technique score for it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

from shared.events import Language

Where = Literal["anywhere", "clause_start", "clause_end", "turn_start", "unprompted_start", "tag_question", "set_off"]
ListName = Literal["filled", "discourse", "hedge"]


@dataclass(frozen=True, slots=True)
class Phrase:
    """One entry: its tokens in lower case, and where in a turn it counts.

    `unprompted_start`: first word of a turn that does not follow a question; `tag_question`: last word before
    a question mark; `set_off`: between punctuation on at least one side or beside a filled pause.
    """

    tokens: tuple[str, ...]
    where: Where = "anywhere"


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


_FILLED_NL = ("eh", "ehh", "euh", "uh", "uhm", "ehm", "euhm", "hm", "hmm", "mm")
_FILLED_EN = ("uh", "um", "uhm", "er", "erm", "hm", "hmm", "ah", "mm")

_DISCOURSE_NL: tuple[tuple[str, Where], ...] = (
    ("zeg maar", "anywhere"),
    ("weet je wel", "anywhere"),
    ("weet je", "set_off"),
    ("eigenlijk", "anywhere"),
    ("gewoon", "anywhere"),
    ("dus", "clause_end"),
    ("nou ja", "anywhere"),
    ("soort van", "anywhere"),
    ("of zo", "anywhere"),
    ("enzo", "anywhere"),
    ("en zo", "clause_end"),
    ("hè", "clause_end"),
    ("ja", "unprompted_start"),
)
_DISCOURSE_BE: tuple[tuple[str, Where], ...] = (
    ("allez", "anywhere"),
    ("voilà", "anywhere"),
    ("voila", "anywhere"),
    ("bon", "clause_start"),
)
_DISCOURSE_EN: tuple[tuple[str, Where], ...] = (
    ("you know", "set_off"),
    ("i mean", "anywhere"),
    ("kind of", "anywhere"),
    ("sort of", "anywhere"),
    ("basically", "anywhere"),
    ("actually", "anywhere"),
    ("literally", "anywhere"),
    ("like", "set_off"),
    ("right", "tag_question"),
    ("so", "turn_start"),
    ("well", "clause_start"),
)
_HEDGE_NL = (
    "misschien",
    "mogelijk",
    "wellicht",
    "ik denk",
    "denk ik",
    "ik geloof",
    "geloof ik",
    "volgens mij",
    "een beetje",
    "ongeveer",
    "zou kunnen",
    "in principe",
    "ik weet niet zeker",
    "proberen te",
)
_HEDGE_BE = ("normaal gezien",)
_HEDGE_EN = (
    "maybe",
    "perhaps",
    "possibly",
    "i think",
    "i guess",
    "i believe",
    "kind of",
    "sort of",
    "a bit",
    "probably",
    "might",
    "could be",
    "in theory",
    "not sure",
    "try to",
)

_BACKCHANNEL_NL = word_set("ja jaja hm hmm mm mhm oké oke ok okay precies juist klopt inderdaad ah aha")
_BACKCHANNEL_EN = word_set("yeah yep yes mm mhm mm-hm uh-huh hm hmm right okay ok sure exactly ah aha")

SECOND_PERSON: dict[Language, frozenset[str]] = {
    "nl": word_set("u uw uzelf je jij jou jouw jullie ge gij"),
    "en": word_set("you your yours yourself yourselves you're you've you'd you'll"),
}
FIRST_PERSON: dict[Language, frozenset[str]] = {
    "nl": word_set("ik mij me mijn mijzelf mezelf wij we ons onze"),
    "en": word_set("i me my mine myself i'm i've i'd i'll we us our ours we're we've we'd we'll"),
}
LONG_FUNCTION_WORDS: dict[Language, frozenset[str]] = {
    "nl": word_set(
        "allemaal altijd andere anders bedoel beetje binnen buiten daarbij daarin daarmee daarna daarom daarop "
        "daarover daarvan daarvoor denken dezelfde eerlijk eerste eigenlijk elkaar ergens gedaan gewoon gezegd "
        "goedendag goeiedag hadden hebben helemaal hetzelfde hierbij hoelang hoeveel iedereen iemand inderdaad "
        "jullie kunnen meestal mezelf mijzelf misschien moeten mogelijk natuurlijk nergens niemand nogal ongeveer "
        "precies rondom sommige steeds telkens tussen uzelf vinden volgens voorbeeld waaraan waarbij waarin waarmee "
        "waarom waarop waarover waarvan waarvoor wanneer wellicht willen worden zeggen zelfde zoiets zonder zouden "
        "zullen"
    ),
    "en": word_set(
        "actually almost already although always another anybody anyone anything anyway around because become before "
        "behind besides better between cannot certain couldn't course didn't doesn't during either enough everybody "
        "everyone everything exactly getting having however indeed instead itself little mostly myself nobody nothing "
        "ourselves perhaps please pretty probably rather really should shouldn't simply somebody someone something "
        "sometimes somewhere suppose thanks themselves there's they'll they're they've things though through together "
        "towards unless usually wasn't weren't whatever whether within without wouldn't yourself yourselves"
    ),
}
"""Words of six letters and more that are grammar or courtesy: the customer's own words are not among them."""


def is_belgian(language: Language, locale: str) -> bool:
    """True for Dutch as spoken in Belgium; `locale` is a BCP 47 tag such as "nl-BE", or ""."""
    return language == "nl" and locale.replace("_", "-").lower().endswith("-be")


@functools.cache
def phrases(name: ListName, language: Language, belgian: bool) -> tuple[Phrase, ...]:
    """Return a list's entries, longest first, so that "weet je wel" is found before "weet je"."""
    pairs: tuple[tuple[str, Where], ...]
    if name == "filled":
        pairs = tuple((word, "anywhere") for word in (_FILLED_NL if language == "nl" else _FILLED_EN))
    elif name == "discourse":
        pairs = _DISCOURSE_EN if language == "en" else _DISCOURSE_NL + (_DISCOURSE_BE if belgian else ())
    else:
        words = _HEDGE_EN if language == "en" else _HEDGE_NL + (_HEDGE_BE if belgian else ())
        pairs = tuple((word, "anywhere") for word in words)
    found = [Phrase(tuple(text.split()), where) for text, where in pairs]
    return tuple(sorted(found, key=lambda phrase: (-len(phrase.tokens), phrase.tokens)))


@functools.cache
def phrases_by_first(name: ListName, language: Language, belgian: bool) -> dict[str, tuple[Phrase, ...]]:
    """Return a list's entries by their first word, longest first within it."""
    found: dict[str, list[Phrase]] = {}
    for phrase in phrases(name, language, belgian):
        found.setdefault(phrase.tokens[0], []).append(phrase)
    return {word: tuple(entries) for word, entries in found.items()}


def backchannel_words(language: Language) -> frozenset[str]:
    """Return the words that alone acknowledge without taking the turn."""
    return _BACKCHANNEL_NL if language == "nl" else _BACKCHANNEL_EN
