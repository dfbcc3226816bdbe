"""The learned detector: what it finds in dialogues that nothing was made from, and what it must not be moved by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.evaluator.dialogues.counts import count, figures, total
from services.evaluator.dialogues.reading import read_dialogues
from services.evaluator.dialogues.replay import judge_dialogue
from shared.coaching.detection import DetectionContext
from shared.coaching.encoder.learned import load_learned
from shared.coaching.knowledge import load_knowledge
from shared.events import Language

FILE = Path(__file__).parents[3] / "fixtures/dialogues/held_out.jsonl"


@pytest.fixture(scope="module")
def detector() -> Any:
    return load_learned()


@pytest.mark.parametrize("language", ["nl", "en"])
def test_unseen_dialogues(detector: Any, language: Language) -> None:
    """Far below what docs/evaluation.md reports: to notice what breaks, not to tune by."""
    knowledge = load_knowledge()
    dialogues = [one for one in read_dialogues(FILE.read_text(encoding="utf-8"), "held_out") if one.lang == language]
    found = figures(total(count(judge_dialogue(one, detector, knowledge), knowledge) for one in dialogues))
    assert found["techniques"]["leaf"]["micro"]["f1"] >= 0.60
    assert found["techniques"]["phase"]["micro"]["f1"] >= 0.65
    assert found["attitudes"]["accuracy"] >= 0.6
    assert found["quality"]["weighted_kappa"] >= 0.25
    assert found["to_coach"]["accuracy"] >= 0.95


@pytest.mark.parametrize(
    ("text", "language", "phase", "technique"),
    [
        ("Aan welk bedrag zit ge zo ongeveer te denken?", "nl", 2, "2.1.1.6"),
        ("Wie moet er bij jullie nog ja zeggen?", "nl", 2, "2.1.1.8"),
        ("So where did you come across our name?", "en", 2, "2.1.1.1"),
        ("And what toll has that taken on you?", "en", 2, "2.3"),
        ("Is it the Friday you prefer, or the Saturday?", "en", 4, "4.3.4"),
    ],
)
def test_other_words_for_the_same(detector: Any, text: str, language: Language, phase: int, technique: str) -> None:
    context = DetectionContext(phase=phase, committed=phase > 2)
    assert technique in detector.detect(text, language, context).techniques


def test_two_themes_in_one_breath(detector: Any) -> None:
    found = detector.detect("And who signs for it, and when do you want it live?", "en", DetectionContext(phase=2))
    assert set(found.techniques) == {"2.1.1.8", "2.1.1.7"}
    assert found.stacked


def test_the_context_decides_between_the_same_words(detector: Any) -> None:
    text = "Voor u betekent dat dus rust in het weekend."
    presenting, closing = DetectionContext(phase=3, committed=True), DetectionContext(phase=4, committed=True)
    assert detector.detect(text, "nl", presenting).techniques == ("3.4",)
    assert detector.detect(text, "nl", closing).techniques == ("4.3.3",)


def test_a_technique_called_by_its_name_is_talk_about_it(detector: Any) -> None:
    context = DetectionContext(phase=2, attitude="vaag")
    assert detector.detect("Can you explain impact questions?", "en", context).techniques == ()


@pytest.mark.parametrize("text", ["", "   ", "...", "?", "euh", "日本語", "a" * 5000])
def test_odd_turns_are_no_trouble(detector: Any, text: str) -> None:
    assert detector.detect(text, "nl").evidence in text
    detector.attitude(text, "nl")
    assert detector.is_clear_yes(text, "nl") is False


@pytest.mark.parametrize(
    ("text", "phase", "attitude"),
    [
        ("Zo'n bedrag krijg ik er bij ons nooit door.", 3, "bezwaar"),
        ("Ik wil het eerst nog met mijn zus bespreken.", 4, "uitstel"),
        ("Ik vrees dat mijn mensen gaan weglopen.", 4, "angst"),
        ("Een stuk of dertig per week.", 2, None),
    ],
)
def test_attitudes(detector: Any, text: str, phase: int, attitude: str | None) -> None:
    assert detector.attitude(text, "nl", phase) == attitude


@pytest.mark.parametrize("text", ["Ja, misschien wel.", "Ik denk het.", "Ja maar wat kost dat?", "We zien wel."])
def test_a_hedge_opens_no_gate(detector: Any, text: str) -> None:
    assert not detector.is_clear_yes(text, "nl")
