"""Who cuts whom short, and how much both speak at once."""

from __future__ import annotations

from services.evaluator.intervals import overlap
from services.evaluator.metric import SHARE, UNBOUNDED, Band, Metric, measured, unavailable
from services.evaluator.timeline import Timeline, speech_ms
from services.evaluator.turns import Turn
from shared.events import MetricValue, Speaker

LEFT_MS = 500
_STOP_MS = 1_000
_RATE_FROM_MS = 60_000


class Interruptions:
    """How often one speaker cut the other short.

    Formula: turns of the other that were told to be cut (`Interrupted`, a turn ended as interrupted, a user
    turn that took the floor), together with those where this speaker began while the other had at least 0.5 s
    left, so that both spoke for 0.5 s or more, and the other stopped within 1 s. Backchannels never interrupt;
    a turn counts once. Source: the usual barge-in definition; thresholds inferred. Unit: count. Bands: warn
    above 1 per 5 minutes once there is a minute of talk, else good. Not available until both have spoken.
    """

    unit = "count"
    bounds = UNBOUNDED

    def __init__(self, by: Speaker) -> None:
        self.name = f"interruptions_by_{by}"
        self._by: Speaker = by

    def compute(self, timeline: Timeline) -> MetricValue:
        other: Speaker = "hugo" if self._by == "user" else "user"
        if not timeline.turns_of(self._by) or not timeline.turns_of(other):
            return unavailable(self, "both speakers must have spoken")
        cut = {item.turn for item in timeline.cuts if item.by == self._by}
        cut |= cut_by_overlap(timeline, other)
        return measured(self, len(cut), self._band(len(cut), timeline.span.length_ms))

    def _band(self, count: int, span_ms: int) -> Band:
        if span_ms < _RATE_FROM_MS:
            return ""
        return "warn" if count / (span_ms / 300_000) > 1 else "good"


def cut_by_overlap(timeline: Timeline, other: Speaker) -> set[str]:
    """Return the ids of `other`'s turns that stopped short because the first speaker started."""
    cut: set[str] = set()
    last: Turn | None = None
    for turn in timeline.turns:
        if turn.speaker == other:
            last = turn if last is None or turn.end_ms >= last.end_ms else last
        elif last is not None and not last.is_open:
            left_ms = last.end_ms - turn.start_ms
            shared_ms = min(last.end_ms, turn.end_ms) - turn.start_ms
            if turn.start_ms > last.start_ms and shared_ms >= LEFT_MS and left_ms <= _STOP_MS:
                cut.add(last.id)
    return cut


class OverlapShare:
    """How much of the talk both speak at once.

    Formula: |V_user and V_hugo| / T, backchannels left out, T from the first speech to the last. Source:
    threshold inferred from conversation analysis, where turns overlap for a few per cent of the time. Unit:
    ratio. Bands: warn > 0.05, else good. Not available until both have spoken.
    """

    name = "overlap_share"
    unit = "ratio"
    bounds = SHARE

    def compute(self, timeline: Timeline) -> MetricValue:
        user, hugo = timeline.turn_speech("user"), timeline.turn_speech("hugo")
        if not user or not hugo:
            return unavailable(self, "both speakers must have spoken")
        share = speech_ms(overlap(user, hugo)) / timeline.span.length_ms
        return measured(self, share, "warn" if share > 0.05 else "good")


METRICS: tuple[Metric, ...] = (Interruptions("user"), Interruptions("hugo"), OverlapShare())
