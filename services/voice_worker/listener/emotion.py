"""Confidence and emotion read from the voice, by inspectable rules. Imported only where `may_infer_emotion` says yes.

What it says is how it sounds ("sounds hesitant"), never what somebody is. The weights are starting values, not
fitted to labelled speech.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.voice_worker.listener.baseline import Deviation, Normal, energy, logistic
from services.voice_worker.listener.prosody import Measures, Track
from shared.audio.pitch import HOP_MS
from shared.events import Emotion, Language

_MARGIN = 0.15
_HOLD_TURNS = 2
_SLOPE_MS = 300
_RISE_ST_PER_S = 10.0  # a final rise of 3 semitones in 0.3 s counts as one unit

_FILLED: Final[dict[Language, re.Pattern[str]]] = {
    "nl": re.compile(r"\b(?:eh|euh|uh|uhm|ehm|euhm|hm)\b"),
    "en": re.compile(r"\b(?:uh|um|er|erm|hmm|ah)\b"),
}
_HEDGES: Final[dict[Language, re.Pattern[str]]] = {
    "nl": re.compile(
        r"\b(?:misschien|mogelijk|wellicht|ik denk|ik geloof|volgens mij|een beetje|ongeveer|zou kunnen|in principe"
        r"|normaal gezien|ik weet niet zeker|proberen te)\b"
    ),
    "en": re.compile(
        r"\b(?:maybe|perhaps|possibly|i think|i guess|i believe|kind of|sort of|a bit|probably|might|could be"
        r"|in theory|not sure|try to)\b"
    ),
}


@dataclass(frozen=True, slots=True)
class TextCues:
    """What the words say: counts for each 100 words, and whether it is a question (a rise is then no doubt)."""

    filled: float = 0.0
    hedges: float = 0.0
    question: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """How a turn sounds. `confidence` 0..1."""

    confidence: float
    emotion: Emotion


def text_cues(text: str, language: Language) -> TextCues:
    """Return the cues in a turn's words."""
    lowered = text.lower()
    per_100 = 100 / max(1, len(lowered.split()))
    return TextCues(
        filled=per_100 * len(_FILLED[language].findall(lowered)),
        hedges=per_100 * len(_HEDGES[language].findall(lowered)),
        question=lowered.rstrip().endswith("?"),
    )


def final_slope(track: Track) -> float | None:
    """Return the slope of the pitch over the last 300 ms of voice, in semitones per second; None if too little."""
    voiced = np.flatnonzero(track.f0_hz > 0)
    if not len(voiced):
        return None
    last = voiced[voiced > voiced[-1] - _SLOPE_MS // HOP_MS]
    if len(last) < 6:
        return None
    seconds = last * HOP_MS / 1000
    return float(np.polyfit(seconds, 12 * np.log2(track.f0_hz[last]), 1)[0])


class EmotionReader:
    """Reads one speaker's turns. Throw it away to stop: it keeps its own baseline of pitch and pauses."""

    def __init__(self) -> None:
        self._f0_mean = Normal(None, 2.0, 0.8)
        self._f0_high = Normal(None, 2.5, 1.0)
        self._pauses = Normal(0.15, 0.12, 0.05)
        self._held: Emotion = "neutral"
        self._turns_held = _HOLD_TURNS

    def read_turn(self, track: Track, turn: Measures, deviation: Deviation, cues: TextCues) -> Reading:
        """Return how a finished turn sounds, and learn from it."""
        mean_st, high_st = _pitch_points(track)
        z_mean = self._f0_mean.z(mean_st)
        z_high = self._f0_high.z(high_st)
        z_pause = self._pauses.z(turn.pause_share)
        slope = final_slope(track)
        rise = 0.0 if slope is None or cues.question else max(0.0, min(2.0, slope / _RISE_ST_PER_S))
        filled = min(3.0, cues.filled / 5)
        confidence = logistic(
            0.6 * deviation.loudness
            + 0.5 * deviation.rate
            - 0.7 * z_pause
            - 0.4 * filled
            - 0.4 * z_mean
            - 0.5 * rise
            - 0.3 * min(3.0, cues.hedges / 4)
        )
        for normal, value in ((self._f0_mean, mean_st), (self._f0_high, high_st), (self._pauses, turn.pause_share)):
            normal.learn(value, turn.voiced_s)
        return Reading(confidence, self._hold(self._judge(deviation, confidence, z_high, max(z_pause, filled, rise))))

    def _judge(self, deviation: Deviation, confidence: float, z_high: float, hesitation: float) -> Emotion:
        """Return the reading whose rule holds by the largest margin; neutral where none holds clearly."""
        margins: dict[Emotion, float] = {
            "excited": min(energy(deviation) - 0.65, deviation.f0_range - 0.7, deviation.rate),
            "uncertain": min(0.38 - confidence, hesitation - 0.8),
            "frustrated": min(deviation.loudness - 0.7, z_high - 0.7, -0.3 - deviation.rate),
        }
        best = max(margins, key=lambda name: margins[name])
        return best if margins[best] >= _MARGIN else "neutral"

    def _hold(self, read: Emotion) -> Emotion:
        """Keep a reading for two turns: one odd turn must not flicker."""
        if read != self._held and self._turns_held >= _HOLD_TURNS:
            self._held, self._turns_held = read, 0
        self._turns_held += 1
        return self._held


def _pitch_points(track: Track) -> tuple[float | None, float | None]:
    """Return the median and the 95th percentile of the pitch in semitones re 1 Hz."""
    voiced = track.f0_hz[track.f0_hz > 0]
    if len(voiced) < 6:
        return None, None
    semitones = 12 * np.log2(voiced)
    return float(np.median(semitones)), float(np.percentile(semitones, 95))
