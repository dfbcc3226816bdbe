"""Is it about the customer: you-to-I ratio, and the customer's own words picked up."""

from __future__ import annotations

from services.evaluator.metric import UNBOUNDED, Band, Metric, measured, unavailable
from services.evaluator.timeline import Timeline
from shared.events import MetricValue

_MIN_PRONOUNS = 5


class YouToI:
    """How much the user speaks of the customer against of themselves.

    Formula: second-person words / first-person words of the user's turns ("u, je, jullie" / "ik, wij, ons";
    "you, your" / "I, we, our"). Source: the rule of an earlier sales coach: >= 1.5 is customer-centred, < 0.8
    self-centred. Unit: ratio. Bands: good >= 1.5, warn < 0.8, else none. Not available under five such words
    or without a first-person one.
    """

    name = "you_to_i"
    unit = "ratio"
    bounds = UNBOUNDED

    def compute(self, timeline: Timeline) -> MetricValue:
        turns = timeline.turns_of("user")
        you = sum(turn.said.n_second_person for turn in turns)
        first = sum(turn.said.n_first_person for turn in turns)
        if you + first < _MIN_PRONOUNS or not first:
            return unavailable(self, f"fewer than {_MIN_PRONOUNS} personal pronouns, or none in the first person")
        ratio = you / first
        band: Band = "good" if ratio >= 1.5 else "warn" if ratio < 0.8 else ""
        return measured(self, ratio, band)


class CustomerWords:
    """How many of the customer's own words the user takes up.

    Formula: number of different content words that Hugo said first and the user said in a later turn; a content
    word has six letters and more and is not in the lexicon's list of long function words ("helemaal",
    "something"). Source: the rule of an earlier sales coach, full marks from five on; the list is own. Unit:
    count. Bands: good >= 5, else none. Not available until the user has spoken after Hugo said such a word.
    """

    name = "customer_words_used"
    unit = "count"
    bounds = UNBOUNDED

    def compute(self, timeline: Timeline) -> MetricValue:
        first_by_hugo: set[str] = set()
        own: set[str] = set()
        used: set[str] = set()
        has_answered = False
        for turn in timeline.turns:
            said = turn.said.content_words
            if turn.speaker == "hugo":
                first_by_hugo |= said - own
            else:
                has_answered = has_answered or bool(first_by_hugo and turn.text)
                used |= said & first_by_hugo
                own |= said
        if not has_answered:
            return unavailable(self, "the user has not spoken after the customer used a word worth taking up")
        return measured(self, len(used), "good" if len(used) >= 5 else "")


METRICS: tuple[Metric, ...] = (YouToI(), CustomerWords())
