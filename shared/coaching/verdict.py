"""How well a technique was used, and which errors the rules can see. Pure decisions on what was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shared.coaching.detection import DetectionContext
from shared.coaching.knowledge import Knowledge, Quality
from shared.coaching.patterns import Patterns
from shared.coaching.questions import Questions, hits
from shared.coaching.words import Sentence

MONOLOGUE_WORDS = 120

HARD_FAILS = frozenset(
    [
        "parked_in_phase4",
        "overclaim",
        "premature_pitch",
        "no_commitment_before_phase3",
        "pressure",
        "argues_with_objection",
        "discount_reflex",
        "competitor_bashing",
        "accepted_vague_yes",
        "dismisses_concern",
        "gives_up",
        "feature_dump",
    ]
)
"""Errors that make a turn missed, whatever technique can be recognised in it."""

_OPEN_DUE = frozenset(
    [
        "1.4",
        "2.1.2",
        "2.2",
        "2.3",
    ]
)
_ONE_TOPIC = ("2.4", "3.5", "4.")  # these ask twice about one thing by their nature
_OFF_RAMPS = frozenset(
    [
        "bezwaar",
        "angst",
        "uitstel",
        "twijfel",
    ]
)


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn as the detector found it. `suspected`: error codes that its wording resembles, beside the patterns."""

    sentences: tuple[Sentence, ...]
    questions: Questions
    techniques: tuple[str, ...]
    expected: tuple[str, ...]
    context: DetectionContext
    suspected: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Techniques that count, their quality, and the errors in the order of the knowledge file."""

    techniques: tuple[str, ...]
    quality: Quality | None
    errors: tuple[str, ...]


def judge(turn: Turn, patterns: Patterns, knowledge: Knowledge) -> Verdict:
    """Return the verdict on a turn."""
    seen = set(_errors(turn, patterns))
    errors = tuple(code for code in knowledge.error_codes if code in seen)
    techniques = turn.techniques
    if "suggestive_question" in seen and not turn.questions.has_open:
        techniques = tuple(item for item in techniques if not item.startswith("2."))
    if {"argues_with_objection", "discount_reflex", "accepted_vague_yes"} & seen:
        techniques = ()  # the words may look like a technique; the turn does its opposite
    return Verdict(techniques, _quality(turn, techniques, seen, patterns), errors)


def _quality(turn: Turn, techniques: tuple[str, ...], errors: set[str], patterns: Patterns) -> Quality | None:
    if errors & HARD_FAILS:
        return "missed"
    if not techniques:
        return "missed" if errors or turn.expected else None
    if errors or any(_is_half(item, turn, patterns) for item in techniques):
        return "partial"
    return "ok"


def _is_half(technique: str, turn: Turn, patterns: Patterns) -> bool:
    """Tell whether an element that the technique's criteria ask for is missing."""
    questions = turn.questions
    if technique in _OPEN_DUE:
        return questions.any and not questions.has_open
    if technique == "1.2":
        return not (_has(turn, patterns, "consent") and sum(len(s.tokens) for s in turn.sentences) > 16)
    if technique == "1.3":
        return not _has(turn, patterns, "numbers")
    if technique in ("2.4", "3.7"):
        return not (questions.any or questions.confirms)
    return technique == "4.1" and questions.forms == ("closed",) and _has_error(turn, patterns, "yes_no_close")


def _errors(turn: Turn, patterns: Patterns) -> Iterator[str]:
    yield from _question_errors(turn)
    yield from _gate_errors(turn, patterns)
    yield from _reply_errors(turn, patterns)
    yield from _claim_errors(turn, patterns)


def _question_errors(turn: Turn) -> Iterator[str]:
    questions, techniques = turn.questions, turn.techniques
    leading = "leading" in questions.forms or "suggestive_question" in turn.suspected
    if leading and not any(item.startswith(("2.4", "3.7", "4.")) for item in techniques):
        yield "suggestive_question"
    themes = [item for item in techniques if item.startswith("2.1.1")]
    one_topic = any(item.startswith(_ONE_TOPIC) for item in techniques)
    many = questions.heads >= 2 and len(themes) >= 2
    apart = len(questions.forms) >= 2 and not questions.linked and not questions.confirms
    if questions.heads >= 4 or (not one_topic and (many or apart)):
        yield "stacked_questions"
    if set(questions.forms) == {"closed"} and any(item in _OPEN_DUE for item in techniques):
        yield "closed_question"
    if not questions.any and sum(len(sentence.tokens) for sentence in turn.sentences) > MONOLOGUE_WORDS:
        yield "monologue"


def _gate_errors(turn: Turn, patterns: Patterns) -> Iterator[str]:
    context, techniques = turn.context, turn.techniques
    early = context.phase in (1, 2) and not context.committed
    if early and any(item in ("3.2", "3.3", "3.4") for item in techniques):
        yield "premature_pitch"
        yield "no_commitment_before_phase3"
    if early and (_has_error(turn, patterns, "premature_close") or "4.1" in techniques):
        yield "premature_close"
    if context.phase == 4 and "2.1.4" in techniques:
        yield "parked_in_phase4"
    if "2.1.4" in techniques and not turn.questions.any:
        yield "no_redirect"
    if "4.2.1" in techniques and not turn.questions.any:
        yield "no_return_to_close"


def _reply_errors(turn: Turn, patterns: Patterns) -> Iterator[str]:
    attitude, techniques = turn.context.attitude, turn.techniques
    answered = any(item == want or item.startswith(f"{want}.") for item in techniques for want in turn.expected)
    goes_on = _has(turn, patterns, "advance") or "accepted_vague_yes" in turn.suspected
    if attitude in ("vaag", "ontwijkend") and not answered and not turn.questions.any and goes_on:
        yield "accepted_vague_yes"
        yield "ignores_attitude"
    elif turn.expected and attitude != "positief" and not techniques and not turn.questions.any:
        yield "ignores_attitude"
    if attitude == "bezwaar" and not turn.questions.any and _has_error(turn, patterns, "argues_with_objection"):
        yield "argues_with_objection"
    if attitude == "uitstel" and not turn.questions.any and _has_error(turn, patterns, "gives_up"):
        yield "gives_up"
    if attitude in ("angst", "twijfel") and _has_error(turn, patterns, "dismisses_concern"):
        yield "dismisses_concern"
    first_reply = attitude in _OFF_RAMPS and not any(item in turn.context.done[-2:] for item in turn.expected)
    if first_reply and answered and attitude in ("bezwaar", "angst") and not _has(turn, patterns, "acknowledge"):
        yield "no_acknowledgement"


def _claim_errors(turn: Turn, patterns: Patterns) -> Iterator[str]:
    for code in ("discount_reflex", "competitor_bashing", "pressure", "generic_claims"):
        if _has_error(turn, patterns, code):
            yield code
    for code in ("overclaim", "tells_instead_of_asks", "announce_only"):
        told = any(not sentence.asks and hits(patterns.errors.get(code, ()), sentence) for sentence in turn.sentences)
        if told or (code in turn.suspected and not turn.questions.any):
            yield code
    if "feature_dump" in turn.suspected and not turn.questions.any and _presents(turn):
        yield "feature_dump"
    if "4.1" in turn.techniques and _has_error(turn, patterns, "yes_no_close") and "choice" not in turn.questions.forms:
        yield "yes_no_close"


def _presents(turn: Turn) -> bool:
    return all(item.startswith("3.") for item in turn.techniques)


def _has(turn: Turn, patterns: Patterns, form: str) -> bool:
    return any(hits(patterns.forms[form], sentence) for sentence in turn.sentences)


def _has_error(turn: Turn, patterns: Patterns, code: str) -> bool:
    return code in turn.suspected or any(hits(patterns.errors.get(code, ()), sentence) for sentence in turn.sentences)
