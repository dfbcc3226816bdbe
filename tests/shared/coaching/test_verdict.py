"""Quality and errors of a turn, rule by rule."""

from __future__ import annotations

import pytest

from shared.coaching.detection import Detection, DetectionContext
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.coaching.verdict import HARD_FAILS
from shared.events import Language


def judge(text: str, language: Language = "nl", **context: object) -> Detection:
    return default_detector().detect(text, language, DetectionContext(**context))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "context", "error"),
    [
        ("Wie beslist er mee, en wat is uw budget, en wanneer wilt u starten?", {"phase": 2}, "stacked_questions"),
        ("U wilt toch zeker ook minder kosten?", {"phase": 2}, "suggestive_question"),
        ("Laat me u ons platform tonen.", {"phase": 2}, "premature_pitch"),
        ("Laat me u ons platform tonen.", {"phase": 2}, "no_commitment_before_phase3"),
        ("Top, dan gaan we verder!", {"phase": 2, "attitude": "vaag"}, "accepted_vague_yes"),
        ("Ja maar, wij zijn beter.", {"phase": 4, "attitude": "bezwaar"}, "argues_with_objection"),
        ("Dan krijgt u tien procent korting.", {"phase": 4, "attitude": "bezwaar"}, "discount_reflex"),
        ("Als u vandaag tekent, lukt het nog.", {"phase": 4}, "pressure"),
        ("Alles is gedekt, voor altijd.", {"phase": 4}, "overclaim"),
        ("Maak u geen zorgen.", {"phase": 4, "attitude": "angst"}, "dismisses_concern"),
        ("Dan hoor ik het wel van u.", {"phase": 4, "attitude": "uitstel"}, "gives_up"),
        ("Wilt u het kopen?", {"phase": 4, "committed": True}, "yes_no_close"),
        ("Wij zijn de beste van de markt.", {"phase": 1}, "generic_claims"),
        ("Dat kost u veel geld.", {"phase": 2}, "tells_instead_of_asks"),
        ("woord " * 130, {"phase": 2}, "monologue"),
        ("Daar kom ik straks op terug.", {"phase": 2, "attitude": "vraag"}, "no_redirect"),
    ],
)
def test_errors(text: str, context: dict[str, object], error: str) -> None:
    assert error in judge(text, **context).errors


@pytest.mark.parametrize(
    ("better", "worse", "phase"),
    [
        ("Dus u wilt rust en geen gebel meer, klopt dat?", "Dus u wilt rust en geen gebel meer.", 2),
        ("Wat betekent dat voor u?", "Betekent dat veel voor u, de gevolgen?", 2),
        ("Wie beslist er mee?", "Wie beslist er mee, en wat is uw budget, en wanneer wilt u starten?", 2),
        (
            "Ik stel voor dat we eerst kennismaken, dan uw situatie bekijken en op het eind beslissen. Past dat?",
            "Ik stel voor dat we eerst kennismaken, dan uw situatie bekijken en op het eind beslissen.",
            1,
        ),
    ],
)
def test_taking_an_element_away_lowers_the_quality(better: str, worse: str, phase: int) -> None:
    order = ["missed", "partial", "ok"]
    first, second = judge(better, phase=phase), judge(worse, phase=phase)
    assert first.quality == "ok"
    assert order.index(second.quality or "missed") < 2


def test_the_same_words_after_a_yes_are_no_error() -> None:
    early = judge("Daarom plaatsen we een reservetoestel bij u.", phase=2)
    late = judge("Daarom plaatsen we een reservetoestel bij u.", phase=3, committed=True)
    assert (early.quality, late.quality) == ("missed", "ok")
    assert late.errors == ()


def test_nothing_due_and_nothing_done_is_no_verdict() -> None:
    assert judge("Oké, dank u.", phase=2).quality is None


def test_hard_fails_are_codes_of_the_method() -> None:
    assert set(load_knowledge().error_codes) >= HARD_FAILS
