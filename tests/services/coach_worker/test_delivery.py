"""Delivery hints."""

from __future__ import annotations

import pytest

from services.coach_worker.delivery import THINKING_PAUSE_S, hints_for
from shared.events import Pause, Prosody, Timing, VoiceToCoach


def heard(pace: str = "normal", **prosody: object) -> VoiceToCoach:
    return VoiceToCoach("u1", "x", Timing(speech_pace=pace), Prosody(**prosody), False, "nl", 0, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "pacing"),
    [
        (None, "normal"),
        (heard(), "normal"),
        (heard("slow"), "normal"),
        (heard("fast"), "slow"),
        (heard(energy=0.9), "slow"),
        (heard(energy=None), "normal"),
        (heard(emotion="frustrated"), "slow"),
    ],
)
def test_pacing(message: VoiceToCoach | None, pacing: str) -> None:
    assert hints_for("Goed.", "body", message, "praise").pacing == pacing


def test_a_hard_question_leaves_a_silence() -> None:
    assert hints_for("Welke vraag stel je nu?", "ask", None, "praise").pauses == (Pause("nu?", THINKING_PAUSE_S),)
    assert hints_for("En jij?", "ask", None, "praise").pauses == ()


def test_a_long_sentence_takes_a_breath_at_its_comma() -> None:
    text = "Je stelde drie vragen in één adem, en dan kiest de klant de makkelijkste."
    (pause,) = hints_for(text, "body", None, "correct").pauses
    assert pause.after == "adem,"
    assert 0 < pause.duration < 1


def test_tone() -> None:
    assert hints_for("Dat is geen ja.", "body", heard(), "correct").tone == "challenging"
    assert hints_for("Dat is geen ja.", "body", heard(emotion="uncertain"), "correct").tone == "supportive"
    assert hints_for("Mooi.", "opener", heard(), "praise").tone == "supportive"
    assert hints_for("Je klant zegt: “Te duur.”", "cue", heard(), "praise").tone == "neutral"


def test_stress_is_on_names_and_words_of_the_text() -> None:
    hints = hints_for("Nu komt Commitment, en stel één vraag.", "ask", None, "correct", ("Commitment", "Probe"))
    assert hints.emphasis == ("Commitment", "Nu")
