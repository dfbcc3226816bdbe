"""Both brains keep to the same interface."""

from __future__ import annotations

from services.coach_worker.brain import NO_HINTS, Brain, Part
from services.coach_worker.chat import OpenAiChat
from services.coach_worker.llm import Budget, LlmBrain
from services.coach_worker.policy import PolicyBrain
from services.coach_worker.settings import CoachSettings
from shared.coaching.conversation import Conversation
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge


async def test_every_brain_greets_with_one_question_and_ends() -> None:
    policy = PolicyBrain()
    chat = OpenAiChat(CoachSettings(llm_base_url="http://127.0.0.1:9/v1"))
    brains: list[Brain] = [policy, LlmBrain(chat, policy, Budget(1.0, 2.0, 1))]
    for brain in brains:
        conversation = Conversation(load_knowledge(), default_detector(), "en")
        parts = [part async for part in brain.greet(conversation, "s")]
        assert [part.last for part in parts][-1:] == [True]
        assert sum(part.text.count("?") for part in parts) == 1
    await chat.aclose()


def test_a_part_has_neutral_hints_unless_it_says_so() -> None:
    part = Part("Goed.")
    assert (part.hints, part.allow_interrupt, part.last, part.brain) == (NO_HINTS, True, False, "policy")
