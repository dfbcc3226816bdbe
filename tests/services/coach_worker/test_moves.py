"""What Hugo decides to do."""

from __future__ import annotations

import pytest

from services.coach_worker.moves import Decision, decide, due_step, greeting, next_step
from shared.coaching.conversation import Conversation
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.events import CoachToVoice


@pytest.fixture
def talk() -> Conversation:
    return Conversation(load_knowledge(), default_detector(), "nl")


def on(talk: Conversation, text: str, asr: float | None = None) -> Decision:
    return decide(talk, talk.hear_user(f"u{len(talk.turns)}", text), asr)


def asked(talk: Conversation, plan: str) -> None:
    talk.plan(CoachToVoice(f"u{len(talk.turns)}", "Zeg eens.", rationale=plan))


def test_the_greeting_asks_what_is_sold() -> None:
    assert (greeting(Conversation(load_knowledge(), default_detector())).slot) == "product"


def test_slots_in_their_order_then_practice(talk: Conversation) -> None:
    asked(talk, "move=ask_slot; slot=product")
    assert on(talk, "Zonnepanelen").slot == "customer_type"
    asked(talk, "move=ask_slot; slot=customer_type")
    assert on(talk, "Aan bakkers").slot == "sector"
    asked(talk, "move=ask_slot; slot=sector")
    assert on(talk, "De voeding").move == "begin"


@pytest.mark.parametrize(
    ("text", "move", "reason"),
    [
        ("", "repeat", ""),
        ("Vertel eens, hoe loopt dat vandaag bij u?", "praise", ""),
        ("Wie beslist er mee, en wat is uw budget, en wanneer wilt u starten?", "correct", "stacked_questions"),
        ("Wij zijn de beste van de markt.", "correct", "generic_claims"),
        ("Ik weet het niet.", "help", ""),
        ("wat is commitment", "explain", ""),
        ("Ik wil bezwaren oefenen.", "refocus", ""),
        ("Ik moet gaan.", "close", ""),
        ("Oké", "confirm", ""),
        ("Tja, met de klant lukte dat gisteren niet zo, denk ik.", "confirm", ""),
    ],
)
def test_moves_in_practice(talk: Conversation, text: str, move: str, reason: str) -> None:
    talk.practising = True
    talk.phase = 2
    decision = on(talk, text)
    assert (decision.move, decision.reason) == (move, reason)


def test_an_unsure_recogniser_is_asked_again(talk: Conversation) -> None:
    assert on(talk, "Wie beslist er mee?", 0.1).move == "repeat"


def test_an_early_pitch_sends_back_to_impact_and_then_to_commitment(talk: Conversation) -> None:
    on(talk, "Wie beslist er mee?")
    assert on(talk, "Laat me u ons platform tonen.").due == "2.3"
    on(talk, "En wat betekent dat voor u?")
    assert on(talk, "Laat me u ons platform tonen.").due == "2.4"


def test_the_step_due_follows_the_customer_and_the_gate(talk: Conversation) -> None:
    assert due_step(talk) == "1.4"
    talk.hear_user("u1", "En wat betekent dat voor u?")
    assert due_step(talk) == "2.4"
    talk.hear_customer("Tja, het gaat wel.")
    assert due_step(talk) == "2.1.3"
    talk.hear_user("u2", "Dus u wilt rust en u wilt geen gebel meer, klopt dat?")
    assert due_step(talk) != "3.2"
    talk.hear_customer("Ja, precies dat.")
    assert due_step(talk) == "3.2"


def test_every_technique_has_a_next_step_that_exists() -> None:
    knowledge = load_knowledge()
    for technique in knowledge.techniques:
        assert next_step(technique) in knowledge.techniques
    assert next_step("2.1.1.6") == "2.3"
    assert next_step("4.2.4") == "4.1"
