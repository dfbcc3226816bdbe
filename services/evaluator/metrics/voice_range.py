"""Energy, pitch and loudness of the user's voice, as measured by the listener. Acoustic figures, no feelings."""

from __future__ import annotations

from collections.abc import Callable

from services.evaluator.metric import SHARE, UNBOUNDED, Band, Metric, measured, unavailable
from services.evaluator.timeline import Timeline
from shared.events import MetricValue, ProsodyMeasured

_NOTHING = "no prosody was measured, or too little speech for it"


class VoiceFigure:
    """One acoustic figure over the session.

    Formula: mean over the measured turns (of a turn still open, its measured stretches), weighted by length x
    quality, of: `voice_energy` the energy against the speaker's own baseline (0..1, 0.5 is usual);
    `pitch_variation` the standard deviation of F0 in semitones; `pitch_range` its 10th to 90th percentile;
    `loudness_variation` the standard deviation of frame energy in dB. Source: (e)GeMAPS feature practice; limits for
    flat and lively speech inferred. Units: ratio, semitones, semitones, dB. Bands: pitch_variation warn < 1.5
    (flat), good 2-4; loudness_variation warn < 3 (flat); else none. Not available where the listener measured none.
    Emotion and confidence are not read.
    """

    def __init__(
        self,
        name: str,
        unit: str,
        read: Callable[[ProsodyMeasured], float | None],
        band: Callable[[float], Band],
    ) -> None:
        self.name = name
        self.unit = unit
        self.bounds = SHARE if unit == "ratio" else UNBOUNDED
        self._read = read
        self._band = band

    def compute(self, timeline: Timeline) -> MetricValue:
        total = weight = 0.0
        for item in timeline.prosody:
            value, part = self._read(item), (item.end_ms - item.start_ms) * item.quality
            if value is not None and part > 0:
                total += value * part
                weight += part
        if not weight:
            return unavailable(self, _NOTHING)
        mean = total / weight
        return measured(self, mean, self._band(mean))


def _no_band(_: float) -> Band:
    return ""


def _pitch_band(value: float) -> Band:
    if value < 1.5:
        return "warn"
    return "good" if 2 <= value <= 4 else ""


def _loudness_band(value: float) -> Band:
    return "warn" if value < 3 else ""


METRICS: tuple[Metric, ...] = (
    VoiceFigure("voice_energy", "ratio", lambda item: item.prosody.energy, _no_band),
    VoiceFigure("pitch_variation", "semitones", lambda item: item.f0_sd_st, _pitch_band),
    VoiceFigure("pitch_range", "semitones", lambda item: item.f0_range_st, _no_band),
    VoiceFigure("loudness_variation", "dB", lambda item: item.loudness_sd_db, _loudness_band),
)
