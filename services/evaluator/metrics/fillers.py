"""Filled pauses, discourse fillers and hedges in the user's words. Reported; never part of a technique score."""

from __future__ import annotations

from services.evaluator.lexicon import ListName
from services.evaluator.metric import Metric, measured, unavailable
from services.evaluator.timeline import Timeline
from shared.events import MetricValue

_MIN_WORDS = 20
_TOO_FEW = f"fewer than {_MIN_WORDS} of the user's words"


class FilledPauses:
    """ "Euh", "uhm", "um": list A of `lexicon`, whole tokens.

    Formula: 100 x filled pauses / words of the user's turns. Source: all disfluencies come to about 6 per 100
    words in conversation (Fox Tree; Bortfeld et al. 2001); forms by language after de Leeuw 2007. Unit:
    per_100_words. Bands: red > 5, warn 2-5, good < 2. Not available under 20 words, and not where none was
    heard: speech recognisers drop them, so that none written is not none said.
    """

    name = "filled_pauses"
    unit = "per_100_words"
    bounds = (0.0, 100.0)

    def compute(self, timeline: Timeline) -> MetricValue:
        if timeline.user_words < _MIN_WORDS:
            return unavailable(self, _TOO_FEW)
        count = _count(timeline, "filled")
        if not count:
            return unavailable(self, "none was written down, and a recogniser may leave them out")
        rate = 100 * count / timeline.user_words
        return measured(self, rate, "red" if rate > 5 else "warn" if rate >= 2 else "good")


class DiscourseFillers:
    """ "Zeg maar", "eigenlijk", "you know": list B of `lexicon`, whole tokens in the places that make them fillers.

    Formula: 100 x entries found / words of the user's turns. Source: own lists; many are ordinary words, so
    it is told, not scored. Unit: per_100_words. Bands: warn > 6, else none. Not available under 20 words.
    """

    name = "discourse_fillers"
    unit = "per_100_words"
    bounds = (0.0, 100.0)

    def compute(self, timeline: Timeline) -> MetricValue:
        if timeline.user_words < _MIN_WORDS:
            return unavailable(self, _TOO_FEW)
        rate = 100 * _count(timeline, "discourse") / timeline.user_words
        return measured(self, rate, "warn" if rate > 6 else "")


class Hedges:
    """ "Misschien", "ik denk", "perhaps": list C of `lexicon` in statements; a careful question is no hedge.

    Formula: 100 x entries found in sentences that are no questions / words of those sentences. Source: own
    lists; the effect of hedging on authority is small or not significant in the literature. Unit:
    per_100_words. Bands: warn > 4, else good. Not available under 20 words in statements.
    """

    name = "hedges"
    unit = "per_100_words"
    bounds = (0.0, 100.0)

    def compute(self, timeline: Timeline) -> MetricValue:
        n_words = count = 0
        for turn in timeline.turns_of("user"):
            found, words = turn.said.hedges(timeline.belgian)
            count += found
            n_words += words
        if n_words < _MIN_WORDS:
            return unavailable(self, f"fewer than {_MIN_WORDS} words in the user's statements")
        rate = 100 * count / n_words
        return measured(self, rate, "warn" if rate > 4 else "good")


def _count(timeline: Timeline, name: ListName) -> int:
    count, prompted = 0, False
    for turn in timeline.turns:
        if turn.speaker == "hugo":
            prompted = turn.text.rstrip().endswith("?")
            continue
        count += turn.said.count(name, belgian=timeline.belgian, prompted=prompted)
        prompted = False
    return count


METRICS: tuple[Metric, ...] = (FilledPauses(), DiscourseFillers(), Hedges())
