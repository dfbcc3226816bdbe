"""Pauses: the share of silence, long gaps between turns, long pauses within the user's turns."""

from __future__ import annotations

from services.evaluator.intervals import gaps, merge
from services.evaluator.metric import SHARE, UNBOUNDED, Metric, measured, unavailable
from services.evaluator.timeline import Timeline
from services.evaluator.turns import MERGE_GAP_MS
from shared.events import MetricValue

_BETWEEN_MS = 3_000
_DEAD_MS = 7_000
_WITHIN_MS = 1_000


class SilenceShare:
    """How much of the talk nobody speaks.

    Formula: 1 - |V_user or V_hugo| / T, gaps under 0.25 s closed, T from the first speech to the last. Source:
    silent-pause floor of 0.25 s is the usual convention. Unit: ratio. Bands: none, silence after a question
    is a skill. Not available until both have spoken.
    """

    name = "silence_share"
    unit = "ratio"
    bounds = SHARE

    def compute(self, timeline: Timeline) -> MetricValue:
        if not timeline.turns_of("user") or not timeline.turns_of("hugo"):
            return unavailable(self, "both speakers must have spoken")
        spoken = merge(timeline.anyones_speech, MERGE_GAP_MS)
        return measured(self, 1 - sum(part.length_ms for part in spoken) / timeline.span.length_ms)


class LongPauses:
    """Gaps in which nobody speaks for long.

    Formula: number of stretches longer than the limit without anyone's speech, between the first speech and the
    last: over 3 s for `long_pauses`, over 7 s for `dead_air`. Source: limits inferred. Unit: count. Bands:
    dead air warn above 0, else good; long pauses none. Not available until both have spoken.
    """

    unit = "count"
    bounds = UNBOUNDED

    def __init__(self, name: str, limit_ms: int, *, is_fault: bool) -> None:
        self.name = name
        self._limit_ms = limit_ms
        self._is_fault = is_fault

    def compute(self, timeline: Timeline) -> MetricValue:
        if not timeline.turns_of("user") or not timeline.turns_of("hugo"):
            return unavailable(self, "both speakers must have spoken")
        count = sum(gap.length_ms > self._limit_ms for gap in gaps(timeline.anyones_speech))
        if not self._is_fault:
            return measured(self, count)
        return measured(self, count, "warn" if count else "good")


class PausesWithinTurns:
    """Pauses of more than 1 s inside the user's own turns.

    Formula: number of gaps above 1 s between the words of one user turn. Source: limit inferred (0.25 s is
    the floor of a silent pause, 1 s is heard as hesitation). Unit: count. Bands: none. Not available where the
    user's words carry no times.
    """

    name = "pauses_in_user_turns"
    unit = "count"
    bounds = UNBOUNDED

    def compute(self, timeline: Timeline) -> MetricValue:
        timed = [turn for turn in timeline.turns_of("user") if turn.words]
        if not timed:
            return unavailable(self, "the user's words carry no times")
        return measured(self, sum(gap.length_ms > _WITHIN_MS for turn in timed for gap in gaps(turn.speech)))


METRICS: tuple[Metric, ...] = (
    SilenceShare(),
    LongPauses("long_pauses", _BETWEEN_MS, is_fault=False),
    LongPauses("dead_air", _DEAD_MS, is_fault=True),
    PausesWithinTurns(),
)
