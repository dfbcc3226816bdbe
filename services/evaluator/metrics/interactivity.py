"""The give and take: changes of speaker, and the user's backchannels."""

from __future__ import annotations

from itertools import pairwise

from services.evaluator.metric import UNBOUNDED, Metric, measured, unavailable
from services.evaluator.timeline import Timeline
from shared.events import MetricValue, Speaker

_RATE_FROM_MS = 30_000


class Interactivity:
    """How often the floor changes hands.

    Formula: changes of speaker between turns / minutes of T, T from the first speech to the last; backchannels
    change nothing. Source: bands inferred; Gong reports a score of the same idea. Unit: per_min. Bands: good
    2-10, warn < 2 (lecture) or > 10 (choppy). Not available until both have spoken, or under half a minute.
    """

    name = "interactivity"
    unit = "per_min"
    bounds = UNBOUNDED

    def compute(self, timeline: Timeline) -> MetricValue:
        if not timeline.turns_of("user") or not timeline.turns_of("hugo"):
            return unavailable(self, "both speakers must have spoken")
        if timeline.span.length_ms < _RATE_FROM_MS:
            return unavailable(self, "less than half a minute of talk")
        pairs = pairwise(timeline.turns)
        changes = sum(before.speaker != after.speaker for before, after in pairs)
        rate = changes / (timeline.span.length_ms / 60_000)
        return measured(self, rate, "good" if 2 <= rate <= 10 else "warn")


class Backchannels:
    """How often a speaker acknowledges without taking the turn.

    Formula: backchannels / minutes of the other's speech in turns. An utterance is one if it was reported as
    such, or lasts at most 1.0 s and three words, all from the list ("ja", "hm", "precies"; "yeah", "right"),
    during the other's speech or less than 0.3 s after it, and answers no question. Source: definition after
    conversation analysis, limits inferred; Full-Duplex-Bench divides by the whole time, in which there is nothing to
    acknowledge while the other is silent. Unit: per_min. Bands: none. Not available under half a minute of the
    other's speech, and not for a speaker who was never heard: a dead microphone acknowledges nothing either.
    """

    unit = "per_min"
    bounds = UNBOUNDED

    def __init__(self, by: Speaker) -> None:
        self.name = f"backchannels_by_{by}"
        self._by: Speaker = by

    def compute(self, timeline: Timeline) -> MetricValue:
        other: Speaker = "hugo" if self._by == "user" else "user"
        spoken_ms = sum(part.length_ms for part in timeline.turn_speech(other))
        if not timeline.all_speech(self._by):
            return unavailable(self, "the speaker has not been heard at all")
        if spoken_ms < _RATE_FROM_MS:
            return unavailable(self, "less than half a minute of the other's speech")
        count = sum(ack.speaker == self._by for ack in timeline.backchannels)
        return measured(self, count / (spoken_ms / 60_000))


METRICS: tuple[Metric, ...] = (Interactivity(), Backchannels("user"), Backchannels("hugo"))
