"""The rule-based detector: word patterns, the form of the questions, and what the talk had come to.

Deterministic and fast (well under a millisecond a turn). A model-based detector takes the same Protocol.
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
from shared.coaching.patterns import Patterns, RuleSet, load_patterns
from shared.coaching.questions import Questions, find_questions, hits
from shared.coaching.verdict import Turn, judge
from shared.coaching.words import Sentence, sentences
from shared.events import Language

__all__ = ["NO_CONTEXT", "Detection", "DetectionContext", "Detector", "RuleDetector", "attitude", "default_detector"]

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

_OBJECTION = "4.2.4"  # its fifth step, enlarging the benefits, is done by an impact question


@dataclass(frozen=True, slots=True)
class _Found:
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
        chosen = _choose(ranked, context)
        turn = Turn(found, questions, tuple(item.technique for item in chosen), expected, context)
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

    def _rank(
        self, found: tuple[Sentence, ...], questions: Questions, patterns: Patterns, context: DetectionContext
    ) -> list[_Found]:
        ranked: list[_Found] = []
        for technique, rules in patterns.techniques.items():
            score, place = _match(rules, found)
            if score == 0.0:
                continue
            score += self._support(technique, found[place], questions, context)
            if score >= _ENOUGH:
                ranked.append(_Found(technique, score, place))
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
def default_detector() -> RuleDetector:
    """Return the detector on the packaged knowledge and patterns; built on the first call only."""
    return RuleDetector(load_knowledge(), load_patterns("nl"), load_patterns("en"))


def attitude(text: str, language: Language, phase: int | None = None) -> str | None:
    """Return the key of the customer's attitude by the default detector, or None."""
    return default_detector().attitude(text, language, phase)


def _match(rules: RuleSet, found: tuple[Sentence, ...]) -> tuple[float, int]:
    """Return the best score of a technique and the sentence it stands in; (0, 0) where there is none."""
    best, place, n_weak = 0.0, 0, 0
    for index, sentence in enumerate(found):
        strong = sum(1 for row in rules.strong if row.search(sentence.line))
        weak = sum(1 for row in rules.weak if row.search(sentence.line))
        n_weak += weak
        score = _STRONG + 0.4 * (strong - 1) + 0.2 * min(weak, 2) if strong else _WEAK if weak else 0.0
        if score > best:
            best, place = score, index
    if best == _WEAK and n_weak > 1:
        best += 0.5
    return best, place


def _choose(ranked: list[_Found], context: DetectionContext) -> list[_Found]:
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
        if len(chosen) < MAX_TECHNIQUES and near and _go_together(chosen[0], item):
            chosen.append(item)
    goes_on = context.phase == 4 and context.done[-1:] == (_OBJECTION,)
    if goes_on and [item.technique for item in chosen] == ["2.3"]:
        chosen.append(_Found(_OBJECTION, _ENOUGH, chosen[0].sentence))
    return chosen


def _go_together(first: _Found, second: _Found) -> bool:
    """Tell whether two techniques may both count: they stand apart, or the method joins them in one breath."""
    if first.sentence != second.sentence:
        return True
    pair = {first.technique, second.technique}
    return all(item.startswith("2.1.1.") for item in pair) or pair in _ONE_BREATH


def _speaks_to_coach(
    found: tuple[Sentence, ...], patterns: Patterns, context: DetectionContext, ranked: list[_Found]
) -> bool:
    """Tell talk to the coach from a line for the customer: only the latter is scored."""
    to_coach = any(hits(patterns.forms["to_coach"], sentence) for sentence in found)
    to_customer = any(hits(patterns.forms["to_customer"], sentence) for sentence in found)
    if context.to_coach:
        return not to_customer or (to_coach and not ranked)
    return to_coach and not to_customer
