"""What the seller asks of the coach."""

from __future__ import annotations

import pytest

from services.coach_worker.intents import find_technique, read_intent
from shared.coaching.knowledge import load_knowledge
from shared.events import Language


@pytest.mark.parametrize(
    ("text", "language", "kind", "technique"),
    [
        ("Bedankt, dat was het voor vandaag.", "nl", "stop", ""),
        ("Ik moet gaan.", "nl", "stop", ""),
        ("wat is commitment eigenlijk", "nl", "learn", "2.4"),
        ("Kun je de pingpong techniek uitleggen?", "nl", "learn", "2.1.5"),
        ("Leg uit, 4.indien", "nl", "learn", "4.INDIEN"),
        ("wat betekent 4.INDIEN", "nl", "learn", "4.INDIEN"),
        ("what is 2.1.1.6", "en", "learn", "2.1.1.6"),
        ("Ik weet het niet.", "nl", "stuck", ""),
        ("I'm stuck", "en", "stuck", ""),
        ("Ik wil bezwaren oefenen.", "nl", "focus", "4.2.4"),
        ("I struggle with closing", "en", "focus", "4.1"),
        ("Can we practise the opening?", "en", "focus", "1.1"),
        ("Oké, begin maar.", "nl", "ready", ""),
        ("Okay let's go", "en", "ready", ""),
        ("Wij werken met twaalf mensen in het magazijn.", "nl", "none", ""),
        ("", "nl", "none", ""),
        ("dus " * 60 + "ik weet het niet", "nl", "none", ""),
    ],
)
def test_intents(text: str, language: Language, kind: str, technique: str) -> None:
    intent = read_intent(text, language, load_knowledge())
    assert (intent.kind, intent.technique) == (kind, technique)


def test_a_focus_on_objections_brings_the_objection() -> None:
    intent = read_intent("I want to practise price objections", "en", load_knowledge())
    assert (intent.phase, intent.attitude) == (4, "bezwaar")


def test_every_technique_is_found_by_id_and_the_longest_name_wins() -> None:
    knowledge = load_knowledge()
    for technique_id in knowledge.techniques:
        assert find_technique(f"vertel over {technique_id} graag", "nl", knowledge) == technique_id
    assert find_technique("feitgerichte vragen onder alternatieve vorm", "nl", knowledge) == "2.1.3"
    assert find_technique("the budgetary office", "en", knowledge) == ""
    assert find_technique("9.9 and 2.7", "en", knowledge) == ""
