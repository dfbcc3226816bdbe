"""Is it about the customer: you-to-I ratio, and the customer's own words picked up."""

from __future__ import annotations

from services.evaluator.lexicon import FIRST_PERSON, SECOND_PERSON
from services.evaluator.metric import Band, Metric, measured, unavailable
from services.evaluator.timeline import Timeline
from services.evaluator.words import tokens
from shared.events import MetricValue

_MIN_PRONOUNS = 5
_MIN_LENGTH = 6
"""Letters of a word that is taken for a content word; shorter ones are mostly grammar in both languages."""


class YouToI:
    """How much the user speaks of the customer against of themselves.

    Formula: second-person words / first-person words of the user's turns ("u, je, jullie" / "ik, wij, ons";
    "you, your" / "I, we, our"). Source: the rule of an earlier sales coach: >= 1.5 is customer-centred, < 0.8
    self-centred. Unit: ratio. Bands: good >= 1.5, warn < 0.8, else none. Not available under five such words
    or without a first-person one.
    """

    name = "you_to_i"
    unit = "ratio"

    def compute(self, timeline: Timeline) -> MetricValue:
        you = first = 0
        for turn in timeline.turns_of("user"):
            for token in tokens(turn.text):
                you += token.word in SECOND_PERSON[turn.language]
                first += token.word in FIRST_PERSON[turn.language]
        if you + first < _MIN_PRONOUNS or not first:
            return unavailable(self, f"fewer than {_MIN_PRONOUNS} personal pronouns, or none in the first person")
        ratio = you / first
        band: Band = "good" if ratio >= 1.5 else "warn" if ratio < 0.8 else ""
        return measured(self, ratio, band)


class CustomerWords:
    """How many of the customer's own words the user takes up.

    Formula: number of different words of six letters and more that Hugo said first and the user said in a later
    turn. Source: the rule of an earlier sales coach, full marks from five on. Unit: count. Bands: good >= 5,
    else none. Not available until the user has spoken after Hugo.
    """

    name = "customer_words_used"
    unit = "count"

    def compute(self, timeline: Timeline) -> MetricValue:
        first_by_hugo: set[str] = set()
        own: set[str] = set()
        used: set[str] = set()
        has_answered = False
        for turn in timeline.turns:
            said = {token.word for token in tokens(turn.text) if len(token.word) >= _MIN_LENGTH}
            if turn.speaker == "hugo":
                first_by_hugo |= said - own
            else:
                has_answered = has_answered or bool(first_by_hugo and turn.text)
                used |= said & first_by_hugo
                own |= said
        if not has_answered:
            return unavailable(self, "the user has not spoken after the customer")
        return measured(self, len(used), "good" if len(used) >= 5 else "")


METRICS: tuple[Metric, ...] = (YouToI(), CustomerWords())
