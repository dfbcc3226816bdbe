"""The deterministic coach, talk by talk: one question, no sentence twice, the seller's words, the right next step."""

from __future__ import annotations

import json
import time

import pytest

from services.coach_worker.brain import Heard, Part
from services.coach_worker.guards import TurnGuard
from services.coach_worker.policy import PolicyBrain, spoken_name
from shared.coaching.conversation import Conversation, split_sentences
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.coaching.phrases import frequent_phrases
from shared.coaching.words import words
from shared.events import CoachToVoice, Language, Prosody, Timing, VoiceToCoach

NL = [
    "Euh, ik verkoop koffiemachines.",
    "Aan kantoren en scholen vooral.",
    "geen idee",
    "in de dienstverlening",
    "Hoe loopt het vandaag met de koffie bij jullie?",
    "Wat bedoelt u met het gaat wel?",
    "En wat betekent dat voor u als die machine weer stilstaat?",
    "Dus u wilt rustige ochtenden en geen klachten meer, klopt dat?",
    "Top, dan gaan we door naar de oplossing!",
    "U zei misschien, wat bedoelt u daar precies mee?",
    "Dus u wilt elke ochtend koffie en u wilt vermijden dat uw mensen klagen. Klopt dat?",
    "Daarom plaatsen we een tweede machine bij u, daardoor is er altijd koffie.",
    "Ik weet het niet goed",
    "Wat vindt u daarvan?",
    "Oké",
    "Ik vind het moeilijk als ze zeggen dat het te duur is.",
    "Ja maar, onze machines zijn de beste van de markt. Ge krijgt tien procent korting.",
    "Ik begrijp dat de prijs meespeelt. Te duur tegenover wat precies?",
]
EN = [
    "I sell security training",
    "Mid-size logistics firms",
    "What made you start looking at this now?",
    "And who signs off, and what's your budget, and when do you want to start?",
    "So you surely want to save money, don't you?",
    "What does that mean for you when it happens again?",
    "Let me show you our platform, it has a scanner and reports.",
    "So you want calm evenings and no more complaints, is that right?",
    "How would you do it?",
    "I don't know",
    "Can you explain impact questions?",
    "Thanks, that's all for today",
]


class Talk:
    """A talk with the policy alone."""

    def __init__(self, language: Language = "nl", locale: str = "", session_id: str = "s1") -> None:
        self.brain = PolicyBrain()
        self.session_id = session_id
        self.conversation = Conversation(load_knowledge(), default_detector(), language, locale)
        self.answers: list[list[Part]] = []
        self._keep("", self.brain.compose_greeting(self.conversation, session_id))

    def say(self, text: str, language: Language | None = None, **fields: object) -> list[Part]:
        turn = f"u{len(self.answers)}"
        spoken: Language = language or self.conversation.language
        message = VoiceToCoach(turn, text, Timing(), Prosody(), False, spoken, 0, 1, **fields)  # type: ignore[arg-type]
        heard = self.conversation.hear_user(turn, text, spoken)
        parts = self.brain.compose(self.conversation, self.session_id, Heard(message, heard))
        self._keep(turn, parts)
        return parts

    def _keep(self, turn: str, parts: list[Part]) -> None:
        self.answers.append(parts)
        for number, part in enumerate(parts):
            self.conversation.plan(CoachToVoice(turn, part.text, chunk=number, last=part.last, rationale=part.plan))

    @property
    def last_plan(self) -> str:
        return self.answers[-1][0].plan


def text_of(parts: list[Part]) -> str:
    return " ".join(part.text for part in parts)


def play(language: Language, locale: str, session_id: str) -> Talk:
    talk = Talk(language, locale, session_id)
    for line in NL if language == "nl" else EN:
        talk.say(line)
    return talk


CASES = [("nl", "nl-NL"), ("nl", "nl-BE"), ("en", "en-GB")]


@pytest.mark.parametrize(("language", "locale"), CASES)
@pytest.mark.parametrize("session_id", [f"session{number}" for number in range(8)])
def test_every_answer_passes_the_guards(language: Language, locale: str, session_id: str) -> None:
    said: set[str] = set()
    talk = play(language, locale, session_id)
    for parts in talk.answers:
        guard = TurnGuard(language, lambda sentence, before=frozenset(said): " ".join(words(sentence)) in before)
        sentences = [sentence for part in parts for sentence in split_sentences(part.text)]
        assert 1 <= len(sentences) <= 4
        for sentence in sentences:
            assert guard.refuse(sentence) is None, (sentence, guard.refuse(sentence))
        said |= {" ".join(words(sentence)) for sentence in sentences}
        assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
        assert "{" not in text_of(parts)


def test_the_same_session_gives_the_same_words_and_another_does_not() -> None:
    first, again, other = (
        [text_of(parts) for parts in play("nl", "nl-BE", session).answers] for session in ("a", "a", "b")
    )
    assert first == again
    assert first != other


def test_the_seller_s_own_words_come_back() -> None:
    talk = Talk("nl", session_id="words")
    talk.say("Ik verkoop zonnepanelen aan bakkers.")
    assert talk.conversation.slots["product"] == "zonnepanelen"
    assert talk.conversation.slots["customer_type"] == "bakkers"
    answer = talk.say("En wat betekent die stroomrekening voor u op het einde van de maand?")
    assert "stroomrekening" in text_of(answer)


def test_a_slot_is_clarified_twice_at_most() -> None:
    talk = Talk("nl")
    plans = []
    for _ in range(4):
        talk.say("geen idee")
        plans.append(talk.last_plan)
    asked = [plan for plan in plans if "slot=product" in plan]
    assert len(asked) == 2
    assert "slot=customer_type" in plans[2]


def test_context_is_left_for_practice_as_soon_as_a_line_is_practised() -> None:
    talk = Talk("en")
    talk.say("Tell me, how does that work for you today?")
    assert "move=praise" in talk.last_plan


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Wie beslist er mee, en wat is uw budget, en wanneer wilt u starten?", "stacked_questions"),
        ("U wilt toch zeker ook minder kosten?", "suggestive_question"),
        ("Laat me u ons platform tonen, het heeft een scanner.", "premature_pitch"),
    ],
)
def test_an_error_is_named_and_something_else_is_tried(line: str, reason: str) -> None:
    talk = Talk("nl")
    talk.say("Vertel eens, hoe loopt dat vandaag bij u?")
    parts = talk.say(line)
    assert f"reason={reason}" in talk.last_plan
    assert parts[-1].text[-1] in "?."
    assert any(part.hints.tone == "challenging" for part in parts)


def test_a_vague_yes_opens_nothing_and_a_clear_one_does() -> None:
    talk = Talk("nl", session_id="gate")
    for line in NL[:8]:
        talk.say(line)
    assert not talk.conversation.committed
    talk.say(NL[8])
    assert "reason=accepted_vague_yes" in talk.last_plan
    talk.say(NL[9])
    talk.say(NL[10])
    assert not talk.conversation.committed  # asking is not enough: the customer's yes is not heard yet
    talk.say(NL[11])
    assert talk.conversation.committed
    assert talk.conversation.phase == 3


def test_a_subject_that_the_seller_names_is_practised_with_the_customer_s_own_objection() -> None:
    talk = Talk("nl")
    parts = talk.say("Ik vind het moeilijk als ze zeggen dat het te duur is.")
    assert "move=refocus" in talk.last_plan
    assert "klant" in text_of(parts)
    talk.say("Ik begrijp dat de prijs meespeelt. Te duur tegenover wat precies?")
    assert talk.conversation.turns[-1].attitude == "bezwaar"
    assert talk.conversation.turns[-1].detection.techniques == ("4.2.4",)


def test_a_technique_is_explained_by_its_name_and_with_an_example() -> None:
    talk = Talk("en")
    talk.say("Tell me, how does that work for you today?")
    answer = text_of(talk.say("Can you explain impact questions?"))
    assert "Impact questions" in answer
    assert "what the situation concretely means" in answer


def test_not_understood_asks_again() -> None:
    talk = Talk("en")
    talk.say("mumble mumble", asr_confidence=0.1)
    assert "move=repeat" in talk.last_plan
    assert "slot=product" in talk.last_plan  # the question stays open


def test_a_rushed_seller_gets_a_slow_coach_and_a_hard_question_a_silence() -> None:
    talk = Talk("nl")
    talk.say("Vertel eens, hoe loopt dat vandaag bij u?")
    found = []
    for number in range(30):
        turn = f"x{number}"
        text = "Wij zijn gewoon de beste van de markt."
        message = VoiceToCoach(turn, text, Timing(speech_pace="fast"), Prosody(), False, "nl", 0, 1)
        heard = talk.conversation.hear_user(turn, text, "nl")
        found += talk.brain.compose(talk.conversation, str(number), Heard(message, heard))
    assert {part.hints.pacing for part in found} == {"slow"}
    assert any(pause.after and pause.duration >= 1.0 for part in found for pause in part.hints.pauses)
    for part in found:
        assert all(word in part.text for word in part.hints.emphasis)
        assert all(pause.after in part.text for pause in part.hints.pauses)


def test_flemish_and_dutch_differ() -> None:
    flemish = " ".join(text_of(parts) for number in range(6) for parts in play("nl", "nl-BE", str(number)).answers)
    dutch = " ".join(text_of(parts) for number in range(6) for parts in play("nl", "nl-NL", str(number)).answers)
    assert any(word in flemish for word in ("Voilà", "Allez", "Amai", "Bon.", "Goh"))
    assert not any(word in dutch for word in ("Voilà", "Allez", "Amai"))


def test_many_answers_begin_with_a_phrase_that_a_voice_keeps_ready() -> None:
    ready = set(frequent_phrases("nl", "nl-BE"))
    firsts = [parts[0].text for number in range(10) for parts in play("nl", "nl-BE", str(number)).answers]
    assert sum(first in ready for first in firsts) / len(firsts) > 0.5


def test_a_very_long_session_never_repeats_itself_and_never_falls_silent() -> None:
    talk = Talk("nl", session_id="long")
    said: set[str] = set()
    for number in range(150):
        parts = talk.say(NL[4 + number % (len(NL) - 4)])
        assert parts
        for part in parts[:-1]:
            for sentence in split_sentences(part.text):
                key = " ".join(words(sentence))
                assert key not in said, sentence
                said.add(key)


def test_an_answer_follows_the_language_spoken() -> None:
    talk = Talk("nl")
    answer = text_of(talk.say("I would rather do this in English if you do not mind", "en"))
    guard = TurnGuard("en", lambda _: False)
    assert all(guard.refuse(sentence) is None for sentence in split_sentences(answer))


def test_an_answer_takes_less_than_ten_milliseconds() -> None:
    play("nl", "", "warm")
    talk = Talk("nl", session_id="speed")
    took = []
    for line in NL:
        start = time.process_time()
        talk.say(line)
        took.append(time.process_time() - start)
    assert sorted(took)[len(took) // 2] < 0.010


def test_spoken_names_are_pieces_of_the_exact_names() -> None:
    for technique in load_knowledge().techniques.values():
        for name in (technique.name_nl, technique.name_en):
            assert name.startswith(spoken_name(name))
            assert not set("()/+") & set(spoken_name(name)) or "(" not in name


def test_plans_are_plain_text() -> None:
    talk = play("en", "", "plans")
    json.dumps([part.plan for parts in talk.answers for part in parts])
    assert all(part.plan.startswith("move=") for parts in talk.answers for part in parts)
