"""What a model is told."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from services.coach_worker.brain import Heard
from services.coach_worker.policy import PolicyBrain
from services.coach_worker.prompts import MAX_LINE_CHARS, MAX_LINES, system_prompt, user_prompt
from shared.coaching.conversation import Conversation
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.events import Prosody, Timing, VoiceToCoach


def prompt_of(text: str, n_before: int = 0) -> dict[str, object]:
    talk = Conversation(load_knowledge(), default_detector(), "nl")
    talk.persona = "P" * 5_000
    for number in range(n_before):
        talk.hear_user(f"v{number}", "x" * 1_000)
    message = VoiceToCoach("u1", text, Timing(), Prosody(), False, "nl", 0, 1)
    heard = Heard(message, talk.hear_user("u1", text, "nl"))
    found: dict[str, object] = json.loads(user_prompt(talk, heard, PolicyBrain().compose(talk, "s", heard)))
    return found


@settings(deadline=None)  # the first example loads the detector
@given(st.text(min_size=1, max_size=200))
def test_whatever_is_said_stays_a_string(text: str) -> None:
    assert prompt_of(text)["newest_seller_turn"] == text


def test_the_verdict_the_plan_and_the_names_go_along() -> None:
    found = prompt_of("Laat me u ons platform tonen.")
    assert isinstance(found["plan"], dict)
    assert found["draft"]
    assert isinstance(found["next_technique"], dict) or found["next_technique"] is None


def test_the_prompt_is_bounded() -> None:
    found = prompt_of("ja " * 5_000, n_before=60)
    assert len(json.dumps(found)) < (MAX_LINES + 8) * MAX_LINE_CHARS + 4_000


def test_the_rules_are_in_the_language_and_flavour() -> None:
    assert "Vlaanderen" in system_prompt("nl", "nl-BE")
    assert "Nederland" in system_prompt("nl", "nl-NL")
    assert "one question" in system_prompt("en", "en-GB")
    assert all("JSON" in system_prompt(language, "") for language in ("nl", "en"))  # type: ignore[arg-type]
