"""The detector that generalises: the rules, a classifier on sentence vectors beside them, and the talk's context.

The rules still decide quality and errors, and their hits are features of the classifier. What neither the words nor
the context make likely is not reported.
"""

from __future__ import annotations

import math
import re

from shared.coaching.detection import DetectionContext
from shared.coaching.detector import OBJECTION, Found, RuleDetector, goes_on_with_objection, may_go_together
from shared.coaching.encoder.classifier import NONE, Classifier, load_classifier
from shared.coaching.encoder.features import Features
from shared.coaching.encoder.use import SentenceEncoder, load_encoder
from shared.coaching.expectation import log_odds
from shared.coaching.knowledge import Knowledge, id_key, load_knowledge
from shared.coaching.patterns import Patterns, load_patterns
from shared.coaching.questions import Questions, hits, question_parts
from shared.coaching.words import Sentence, sentences, words
from shared.events import Language

LEARNED_VERSION = "learned-1"
DECIMALS = 3
"""Scores are rounded so before they are compared: the last digits differ between processors."""

MAX_SENTENCES = 16
"""Sentences of a turn that are looked at one by one; a longer turn is judged as a whole beyond them."""

_LEAST = 1e-4
_RULE_BONUS = 0.4  # a technique that the rules found by strong words
_FIRST = 0.15  # least share of the first technique among all
_ASIDE = 0.60  # the same where a technique is called by its name: nobody says "trial close" to a customer
_SECOND = 0.60  # least share of a second one, within its own sentences
_SECOND_BY_RULE = 0.30
_THEME = "2.1.1"
_WHOLE, _PART = 0.6, 0.4
_ATTITUDE = 0.50  # least share of an attitude that the rules do not see
_RULE_SHARE = 0.15
_BLOCKS = frozenset(["bezwaar", "angst", "uitstel", "twijfel"])
_ERROR = 0.50  # least share of an error code


def load_learned() -> LearnedDetector:
    """Return the detector on the packaged data and the installed encoder. Raises EncoderMissing, ConfigError."""
    encoder = load_encoder()
    return LearnedDetector(load_knowledge(), load_patterns("nl"), load_patterns("en"), encoder, load_classifier())


class LearnedDetector(RuleDetector):
    """Finds what the rules find and what is said in other words."""

    def __init__(
        self, knowledge: Knowledge, nl: Patterns, en: Patterns, encoder: SentenceEncoder, classifier: Classifier
    ) -> None:
        super().__init__(knowledge, nl, en)
        self._classifier = classifier
        self._names: dict[Language, tuple[str, ...]] = {"nl": _names(knowledge, "nl"), "en": _names(knowledge, "en")}
        self._features = Features(knowledge, self._patterns, encoder)
        self.version = f"{LEARNED_VERSION}:{classifier.fingerprint[:8]}+{self.version}"

    def _pick(
        self,
        ranked: list[Found],
        found: tuple[Sentence, ...],
        questions: Questions,
        language: Language,
        context: DetectionContext,
    ) -> list[Found]:
        shares = self._shares(found, ranked, language, context)
        first = max(shares, key=lambda name: (shares[name], name))
        aside = not ranked and any(name in one.line for name in self._names[language] for one in found)
        if first == NONE or shares[first] < (_ASIDE if aside else _FIRST):
            return []
        alone = [self._shares((sentence,), [], language, context) for sentence in found[:MAX_SENTENCES]]
        place = max(range(len(alone)), key=lambda at: (alone[at].get(first, 0.0), -at))
        chosen = [Found(first, shares[first], place)]
        if first == "2.3" and goes_on_with_objection(context):
            return [Found(OBJECTION, shares[first], place), *chosen]
        second = self._second(chosen[0], ranked, alone) or self._other_theme(chosen[0], found, language, context)
        return [*chosen, *([second] if second else [])]

    def _second(self, first: Found, ranked: list[Found], alone: list[dict[str, float]]) -> Found | None:
        """Return a technique of another sentence that is sure by itself, or that the rules found there as well."""
        by_rule = {item.technique for item in ranked}
        sure = [
            Found(name, share, at)
            for at, shares in enumerate(alone)
            for name, share in shares.items()
            if name not in (NONE, first.technique) and share >= (_SECOND_BY_RULE if name in by_rule else _SECOND)
        ]
        fit = [other for other in sure if may_go_together(first, other)]
        return max(fit, key=lambda item: (item.score, id_key(item.technique)), default=None)

    def _other_theme(
        self, first: Found, found: tuple[Sentence, ...], language: Language, context: DetectionContext
    ) -> Found | None:
        """Return a second theme that one sentence asks about in the same breath as the first."""
        if not first.technique.startswith(_THEME):
            return None
        parts = question_parts(found[first.sentence], self._patterns[language])
        themes = [
            Found(name, share, first.sentence)
            for part in (parts if len(parts) > 1 else ())
            for name, share in self._shares((part,), [], language, context).items()
            if name.startswith(_THEME) and name != first.technique and share >= _SECOND_BY_RULE
        ]
        return max(themes, key=lambda item: (item.score, id_key(item.technique)), default=None)

    def _shares(
        self, found: tuple[Sentence, ...], ranked: list[Found], language: Language, context: DetectionContext
    ) -> dict[str, float]:
        """Return each technique's share, NONE's too, by words and context together; 1 in all."""
        said = self._said(found, language)
        by_rule = {item.technique for item in ranked}
        scores = {}
        for name, share in said.items():
            score = math.log(max(share, _LEAST))
            if name != NONE:
                score += log_odds(name, context, self._knowledge) + (_RULE_BONUS if name in by_rule else 0.0)
            scores[name] = round(score, DECIMALS)
        highest = max(scores.values())
        powers = {name: math.exp(score - highest) for name, score in scores.items()}
        total = sum(powers.values())
        return {name: round(power / total, DECIMALS) for name, power in powers.items()}

    def _said(self, found: tuple[Sentence, ...], language: Language) -> dict[str, float]:
        """Return the classifier's shares of a turn: of all its sentences at once, and of the surest single one."""

        def shares(part: tuple[Sentence, ...]) -> dict[str, float]:
            return self._classifier.techniques.probabilities(self._features.of_seller(part, language))

        whole = shares(found)
        if len(found) == 1:
            return whole
        parts = [shares((sentence,)) for sentence in found[:MAX_SENTENCES] if len(sentence.tokens) > 1]
        return {
            name: _WHOLE * share + _PART * (max(part[name] for part in parts) if parts and name != NONE else share)
            for name, share in whole.items()
        }

    def _suspected(self, found: tuple[Sentence, ...], language: Language) -> frozenset[str]:
        """Return the error codes that the turn or one of its sentences resembles."""
        parts = [found, *((sentence,) for sentence in found[:MAX_SENTENCES] if len(found) > 1)]
        codes: set[str] = set()
        for part in parts:
            shares = self._classifier.errors.probabilities(self._features.of_seller(part, language))
            codes.update(code for code, share in shares.items() if code != NONE and share >= _ERROR)
        return frozenset(codes)

    def attitude(self, text: str, language: Language, phase: int | None = None) -> str | None:
        """Return the attitude in a customer's turn; those that need phase 3 or 4 are not seen before it."""
        by_rule = super().attitude(text, language, phase)
        found = sentences(text, self._patterns[language].drop)
        if not found:
            return None
        shares = self._classifier.attitudes.probabilities(self._features.of_customer(found, language))
        legal = {
            key: round(share + (_RULE_SHARE if key == by_rule else 0.0), DECIMALS)
            for key, share in shares.items()
            if key == NONE or phase is None or phase in self._knowledge.attitudes[key].allowed_phases
        }
        best = max(legal, key=lambda key: (legal[key], key))
        if best == "negatief" and by_rule in _BLOCKS:
            return by_rule  # both fit: what blocks the sale is dealt with first
        return best if best != NONE and legal[best] >= _ATTITUDE else None

    def is_clear_yes(self, text: str, language: Language) -> bool:
        """Tell whether a customer agrees without a hedge, a condition or a question."""
        if super().is_clear_yes(text, language):
            return True
        patterns = self._patterns[language]
        found = sentences(text, patterns.drop)
        if any(sentence.asks or hits(patterns.forms["hedge"], sentence) for sentence in found):
            return False
        return self.attitude(text, language, 2) == "positief"


def _names(knowledge: Knowledge, language: Language) -> tuple[str, ...]:
    """Return the techniques' names of two words and more, as they stand in a sentence's line."""
    bare = (re.split(r"[(/+]", item.name(language))[0] for item in knowledge.techniques.values())
    spoken = (words(name) for name in bare)
    return tuple(f" {' '.join(name)} " for name in spoken if len(name) > 1)
