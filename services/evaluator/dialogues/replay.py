"""A dialogue judged turn by turn, by the same fold that a session goes through. The labels are no input."""

from __future__ import annotations

from dataclasses import dataclass

from services.evaluator.dialogues.reading import Dialogue
from services.evaluator.scoring import TurnVerdict
from shared.coaching.conversation import Conversation
from shared.coaching.detection import Detection, Detector
from shared.coaching.knowledge import Knowledge


@dataclass(frozen=True, slots=True)
class JudgedDialogue:
    """What the detector saw. `seen` and `attitudes` are by turn number; `is_committed`: phase 3 was open at the end."""

    dialogue: Dialogue
    seen: dict[int, Detection]
    attitudes: dict[int, str | None]
    verdicts: tuple[TurnVerdict, ...]
    is_committed: bool


def judge_dialogue(dialogue: Dialogue, detector: Detector, knowledge: Knowledge) -> JudgedDialogue:
    """Return what the detector sees in each turn, with what the talk had come to as its context."""
    talk = Conversation(knowledge, detector, dialogue.lang, dialogue.locale)
    seen: dict[int, Detection] = {}
    attitudes: dict[int, str | None] = {}
    verdicts: list[TurnVerdict] = []
    for number, turn in enumerate(dialogue.turns):
        if turn.speaker == "customer":
            attitudes[number] = talk.hear_customer(turn.text)
        elif turn.speaker == "coach":
            talk.hear_hugo(str(number), turn.text)
        else:
            heard = talk.hear_user(str(number), turn.text)
            seen[number] = heard.detection
            verdicts.append(_verdict(number, heard.detection, heard.attitude, knowledge))
    return JudgedDialogue(dialogue, seen, attitudes, tuple(verdicts), talk.committed)


def _verdict(number: int, found: Detection, attitude: str | None, knowledge: Knowledge) -> TurnVerdict:
    handled: bool | None = None
    if attitude is not None and found.scored and found.expected:
        handled = found.quality in {"ok", "partial"} and any(
            knowledge.is_within(item, wanted) for item in found.techniques for wanted in found.expected
        )
    return TurnVerdict(
        turn=str(number),
        start_ms=0,
        end_ms=0,
        techniques=found.techniques,
        quality=found.quality,
        phase=found.phase,
        errors=found.errors,
        evidence=found.evidence,
        attitude=attitude,
        expected=found.expected,
        is_handled=handled,
        is_scored=found.scored,
        is_final=True,
    )
