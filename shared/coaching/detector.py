"""The rule-based detector: word patterns, the form of the questions, and what the talk had come to.

Deterministic and fast (well under a millisecond a turn). `encoder.learned` builds on it and takes the same Protocol;
`default_detector` gives the better one that is installed.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from shared.coaching.detection import (
    MAX_TECHNIQUES,
    NO_CONTEXT,
    Detection,
    DetectionContext,
    Detector,
)
from shared.coaching.knowledge import Knowledge, id_key, load_knowledge
from shared.coaching.patterns import Patterns, RuleSet, load_patterns, row_hits
from shared.coaching.questions import Questions, find_questions, hits
from shared.coaching.verdict import Turn, judge
from shared.coaching.words import Sentence, sentences
from shared.events import Language

__all__ = [
    "NO_CONTEXT",
    "Detection",
    "DetectionContext",
    "Detector",
    "RuleDetector",
    "attitude",
    "default_detector",
    "rule_detector",
]

RULES_VERSION = "rules-1"

# When several attitudes fit, the one that blocks the sale most is dealt with first.
ATTITUDE_ORDER = ("bezwaar", "angst", "uitstel", "twijfel", "vraag", "vaag", "ontwijkend", "negatief", "positief")

_STRONG = 2.0
_WEAK = 1.2
_ENOUGH = 1.8
_EXPECTED = 0.8  # an attitude's own technique: lifts a weak match over the bar
_SAME_PHASE = 0.3
_NEXT_STEP = 0.5  # the same off-ramp goes on over several turns
_FAR = 1.0
_SECOND_WITHIN = 1.1

_ASKS = frozenset(
    [
        "1.4",
        "2.1.2",
        "2.1.3",
        "2.1.5",
        "2.2",
        "2.3",
        "3.5",
        "4.1",
        "4.2.2",
        "4.2.3",
        "4.2.6",
        "4.3.4",
        "4.ABC",
        "4.INDIEN",
    ]
)
_TELLS = frozenset(
    [
        "1.3",
        "3.1",
        "3.2",
        "3.3",
        "3.4",
        "4.3.2",
        "4.3.3",
        "4.3.5",
    ]
)

# The first is dropped where the second was found as well: the second says the same thing more exactly.
_GIVES_WAY = (
    ("2.1.1", "2.1.1."),
    ("1.4", "2."),
    ("2.1.6", "2.4"),
    ("2.2", "4.2.6"),
    ("3.3", "3.4"),
    ("4.1", "4.INDIEN"),
    ("4.3.4", "4.1"),
    ("4.2.1", "3.7"),
    ("4.3.1", "3.7"),
    ("2.4", "4.INDIEN"),
    ("2.1.2", "2.1.3"),
    ("4.1", "4.3.5"),
    ("2.1.1.4", "2.2"),
    ("2.1.1", "4.2.4"),
)

# Of two that are said with the same words, the phase of the talk decides.
_BY_PHASE = {3: frozenset(["4.3.1", "4.3.2", "4.3.3"]), 4: frozenset(["3.4"])}

_ONE_BREATH = ({"4.2.1", "4.1"}, {"4.2.1", "4.3.4"}, {"2.1.3", "2.1.5"}, {"4.3.2", "4.3.3"})

OBJECTION = "4.2.4"  # its fifth step, enlarging the benefits, is done by an impact question


@dataclass(frozen=True, slots=True)
class Found:
    """A technique, how sure it is, and the number of the sentence it stands in."""

    technique: str
    score: float
    sentence: int


class RuleDetector:
    """Finds techniques by the packaged word patterns."""

    def __init__(self, knowledge: Knowledge, nl: Patterns, en: Patterns) -> None:
        self._knowledge = knowledge
        self._patterns: dict[Language, Patterns] = {"nl": nl, "en": en}
        self.version = f"{RULES_VERSION}:{nl.fingerprint[:8]}{en.fingerprint[:8]}"

    def detect(self, text: str, language: Language, context: DetectionContext = NO_CONTEXT) -> Detection:
        """Return what the seller's turn shows. An empty turn shows nothing and is not scored."""
        patterns = self._patterns[language]
        found = sentences(text, patterns.drop)
        expected = self._knowledge.expected(context.attitude, context.phase)
        if not found:
            return Detection(scored=False, phase=context.phase, expected=expected)
        questions = find_questions(found, patterns)
        ranked = self._rank(found, questions, patterns, context)
        if _speaks_to_coach(found, patterns, context, ranked):
            return Detection(question_forms=questions.forms, scored=False, phase=context.phase, expected=expected)
        chosen = self._pick(ranked, found, questions, language, context)
        named = tuple(item.technique for item in chosen)
        turn = Turn(found, questions, named, expected, context, self._suspected(found, language))
        verdict = judge(turn, patterns, self._knowledge)
        techniques = verdict.techniques
        phase = self._knowledge.technique(techniques[0]).phase if techniques else context.phase
        return Detection(
            techniques=techniques,
            quality=verdict.quality,
            errors=verdict.errors,
            evidence=found[chosen[0].sentence].raw if techniques else "",
            question_forms=questions.forms,
            stacked="stacked_questions" in verdict.errors,
            phase=phase,
            expected=expected,
        )

    def attitude(self, text: str, language: Language, phase: int | None = None) -> str | None:
        """Return the attitude in a customer's turn; those that need phase 3 or 4 are not seen before it."""
        patterns = self._patterns[language]
        found = sentences(text, patterns.drop)
        for key in ATTITUDE_ORDER:
            if phase is not None and phase not in self._knowledge.attitudes[key].allowed_phases:
                continue
            rules = patterns.attitudes.get(key)
            if rules is not None and any(hits(rules.strong, sentence) for sentence in found):
                return key
        return None

    def is_clear_yes(self, text: str, language: Language) -> bool:
        """Tell whether a customer agrees without a hedge, a condition or a question."""
        patterns = self._patterns[language]
        found = sentences(text, patterns.drop)
        said = any(hits(patterns.forms["clear_yes"], sentence) for sentence in found)
        weakened = any(sentence.asks or hits(patterns.forms["hedge"], sentence) for sentence in found)
        return said and not weakened

    def _pick(
        self,
        ranked: list[Found],
        found: tuple[Sentence, ...],
        questions: Questions,
        language: Language,
        context: DetectionContext,
    ) -> list[Found]:
        """Return at most two of what was found, the surest first."""
        return _choose(ranked, context)

    def _suspected(self, found: tuple[Sentence, ...], language: Language) -> frozenset[str]:
        """Return the error codes that the wording resembles; the rules know patterns only."""
        return frozenset()

    def _rank(
        self, found: tuple[Sentence, ...], questions: Questions, patterns: Patterns, context: DetectionContext
    ) -> list[Found]:
        ranked: list[Found] = []
        for technique, rules in patterns.techniques.items():
            score, place = _match(rules, found)
            if score == 0.0:
                continue
            score += self._support(technique, found[place], questions, context)
            if score >= _ENOUGH:
                ranked.append(Found(technique, score, place))
        ranked.sort(key=lambda item: (-item.score, id_key(item.technique)))
        return ranked

    def _support(self, technique: str, sentence: Sentence, questions: Questions, context: DetectionContext) -> float:
        phase = self._knowledge.technique(technique).phase
        support = 0.0
        if technique in self._knowledge.expected(context.attitude, context.phase):
            support += _EXPECTED
        if context.phase is not None:
            support += _SAME_PHASE if phase == context.phase else -0.05 * abs(phase - context.phase)
            support -= _FAR if technique in _BY_PHASE.get(context.phase, ()) else 0.0
            support -= _FAR if phase == 4 and context.phase <= 2 and not context.committed else 0.0
            support -= _FAR if phase == 1 and context.phase >= 3 else 0.0
        if technique.startswith("4.2.") and context.done[-1:] == (technique,):
            support += _NEXT_STEP
        if (technique in _ASKS or technique.startswith("2.1.1")) and not questions.any:
            support -= _FAR
        if technique in _TELLS and sentence.asks:
            support -= _FAR
        return support


@functools.cache
def default_detector() -> Detector:
    """Return the detector on the packaged data; built on the first call only (about a second).

    With the sentence encoder it is the learned one. Where numpy or the encoder's package is not installed it is the
    rules alone: `version` says which, and the coach and the evaluator of a deployment should have the same.
    """
    try:
        from shared.coaching.encoder.learned import load_learned
        from shared.coaching.encoder.use import EncoderMissing
    except ImportError:
        return rule_detector()
    try:
        return load_learned()
    except EncoderMissing:
        return rule_detector()


@functools.cache
def rule_detector() -> RuleDetector:
    """Return the detector that needs nothing but the packaged patterns."""
    return RuleDetector(load_knowledge(), load_patterns("nl"), load_patterns("en"))


def attitude(text: str, language: Language, phase: int | None = None) -> str | None:
    """Return the key of the customer's attitude by the default detector, or None."""
    return default_detector().attitude(text, language, phase)


def _match(rules: RuleSet, found: tuple[Sentence, ...]) -> tuple[float, int]:
    """Return the best score of a technique and the sentence it stands in; (0, 0) where there is none."""
    best, place, n_weak = 0.0, 0, 0
    for index, sentence in enumerate(found):
        strong, weak = (hit.bit_count() for hit in row_hits(rules, sentence.line))
        n_weak += weak
        score = _STRONG + 0.4 * (strong - 1) + 0.2 * min(weak, 2) if strong else _WEAK if weak else 0.0
        if score > best:
            best, place = score, index
    if best == _WEAK and n_weak > 1:
        best += 0.5
    return best, place


def _choose(ranked: list[Found], context: DetectionContext) -> list[Found]:
    ids = [item.technique for item in ranked]
    kept = [
        item
        for item in ranked
        if not any(
            item.technique == loser and any(other.startswith(winner) for other in ids if other != loser)
            for loser, winner in _GIVES_WAY
        )
    ]
    chosen = kept[:1]
    for item in kept[1:]:
        near = item.score >= chosen[0].score - _SECOND_WITHIN
        if len(chosen) < MAX_TECHNIQUES and near and may_go_together(chosen[0], item):
            chosen.append(item)
    if goes_on_with_objection(context) and [item.technique for item in chosen] == ["2.3"]:
        chosen.append(Found(OBJECTION, _ENOUGH, chosen[0].sentence))
    return chosen


def goes_on_with_objection(context: DetectionContext) -> bool:
    """Tell whether the turn before handled an objection at the decision, which takes several steps."""
    return context.phase == 4 and context.done[-1:] == (OBJECTION,)


def may_go_together(first: Found, second: Found) -> bool:
    """Tell whether two techniques may both count: they stand apart, or the method joins them in one breath."""
    if first.sentence != second.sentence:
        return True
    pair = {first.technique, second.technique}
    return all(item.startswith("2.1.1.") for item in pair) or pair in _ONE_BREATH


def _speaks_to_coach(
    found: tuple[Sentence, ...], patterns: Patterns, context: DetectionContext, ranked: list[Found]
) -> bool:
    """Tell talk to the coach from a line for the customer: only the latter is scored."""
    to_coach = any(hits(patterns.forms["to_coach"], sentence) for sentence in found)
    to_customer = any(hits(patterns.forms["to_customer"], sentence) for sentence in found)
    if context.to_coach:
        return not to_customer or (to_coach and not ranked)
    return to_coach and not to_customer
