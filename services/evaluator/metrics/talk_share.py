"""Who speaks how much: talk share, longest monologue, longest customer story."""

from __future__ import annotations

from services.evaluator.intervals import Interval
from services.evaluator.metric import SHARE, UNBOUNDED, Band, Metric, measured, unavailable
from services.evaluator.timeline import Timeline, speech_ms
from shared.events import MetricValue, Speaker

_MONOLOGUE_GAP_MS = 1_000


class TalkShare:
    """The user's part of all speech.

    Formula: |V_user| / (|V_user| + |V_hugo|), V_s the union of a speaker's speech, gaps under 0.25 s closed.
    Source: Gong Labs 2016, 25,537 B2B calls: best closers 43:57; 2025 update keeps "over 65 % is worse"
    (correlational, vendor-published). Unit: ratio. Bands: red > 0.65, warn > 0.60 or < 0.30, good 0.35-0.50.
    Not available until both have spoken.
    """

    name = "talk_share"
    unit = "ratio"
    bounds = SHARE

    def compute(self, timeline: Timeline) -> MetricValue:
        user = speech_ms(timeline.all_speech("user"))
        hugo = speech_ms(timeline.all_speech("hugo"))
        if not user or not hugo:
            return unavailable(self, "both speakers must have spoken")
        share = user / (user + hugo)
        return measured(self, share, _share_band(share))


def _share_band(share: float) -> Band:
    if share > 0.65:
        return "red"
    if share > 0.60 or share < 0.30:
        return "warn"
    return "good" if 0.35 <= share <= 0.50 else ""


class LongestMonologue:
    """The user's longest stretch without the other taking a turn.

    Formula: longest run of the user's turns with gaps under 1 s and no turn of Hugo's between their starts,
    first start to last end; backchannels neither break nor make one. Source: Gong product guide (about 2:30);
    company overview of 257,967 calls (over 2 minutes goes with fewer wins). Unit: s. Bands: red > 150,
    warn > 120, else good. Not available until the user has spoken.
    """

    name = "longest_monologue"
    unit = "s"
    bounds = UNBOUNDED

    def compute(self, timeline: Timeline) -> MetricValue:
        longest = _longest_run(timeline, "user")
        if longest is None:
            return unavailable(self, "the user has not spoken")
        seconds = longest.length_ms / 1000
        return measured(self, seconds, "red" if seconds > 150 else "warn" if seconds > 120 else "good")


class LongestCustomerStory:
    """Hugo's longest stretch in the customer's role: how far the user got the customer to talk.

    Formula: as longest_monologue, for Hugo. Source: secondary reports of call studies: under 50 s goes with a
    close rate below average, about four minutes with a good one. Unit: s. Bands: good > 60, else none (a
    coach's turns are short on purpose). Not available until Hugo has spoken.
    """

    name = "longest_customer_story"
    unit = "s"
    bounds = UNBOUNDED

    def compute(self, timeline: Timeline) -> MetricValue:
        longest = _longest_run(timeline, "hugo")
        if longest is None:
            return unavailable(self, "Hugo has not spoken")
        seconds = longest.length_ms / 1000
        return measured(self, seconds, "good" if seconds > 60 else "")


def _longest_run(timeline: Timeline, speaker: Speaker) -> Interval | None:
    runs: list[Interval] = []
    broken = True
    for turn in timeline.turns:
        if turn.speaker != speaker:
            broken = True
        elif runs and not broken and turn.start_ms - runs[-1].end_ms < _MONOLOGUE_GAP_MS:
            runs[-1] = Interval(runs[-1].start_ms, max(runs[-1].end_ms, turn.end_ms))
        else:
            runs.append(turn.interval)
            broken = False
    return max(runs, key=lambda run: run.length_ms, default=None)


METRICS: tuple[Metric, ...] = (TalkShare(), LongestMonologue(), LongestCustomerStory())
