"""Decides what Hugo does with a turn: the move, its reason, and where the talk should go next. Words come later."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from services.coach_worker.intents import Intent, read_intent
from shared.coaching.conversation import Conversation, UserTurn
from shared.coaching.slots import ASKED, Slot

Move = Literal[
    "ask_slot",  # context: what do you sell, to whom
    "clarify_slot",
    "begin",  # set up the first practice line
    "praise",  # the technique was used: on to the next step
    "polish",  # nearly: one thing to change, same step again
    "correct",  # an error: name it, try again
    "nudge",  # no technique seen: point at the step that is due
    "explain",  # the seller asks what a technique is
    "help",  # the seller is stuck
    "refocus",  # the seller names what to practise
    "confirm",  # a thought shared with the coach: back to practice
    "repeat",  # not understood
    "close",  # the seller wants to stop
]

MAX_CLARIFY = 2
UNSURE_ASR = 0.25

# The step that follows on each technique; the order rules of the method.
_NEXT: tuple[tuple[str, str], ...] = (
    ("1.1", "1.2"),
    ("1.2", "1.3"),
    ("1.3", "1.4"),
    ("1.4", "2.1.1"),
    ("2.1.1", "2.3"),
    ("2.1.2", "2.3"),
    ("2.1.3", "2.3"),
    ("2.1.4", "2.1.2"),
    ("2.1.5", "2.3"),
    ("2.1.6", "2.3"),
    ("2.2", "2.3"),
    ("2.3", "2.4"),
    ("2.4", "3.2"),
    ("3.1", "3.2"),
    ("3.2", "3.4"),
    ("3.3", "3.4"),
    ("3.4", "3.5"),
    ("3.5", "3.7"),
    ("3.6", "3.5"),
    ("3.7", "4.1"),
    ("4.1", "4.3.4"),
    ("4.2", "4.1"),
    ("4.INDIEN", "4.3.4"),
    ("4.ABC", "4.1"),
    ("4.3.1", "4.3.2"),
    ("4.3.2", "4.3.3"),
    ("4.3.3", "4.3.4"),
    ("4.3.4", "4.3.5"),
    ("4.3.5", "1.4"),
)

# Which error is spoken of, if a turn has several: the one that costs the most first.
_WORST = (
    "premature_pitch",
    "accepted_vague_yes",
    "argues_with_objection",
    "discount_reflex",
    "pressure",
    "overclaim",
    "dismisses_concern",
    "gives_up",
    "parked_in_phase4",
    "competitor_bashing",
    "suggestive_question",
    "stacked_questions",
    "monologue",
    "premature_close",
    "yes_no_close",
    "tells_instead_of_asks",
    "no_acknowledgement",
    "no_redirect",
    "no_return_to_close",
    "closed_question",
    "generic_claims",
    "announce_only",
    "ignores_attitude",
)

_FOCUS_STEP = {"1": "1.1", "2": "2.3", "3": "3.2", "4": "4.1"}


@dataclass(frozen=True, slots=True)
class Decision:
    """What Hugo will do. `technique` is the one seen or asked about, `due` the one to try next."""

    move: Move
    reason: str = ""
    technique: str = ""
    due: str = ""
    slot: Slot | None = None
    focus: int | None = None
    customer: str = ""  # the attitude of the customer's line that goes with it; "" none, "plain" no attitude


def decide(conversation: Conversation, turn: UserTurn, asr_confidence: float | None) -> Decision:
    """Return the decision on a turn that the conversation has already taken in."""
    if not re.search(r"\w", turn.text) or (asr_confidence is not None and asr_confidence < UNSURE_ASR):
        return Decision("repeat", slot=read_slot(conversation))
    intent = read_intent(turn.text, turn.language, conversation.knowledge)
    special = _on_intent(conversation, turn, intent)
    if special is not None:
        return special
    if turn.detection.scored and (turn.detection.techniques or turn.detection.errors or has_begun(conversation)):
        return _on_practice(conversation, turn)
    if not has_begun(conversation):
        return _on_context(conversation)
    return Decision("confirm", due=due_step(conversation), technique=_last(conversation))


def greeting(conversation: Conversation) -> Decision:
    """Return the decision that opens a session."""
    return Decision("ask_slot", slot=ASKED[0], reason="greeting")


def due_step(conversation: Conversation) -> str:
    """Return the technique that the talk calls for now."""
    phase = conversation.phase
    if conversation.attitude and conversation.attitude != "positief":
        wanted = conversation.knowledge.expected(conversation.attitude, phase or 2)
        if wanted:
            return wanted[0]
    last = _last(conversation)
    if not last:
        return _FOCUS_STEP[str(phase)] if phase else "1.4"
    step = next_step(last)
    if step == "3.2" and not conversation.committed:
        return "2.4"
    return step


def next_step(technique: str) -> str:
    """Return the step after a technique."""
    found = [step for start, step in _NEXT if technique == start or technique.startswith(f"{start}.")]
    return found[-1] if found else "2.3"


def has_begun(conversation: Conversation) -> bool:
    """Tell whether practice has begun: a line was practised, or Hugo has asked for one."""
    return conversation.practising


def _on_intent(conversation: Conversation, turn: UserTurn, intent: Intent) -> Decision | None:
    match intent.kind:
        case "stop":
            return Decision("close", technique=_last(conversation))
        case "learn" if not (turn.detection.scored and turn.detection.techniques):
            return Decision("explain", technique=intent.technique, due=intent.technique)
        case "stuck" if not turn.detection.techniques:
            return _on_stuck(conversation)
        case "focus" if not turn.detection.techniques or not turn.detection.scored:
            return Decision("refocus", focus=intent.phase, customer=intent.attitude or "plain", due=intent.technique)
        case "ready" if not turn.detection.techniques:
            return _on_ready(conversation)
        case _:
            return None


def _on_stuck(conversation: Conversation) -> Decision:
    if not has_begun(conversation):
        return _on_context(conversation)
    due = due_step(conversation)
    return Decision("help", due=due, reason="again" if conversation.last_plan.get("move") == "help" else "")


def _on_ready(conversation: Conversation) -> Decision:
    if not has_begun(conversation):
        return Decision("begin", due="1.4")
    return Decision("confirm", due=due_step(conversation), technique=_last(conversation))


def _on_context(conversation: Conversation) -> Decision:
    """Ask for the next slot; at most two clarifications each, then go on without it."""
    asking = read_slot(conversation)
    for slot in ASKED:
        if slot in conversation.slots:
            continue
        times = conversation.asked.get(slot, 0)
        if times == 0:
            return Decision("ask_slot", slot=slot)
        if slot == asking and times <= MAX_CLARIFY:
            return Decision("clarify_slot", slot=slot)
    return Decision("begin", due="1.4")


def _on_practice(conversation: Conversation, turn: UserTurn) -> Decision:
    found = turn.detection
    technique = found.techniques[0] if found.techniques else ""
    error = next((code for code in _WORST if code in found.errors), "")
    due = due_step(conversation)
    if found.quality == "missed" or (error and error not in ("ignores_attitude",) and found.quality != "ok"):
        retry = _retry(conversation, turn, error) or due
        return Decision("correct" if error else "nudge", reason=error, technique=technique, due=retry)
    if not technique:
        return Decision("nudge", due=due)
    if found.quality == "partial":
        return Decision("polish", technique=technique, due=technique)
    return Decision("praise", technique=technique, due=due, customer=_reaction(conversation, technique))


def _retry(conversation: Conversation, turn: UserTurn, error: str) -> str:
    """Return the technique to try in place of the error."""
    found = turn.detection
    if error in ("premature_pitch", "premature_close"):
        return "2.4" if "2.3" in conversation.done else "2.3"
    if found.expected:
        return found.expected[0]
    return found.techniques[0] if found.techniques else ""


def _reaction(conversation: Conversation, technique: str) -> str:
    """Return the kind of customer's line that makes the next step necessary; chosen by the talk so far."""
    n = sum(1 for item in conversation.done if item == technique)
    if technique == "2.4":
        return "yes" if n > 1 else "vaag"
    if technique == "2.3":
        return "pain"
    if technique in ("1.4", "2.2") or technique.startswith("2.1."):
        return "problem" if n > 1 or technique in ("2.1.3", "2.1.5", "2.2") else "ontwijkend"
    if technique == "3.5":
        return "twijfel"
    if technique.startswith("3."):
        return "vraag" if n == 1 else "plain"
    if technique == "4.1":
        return ("bezwaar", "uitstel", "angst", "twijfel")[(n - 1) % 4]
    if technique == "4.2.4":
        return "opened"
    return "plain"


def read_slot(conversation: Conversation) -> Slot | None:
    """Return the slot that Hugo asked for last, if he is still waiting for it."""
    name = conversation.last_plan.get("slot")
    return next((slot for slot in ASKED if slot == name), None)


def _last(conversation: Conversation) -> str:
    return conversation.done[-1] if conversation.done else ""
