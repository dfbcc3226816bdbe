"""What the classifier is given of a turn: its vector, the rules' hits, the form of its questions, its word groups."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from shared.coaching.encoder.use import Floats, SentenceEncoder
from shared.coaching.knowledge import Knowledge
from shared.coaching.patterns import Patterns, RuleSet, row_hits
from shared.coaching.questions import find_questions, hits
from shared.coaching.words import Sentence
from shared.events import Language

GRAM_BUCKETS = 2048
_RULE_WEIGHT, _FORM_WEIGHT, _GRAM_WEIGHT = 0.2, 0.25, 0.7  # so that no group drowns the vector; by cross validation
_FORMS = (
    "open",
    "closed",
    "choice",
    "leading",
    "tag",
    "anaphora",
    "consent",
    "acknowledge",
    "numbers",
    "benefit",
    "advance",
    "contrast",
    "hedge",
)
_LENGTHS = (4, 9, 18, 30)
_SAME = {
    **dict.fromkeys(("u", "ge", "gij", "jij", "jou", "uw", "jouw"), "je"),
    **{"hebt": "heb", "bent": "ben", "zijt": "ben", "kunt": "kun", "wilt": "wil", "zoudt": "zou", "vindt": "vind"},
    **{"ziet": "zie", "staat": "sta", "gaat": "ga", "doet": "doe", "denkt": "denk", "zegt": "zeg", "merkt": "merk"},
    **{"schoon": "mooi", "content": "tevreden", "allez": "nou", "plezant": "leuk", "efkes": "even", "amai": "zo"},
}


class Features:
    """Makes features. What a sentence matches is remembered, since it is asked for alone and within its turn."""

    def __init__(self, knowledge: Knowledge, patterns: Mapping[Language, Patterns], encoder: SentenceEncoder) -> None:
        self._techniques, self._attitudes = tuple(knowledge.techniques), tuple(knowledge.attitudes)
        self._patterns = patterns
        self._encoder = encoder

    @functools.lru_cache(maxsize=256)  # noqa: B019 - one object a process, and it lives as long
    def of_seller(self, found: tuple[Sentence, ...], language: Language) -> Floats:
        """Return the features of some sentences of a seller."""
        return self._joined(found, language, self._techniques, self._patterns[language].techniques)

    def of_customer(self, found: tuple[Sentence, ...], language: Language) -> Floats:
        """Return the features of a customer's turn."""
        return self._joined(found, language, self._attitudes, self._patterns[language].attitudes)

    def _joined(
        self, found: tuple[Sentence, ...], language: Language, names: Sequence[str], rules: Mapping[str, RuleSet]
    ) -> Floats:
        hit = [value for name in names for value in _rule(rules.get(name), found)]
        form = _form(found, self._patterns[language])
        return np.concatenate(
            [
                self._encoder.encode(" ".join(_plain(sentence, language) for sentence in found)),
                np.asarray(hit, dtype=np.float32) * np.float32(_RULE_WEIGHT),
                np.asarray(form, dtype=np.float32) * np.float32(_FORM_WEIGHT),
                _grams(found, language) * np.float32(_GRAM_WEIGHT),
            ]
        )


def _plain(sentence: Sentence, language: Language) -> str:
    """Return a sentence as the encoder reads it: without filled pauses, and in one way of addressing people."""
    return " ".join(_said(sentence, language)) + ("?" if sentence.asks else ".")


def _said(sentence: Sentence, language: Language) -> list[str]:
    """Return a sentence's words; in Dutch u, ge and je, with their verbs, are one, and so are some Flemish words."""
    return [_SAME.get(token, token) for token in sentence.tokens] if language == "nl" else list(sentence.tokens)


def _rule(rules: RuleSet | None, found: Sequence[Sentence]) -> tuple[float, float]:
    """Return how many rows of patterns are matched: strong ones up to two, of the weak ones half."""
    if rules is None:
        return 0.0, 0.0
    strong = weak = 0
    for sentence in found:
        hit = row_hits(rules, sentence.line)
        strong, weak = strong | hit[0], weak | hit[1]
    return float(min(strong.bit_count(), 2)), min(weak.bit_count(), 2) / 2


def _form(found: tuple[Sentence, ...], patterns: Patterns) -> list[float]:
    questions = find_questions(found, patterns)
    n = sum(len(sentence.tokens) for sentence in found)
    numbers = sum(token[0].isdigit() for sentence in found for token in sentence.tokens)
    return [
        float(questions.any),
        *(float(form in questions.forms) for form in ("open", "closed", "choice", "leading")),
        min(questions.heads, 3) / 3,
        float(questions.confirms),
        *(float(n <= limit) for limit in _LENGTHS[:2]),
        *(float(n > limit) for limit in _LENGTHS[2:]),
        min(len(found), 4) / 4,
        float(bool(found) and found[-1].asks),
        float(bool(found) and found[0].asks),
        *(float(any(hits(patterns.forms[form], sentence) for sentence in found)) for form in _FORMS),
        min(numbers, 4) / 4,
    ]


def _grams(found: Sequence[Sentence], language: Language) -> Floats:
    """Return hashed groups of one to three words, with a sign each so that collisions cancel; of length 1."""
    seen: set[str] = set()
    for sentence in found:
        said = _said(sentence, language)
        line = ["<", *("#" if t[0].isdigit() else t for t in said), "?" if sentence.asks else "."]
        seen.update(line[1:])
        seen.update(" ".join(line[at : at + 2]) for at in range(len(line) - 1))
        seen.update(" ".join(line[at : at + 3]) for at in range(len(line) - 2))
    buckets = np.zeros(GRAM_BUCKETS, dtype=np.float32)
    for gram in seen:
        code = zlib.crc32(f"{language}{gram}".encode())
        buckets[code % GRAM_BUCKETS] += 1 if code >> 20 & 1 else -1
    length = float(np.sqrt(buckets @ buckets))
    return buckets / np.float32(length) if length else buckets
