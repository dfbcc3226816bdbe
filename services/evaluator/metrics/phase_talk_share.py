"""Who speaks how much in each phase of the talk: exploring is listening, presenting less so."""

from __future__ import annotations

from services.evaluator.metric import SHARE, Band, Metric, measured, unavailable
from services.evaluator.timeline import Timeline, speech_ms
from shared.events import MetricValue

PHASES = (1, 2, 3, 4)
_BAND_FROM_MS = 30_000
_BANDS: dict[int, tuple[float, float, float]] = {2: (0.25, 0.40, 0.50), 3: (0.35, 0.55, 0.65)}
"""By phase: good from and to, warn above."""


class PhaseTalkShare:
    """The user's part of the speech in one phase.

    Formula: |V_user in P| / (|V_user in P| + |V_hugo in P|), V_s as for talk_share. P is the time from the start of
    each user turn whose verdict gave the phase to the start of the next user turn: the turn and its answer. Turns
    that are not scored (talk to the coach) belong to no phase. Source: vendor blogs: discovery at 30-35 %, a demo
    up to 55 %; widths of the bands inferred. Unit: ratio. Bands: phase 2 good 0.25-0.40, warn > 0.50; phase 3 good
    0.35-0.55, warn > 0.65; none in phases 1 and 4, nor under half a minute of speech in the phase. Not available
    before a scored turn in the phase and speech of both in it.
    """

    unit = "ratio"
    bounds = SHARE

    def __init__(self, phase: int) -> None:
        self.name = f"talk_share_phase_{phase}"
        self._phase = phase

    def compute(self, timeline: Timeline) -> MetricValue:
        user = speech_ms(timeline.speech_in_phase("user", self._phase))
        hugo = speech_ms(timeline.speech_in_phase("hugo", self._phase))
        if not user:
            return unavailable(self, f"no scored turn in phase {self._phase}")
        if not hugo:
            return unavailable(self, f"Hugo has not spoken in phase {self._phase}")
        share = user / (user + hugo)
        return measured(self, share, self._band(share) if user + hugo >= _BAND_FROM_MS else "")

    def _band(self, share: float) -> Band:
        if self._phase not in _BANDS:
            return ""
        low, high, limit = _BANDS[self._phase]
        if share > limit:
            return "warn"
        return "good" if low <= share <= high else ""


METRICS: tuple[Metric, ...] = tuple(PhaseTalkShare(phase) for phase in PHASES)
