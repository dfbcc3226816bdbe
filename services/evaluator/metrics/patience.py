"""The gap before an answer: the user's patience, and Hugo's response latency."""

from __future__ import annotations

from itertools import pairwise
from statistics import median

from services.evaluator.metric import UNBOUNDED, Band, Metric, measured, unavailable
from services.evaluator.timeline import Timeline
from shared.events import MetricValue, Speaker


class Patience:
    """How long the user waits after Hugo has finished.

    Formula: median of (user start - Hugo end) over changes of speaker from Hugo to the user with a silence
    between. Source: Gong advises about 0.6-1 s; the natural gap is about 0.2 s (Stivers 2009; Levinson & Torreira
    2015). Unit: s. Bands: good 0.6-1.5, warn < 0.3 (eager) or > 3 (slow), else none. Not available before
    such a gap.
    """

    name = "patience"
    unit = "s"
    bounds = UNBOUNDED

    def compute(self, timeline: Timeline) -> MetricValue:
        gaps = answer_gaps_s(timeline, "user")
        if not gaps:
            return unavailable(self, "the user has not yet answered Hugo after a gap")
        value = median(gaps)
        band: Band = "good" if 0.6 <= value <= 1.5 else "warn" if value < 0.3 or value > 3 else ""
        return measured(self, value, band, f"over {len(gaps)} gaps")


class ResponseLatency:
    """How long Hugo takes to answer: a figure of the system, not of the user.

    Formula: median of (Hugo start - user end) over changes of speaker from the user to Hugo with a silence between.
    Source: this system's own goal of 700 ms; people take about 200 ms (Stivers 2009). Unit: s. Bands: none,
    since the user cannot change it. Not available before such a gap.
    """

    name = "hugo_response_latency"
    unit = "s"
    bounds = UNBOUNDED

    def compute(self, timeline: Timeline) -> MetricValue:
        gaps = answer_gaps_s(timeline, "hugo")
        if not gaps:
            return unavailable(self, "Hugo has not yet answered after a gap")
        return measured(self, median(gaps), "", f"over {len(gaps)} gaps")


def answer_gaps_s(timeline: Timeline, speaker: Speaker) -> list[float]:
    """Return the silences in seconds before `speaker`'s turns that follow a closed turn of the other.

    There is none where somebody spoke on past that turn's end: what comes then is no answer to it.
    """
    gaps: list[float] = []
    spoken_ms = 0
    for before, after in pairwise(timeline.turns):
        spoken_ms = max(spoken_ms, before.end_ms)
        is_answer = after.speaker == speaker != before.speaker and not before.is_open
        if is_answer and before.end_ms == spoken_ms < after.start_ms:
            gaps.append((after.start_ms - before.end_ms) / 1000)
    return gaps


METRICS: tuple[Metric, ...] = (Patience(), ResponseLatency())
