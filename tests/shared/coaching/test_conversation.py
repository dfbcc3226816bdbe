"""The state of a talk: the gate, slots, what was heard, and that events rebuild it."""

from __future__ import annotations

import pytest

from shared.coaching import conversation as module
from shared.coaching.conversation import Conversation, read_plan, split_sentences, write_plan
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.events import (
    Backchannel,
    Body,
    CoachToVoice,
    Event,
    Interrupted,
    Prosody,
    SessionStarted,
    Timing,
    Transcript,
    VoiceToCoach,
)

COMMIT = "Dus u wilt rust en u wilt vermijden dat klanten weglopen. Klopt dat?"
PITCH = "Daarom plaatsen we een reservetoestel bij u."


@pytest.fixture
def talk() -> Conversation:
    return Conversation(load_knowledge(), default_detector(), "nl", "nl-NL")


def event(body: Body, id_: str = "x") -> Event:
    return Event(id_, "s", "voice", 1, 0, 0, body)


def test_asking_for_commitment_opens_nothing(talk: Conversation) -> None:
    talk.hear_user("u1", "En wat betekent dat voor u?")
    talk.hear_user("u2", COMMIT)
    assert not talk.committed
    talk.hear_user("u3", PITCH)
    assert talk.phase == 2
    assert talk.turns[-1].detection.quality == "missed"


@pytest.mark.parametrize(
    ("answer", "opens"),
    [("Ja, precies dat.", True), ("Ja, misschien wel.", False), ("Klinkt goed.", False), ("Nee.", False)],
)
def test_only_a_clear_yes_opens_phase_three(talk: Conversation, answer: str, opens: bool) -> None:
    talk.hear_user("u1", COMMIT)
    talk.hear_customer(answer)
    assert talk.committed is opens
    talk.hear_user("u2", PITCH)
    assert talk.phase == (3 if opens else 2)


def test_a_yes_to_something_else_opens_nothing(talk: Conversation) -> None:
    talk.hear_user("u1", "Met hoeveel mensen doen jullie dat?")
    talk.hear_customer("Ja, precies dat.")
    assert not talk.committed


def test_from_recommendation_back_to_discovery_and_on(talk: Conversation) -> None:
    talk.hear_user("u1", COMMIT)
    talk.hear_customer("Ja, dat klopt.")
    talk.hear_user("u2", PITCH)
    talk.hear_user("u3", "En wat betekent dat voor u?")
    assert talk.phase == 2
    talk.hear_user("u4", PITCH)
    assert talk.phase == 3  # the yes still holds


def test_practice_may_start_late_but_a_pitch_may_not(talk: Conversation) -> None:
    talk.hear_user("u1", "Als u vandaag zou moeten kiezen, drie of vijf jaar?")
    assert (talk.phase, talk.committed) == (4, True)
    other = Conversation(load_knowledge(), default_detector())
    other.hear_user("u1", PITCH)
    assert not other.committed


def test_themes_and_techniques_are_kept(talk: Conversation) -> None:
    talk.hear_user("u1", "Wie beslist er mee?")
    talk.hear_user("u2", "Tegen wanneer moet het draaien?")
    assert talk.themes == {"beslissingscriteria", "timing"}
    assert list(talk.done) == ["2.1.1.8", "2.1.1.7"]


def test_the_same_turn_twice_counts_once(talk: Conversation) -> None:
    first = talk.hear_user("u1", "Wie beslist er mee?")
    assert talk.hear_user("u1", "Iets heel anders") is first
    assert len(talk.turns) == len(talk.lines) == 1


def chunk(number: int, text: str, turn: str = "u1", plan: str = "") -> CoachToVoice:
    return CoachToVoice(turn, text, chunk=number, last=False, rationale=plan)


def test_a_customer_line_counts_once_it_was_heard(talk: Conversation) -> None:
    talk.plan(chunk(0, "Mooi."))
    talk.plan(chunk(1, "Je klant zegt: “Tja, het gaat wel.”"))
    talk.plan(chunk(2, "Wat zeg je?"))
    assert talk.attitude is None
    talk.hear_hugo("h1", "Mooi. Je klant zegt: “Tja, het gaat wel.” Wat zeg je?")
    assert talk.attitude == "ontwijkend"


def test_without_a_transcript_the_plan_counts_as_said(talk: Conversation) -> None:
    talk.plan(chunk(0, "Je klant zegt: “Tja, het gaat wel.”"))
    turn = talk.hear_user("u2", "Wat bedoelt u daarmee?")
    assert turn.attitude == "ontwijkend"


def test_an_interrupted_answer_counts_as_far_as_it_was_heard(talk: Conversation) -> None:
    talk.apply(event(chunk(0, "Mooi.")))
    talk.apply(event(chunk(1, "Je klant zegt: “Tja, het gaat wel.”")))
    talk.apply(event(Interrupted("h1", "user", 10, "Mooi.", "Je klant…")))
    talk.apply(event(Transcript("h1", "hugo", "Mooi.", True, 0, 10, "nl")))
    talk.apply(event(Transcript("h1", "hugo", "Mooi.", True, 0, 10, "nl")))
    assert talk.hear_user("u2", "Wacht even, hoe bedoelt u?").attitude is None
    assert [line.text for line in talk.lines if line.speaker == "hugo"] == ["Mooi."]


def test_said_sentences_are_known_by_their_words(talk: Conversation) -> None:
    talk.plan(chunk(0, "Kies er één. Je klant zegt: “Te duur.”"))
    assert talk.has_said("kies er een")
    assert talk.has_said("Te duur.")
    assert not talk.has_said("Kies er twee.")


def test_slots_come_from_what_hugo_asked(talk: Conversation) -> None:
    talk.plan(chunk(0, "Wat verkoop je?", "", write_plan(move="ask_slot", slot="product")))
    talk.hear_user("u1", "Zonnepanelen")
    assert talk.slots == {"product": "Zonnepanelen"}
    assert talk.asked == {"product": 1}


def test_an_off_ramp_stays_open_until_it_is_dealt_with(talk: Conversation) -> None:
    talk.focus(4)
    talk.hear_customer("Het is te duur.")
    talk.hear_user("u1", "Oké, dank u.")
    assert talk.attitude == "bezwaar"
    talk.hear_user("u2", "Ik begrijp dat de prijs meespeelt. Te duur tegenover wat precies?")
    assert talk.attitude is None


def test_events_rebuild_the_same_state() -> None:
    stream: list[Body] = [
        SessionStarted("cascade", "nl", "nl-BE"),
        chunk(0, "Wat verkoop je?", "", write_plan(move="ask_slot", slot="product")),
        VoiceToCoach("u1", "Zonnepanelen", Timing(), Prosody(), False, "nl", 0, 1),
        Backchannel("hugo", "Hm.", 1, 2),
        chunk(0, "Je klant zegt: “Tja, het gaat wel.”", "u1", write_plan(move="begin", practice="yes")),
        Transcript("h2", "hugo", "Je klant zegt: “Tja, het gaat wel.”", True, 3, 4, "nl"),
        VoiceToCoach("u2", "Wat bedoelt u met het gaat wel?", Timing(), Prosody(), False, "nl", 5, 6),
    ]
    once, twice = (Conversation(load_knowledge(), default_detector()) for _ in range(2))
    for number, body in enumerate(stream):
        once.apply(event(body, str(number)))
        for _ in range(2):
            twice.apply(event(body, str(number)))
    assert once.locale == "nl-BE"
    assert once.practising
    assert once.turns == twice.turns
    assert (once.lines, once.slots, once.phase) == (twice.lines, twice.slots, twice.phase)
    assert twice.asked == {"product": 1}


def test_lists_are_bounded(talk: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SAID", 3)
    for number in range(module.MAX_TURNS + 5):
        talk.hear_user(f"u{number}", "Wie beslist er mee?")
        talk.plan(chunk(0, f"Zin nummer {number}.", f"u{number}"))
    assert len(talk.turns) == module.MAX_TURNS
    assert len(talk.lines) == module.MAX_TURNS
    assert not talk.has_said("Zin nummer 0.")
    assert talk.has_said(f"Zin nummer {module.MAX_TURNS + 4}.")


def test_plans_and_sentences() -> None:
    assert read_plan(write_plan(move="retry", reason="", due="2.3")) == {"move": "retry", "due": "2.3"}
    assert read_plan("free text") == {}
    assert split_sentences("Mooi. “Te duur.” Wat nu? En") == ("Mooi.", "“Te duur.", "Wat nu?", "En")
