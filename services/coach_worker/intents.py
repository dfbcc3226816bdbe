"""What the seller wants from the coach, apart from practising a line: stop, learn, help, another subject, begin."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal

from shared.coaching.knowledge import Knowledge
from shared.coaching.patterns import Pattern, compile_pattern
from shared.coaching.words import fold, sentences, words
from shared.events import Language

Kind = Literal["stop", "learn", "stuck", "focus", "ready", "none"]


@dataclass(frozen=True, slots=True)
class Intent:
    """`technique` for learn and focus; `phase` and the customer's `attitude` for focus."""

    kind: Kind
    technique: str = ""
    phase: int | None = None
    attitude: str = ""


NO_INTENT = Intent("none")

_PATTERNS: dict[Language, dict[Kind, tuple[str, ...]]] = {
    "nl": {
        "stop": (
            "[ik wil stoppen|we stoppen|laten we stoppen|ik moet gaan|ik moet weg|tot hier|genoeg voor vandaag] *",
            "< [dag|doei|tot ziens|tot de volgende|stop maar|bedankt hugo|salut] * >",
            "[bedankt|dank je] * [dat was het|tot de volgende|voor vandaag|genoeg]",
        ),
        "learn": (
            "[wat is|wat zijn|wat betekent|wat houdt|leg uit|leg eens uit|hoe werkt] **",
            "[hoe doe ik|hoe doe je|uitleg over] **",
            "[kun je|kan je|kunt u|wil je] ** [uitleggen|voorbeeld|voordoen|tonen]",
        ),
        "stuck": (
            "[weet|wist] [ik]? [het|dat]? * niet [meer|goed|zo]?",
            "ik zit vast",
            "[geen idee|help me|wat moet ik|wat zou jij|hoe zou jij|wat kan ik zeggen|ik kom er niet uit] *",
        ),
        "focus": (
            "[oefenen|trainen|werken|beginnen] ** [op|met|aan|rond|over]? *",
            "[ik vind|vind ik] ** [moeilijk|lastig|eng|spannend]",
            "[ik heb|heb] ** [moeite|problemen|last] met",
            "[ik wil|ik zou] * [oefenen|trainen|leren|werken]",
            "[mijn] * [probleem|zwakte|struikelblok] is",
        ),
        "ready": (
            "< [ja|oke|ok|goed|prima|klaar|graag|doen we|begin maar|laten we|ik ben klaar|kom maar op|is goed] * >",
            "[laten we|kunnen we] * [beginnen|oefenen|starten]",
        ),
    },
    "en": {
        "stop": (
            "[i want to stop|let's stop|i have to go|i need to go|i've got to go|that's enough for today|stop here] *",
            "< [bye|goodbye|see you|thanks bye|thanks hugo|stop] * >",
            "[thanks|thank you] * [that's it|that was it|for today|enough|that's all]",
        ),
        "learn": (
            "[what is|what's|what are|what does|explain|tell me about|how does|how do i] **",
            "[can you|could you|will you] ** [explain|example|show me]",
        ),
        "stuck": (
            "i [don't|do not|really don't] know *",
            "[i'm|i am] stuck",
            "[no idea|help me|what should i|what would you|how would you|what can i say|i'm lost|i give up] *",
        ),
        "focus": (
            "[practise|practice|train|work|rehearse] ** [on|with|about|around]? *",
            "i [find|have] ** [hard|difficult|tricky|trouble|scary]",
            "i struggle [with|when]? *",
            "[i want to|i'd like to|let's] * [practise|practice|train|learn|work]",
            "my * [problem|weakness] is",
        ),
        "ready": (
            "< [yes|yeah|okay|ok|sure|ready|good|fine|go ahead|let's go|i'm ready|let's start|let's do it] * >",
            "[let's|can we|shall we] * [begin|start|practise|practice]",
        ),
    },
}

# What a seller may name as the subject: words, the technique that trains it, and the customer's attitude for it.
_SUBJECTS: tuple[tuple[str, str, str], ...] = (
    (r"bezwaar|bezwaren|te duur|prijs\w*|korting|objections?|too expensive|price|pricing|discount", "4.2.4", "bezwaar"),
    (r"uitstel\w*|nadenken|stalling|think it over|postpon\w+", "4.2.3", "uitstel"),
    (r"twijfel\w*|doubts?|hesitat\w+", "4.2.2", "twijfel"),
    (r"bang|angst\w*|schrik|fears?|afraid", "4.2.5", "angst"),
    (r"afsluit\w*|closen|closing|close|closes", "4.1", ""),
    (r"presenteren|presentatie|aanbod|oplossing|pitch\w*|presenting|present|offer", "3.2", ""),
    (r"commitment|toezegging", "2.4", "pain"),
    (r"impact|gevolg\w*|gevolgvragen|consequences?", "2.3", "problem"),
    (r"probe|hypothes\w+|doorvragen", "2.2", "ontwijkend"),
    (r"vage? \w+|vaag|vague|ontwijkend\w*|evasive", "2.1.5", "vaag"),
    (r"explore|vragen stellen|open vragen|open questions|asking questions|behoefte\w*|discovery|needs", "2.1.1", ""),
    (r"opening|openen|ijs|beginnen van|koude? \w+|cold calls?|starting|first minute", "1.1", ""),
)


def read_intent(text: str, language: Language, knowledge: Knowledge) -> Intent:
    """Return what a turn asks of the coach. Long turns ask nothing: they are practice or a story."""
    found = sentences(text)
    if not found or sum(len(sentence.tokens) for sentence in found) > 40:
        return NO_INTENT
    rules = _compiled(language)
    kinds = {kind for kind, rows in rules.items() if any(row.search(item.line) for item in found for row in rows)}
    if "stop" in kinds:
        return Intent("stop")
    technique = find_technique(text, language, knowledge)
    if "learn" in kinds and technique:
        return Intent("learn", technique)
    if "focus" in kinds:
        focus = _subject(text, knowledge, technique)
        if focus is not None:
            return focus
    if "stuck" in kinds:
        return Intent("stuck")
    return Intent("ready") if "ready" in kinds else NO_INTENT


def find_technique(text: str, language: Language, knowledge: Knowledge) -> str:
    """Return the technique that a text names by id or by name, "" if none. The longest name wins."""
    for match in re.finditer(r"\b[0-4](?:\.(?:\d{1,2}|[A-Za-z]{2,12}))+\b", text):
        if match.group().upper() in knowledge.techniques:
            return match.group().upper()
    plain = f" {' '.join(words(text))} "
    best = ("", "")
    for technique_id, technique in knowledge.techniques.items():
        for name in {technique.name_nl, technique.name_en}:
            for alias in _aliases(name):
                if f" {alias} " in plain and len(alias) > len(best[0]):
                    best = (alias, technique_id)
    return best[1]


@functools.cache
def _aliases(name: str) -> tuple[str, ...]:
    """Return the forms of a name that people say: whole, and without what stands in brackets or after a slash."""
    bare = re.sub(r"\(.*?\)", "", name)
    forms = [name, bare, *re.split(r"[/+]", bare)]
    plain = [" ".join(words(form)) for form in forms]
    return tuple(dict.fromkeys(form for form in plain if len(form) > 4))


@functools.cache
def _compiled(language: Language) -> dict[Kind, tuple[Pattern, ...]]:
    return {kind: tuple(compile_pattern(row, {}) for row in rows) for kind, rows in _PATTERNS[language].items()}


def _subject(text: str, knowledge: Knowledge, technique: str) -> Intent | None:
    plain = fold(text)
    for rule, technique_id, attitude in _SUBJECTS:
        if re.search(rf"\b(?:{rule})\b", plain):
            return Intent("focus", technique_id, knowledge.technique(technique_id).phase, attitude)
    if technique:
        return Intent("focus", technique, knowledge.technique(technique).phase)
    return None
