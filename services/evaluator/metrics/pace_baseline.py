"""Whether the user keeps the pace that is their own: no speaker is measured by another's tempo."""

from __future__ import annotations

from collections.abc import Sequence

from services.evaluator.metric import UNBOUNDED, Metric, measured, unavailable
from services.evaluator.metrics.pace import RateOfTurn, rates_from_sound, rates_from_text, weighted_median
from services.evaluator.timeline import Timeline
from shared.events import MetricValue

_BASELINE_MS = 60_000
_MIN_SPEECH_MS = 3_000


class PaceToBaseline:
    """The user's articulation rate against their own at the session's beginning.

    Formula: weighted median of the syllable rates after the baseline / weighted median of those within it. The
    baseline is the user's first turns that together reach 60 s of speech. Rates are those of `pace_syllables`:
    from the sound where both parts were measured, else from text and word times in both. Source: Quene: listeners
    notice a change of 5-15 %; 60 s and the limits of 15 % inferred. Unit: ratio. Bands: good 0.85-1.15, else warn.
    Not available before 60 s of the user's speech and 3 s more, or with neither prosody nor word times.
    """

    name = "pace_to_baseline"
    unit = "ratio"
    bounds = UNBOUNDED

    def compute(self, timeline: Timeline) -> MetricValue:
        ways = ((rates_from_sound, "from the sound"), (rates_from_text, "estimated from the text"))
        for rates_of, how in ways:
            ratio = _against_the_first(rates_of(timeline))
            if ratio is not None:
                return measured(self, ratio, "good" if 0.85 <= ratio <= 1.15 else "warn", how)
        return unavailable(self, "less than 60 s of the user's measured speech and 3 s after it")


def _against_the_first(rates: Sequence[RateOfTurn]) -> float | None:
    first: list[tuple[float, float]] = []
    later: list[tuple[float, float]] = []
    first_ms = later_ms = 0
    for item in rates:
        if first_ms < _BASELINE_MS:
            first.append((item.rate, item.weight))
            first_ms += item.speech_ms
        else:
            later.append((item.rate, item.weight))
            later_ms += item.speech_ms
    if later_ms < _MIN_SPEECH_MS:
        return None
    baseline = weighted_median(first)
    return weighted_median(later) / baseline if baseline else None


METRICS: tuple[Metric, ...] = (PaceToBaseline(),)
