"""How the user's turns are delivered: gathers measures while a turn is spoken, says what they mean at its end.

Pure. The module that reads confidence and emotion is imported and called only where that is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.voice_worker.listener.baseline import (
    Baseline,
    Deviation,
    PaceJudge,
    energy,
    locale_of,
    words_per_min,
)
from services.voice_worker.listener.inference_gate import may_infer_emotion
from services.voice_worker.listener.prosody import Measures, ProsodyTrack, Track, measure
from shared.events import Consent, Language, Pace, Profile, Prosody, ProsodyMeasured

if TYPE_CHECKING:
    from services.voice_worker.listener.emotion import EmotionReader

_SHORTEST_STRETCH_MS = 200


@dataclass(slots=True)
class TurnVoice:
    """The measures of one utterance so far. `deviations` has (seconds of speech, deviation) of each stretch."""

    track: ProsodyTrack
    stretch_from_ms: int
    stretch_speech_ms: int = 0
    deviations: list[tuple[float, Deviation]] = field(default_factory=list)


class Delivery:
    """One speaker's delivery in one session."""

    def __init__(self, language: Language, locale: str, profile: Profile, consent: Consent) -> None:
        bands = locale_of(language, locale)
        self._language = language
        self._profile = profile
        self._baseline = Baseline(bands)
        self._pace = PaceJudge(bands)
        self._emotion: EmotionReader | None = None
        self.set_consent(consent)

    def set_consent(self, consent: Consent) -> None:
        """Follow the user's switch at once: without leave, what was learnt for reading emotion is dropped."""
        if not may_infer_emotion(self._profile, consent):
            self._emotion = None
        elif self._emotion is None:
            from services.voice_worker.listener.emotion import EmotionReader

            self._emotion = EmotionReader()

    def begin(self, start_ms: int) -> TurnVoice:
        """Start gathering for an utterance."""
        return TurnVoice(ProsodyTrack(start_ms), start_ms)

    def stretch(self, voice: TurnVoice, turn: str, until_ms: int) -> ProsodyMeasured | None:
        """Close the stretch that ends at `until_ms`, learn from it and say how it sounds; None if it is too short."""
        if voice.track.speech_ms - voice.stretch_speech_ms < _SHORTEST_STRETCH_MS:
            return None
        part = measure(voice.track.between(voice.stretch_from_ms, until_ms))
        voice.stretch_from_ms, voice.stretch_speech_ms = part.end_ms, voice.track.speech_ms
        deviation = self._baseline.deviation(part)
        voice.deviations.append((part.speech_s, deviation))
        self._baseline.learn(part)
        return self._event(turn, part, Prosody(energy=energy(deviation)), self._pace.last, None)

    def turn(self, voice: TurnVoice, turn: str, end_ms: int, text: str, n_words: int) -> ProsodyMeasured:
        """Return the measures of the whole turn, which ended at `end_ms`, and learn the speaker's pace."""
        self.stretch(voice, turn, end_ms)
        track = voice.track.between(voice.track.start_ms, end_ms, voice.track.end_ms)
        whole = measure(track)
        deviation = _mean(voice.deviations)
        pace = self._pace.judge(whole, n_words)
        self._pace.learn(whole)
        spoken = words_per_min(n_words, whole.start_ms, whole.end_ms)
        return self._event(turn, whole, self._prosody(track, whole, deviation, text), pace, spoken)

    def _prosody(self, track: Track, whole: Measures, deviation: Deviation | None, text: str) -> Prosody:
        if deviation is None:
            return Prosody()
        level = energy(deviation)
        if self._emotion is None:
            return Prosody(energy=level)
        from services.voice_worker.listener.emotion import text_cues

        reading = self._emotion.read_turn(track, whole, deviation, text_cues(text, self._language))
        return Prosody(confidence=reading.confidence, emotion=reading.emotion, energy=level)

    def _event(
        self, turn: str, part: Measures, prosody: Prosody, pace: Pace, spoken_wpm: float | None
    ) -> ProsodyMeasured:
        return ProsodyMeasured(
            turn=turn,
            start_ms=part.start_ms,
            end_ms=part.end_ms,
            prosody=prosody,
            speech_pace=pace,
            f0_median_hz=part.f0_median_hz,
            f0_range_st=part.f0_range_st,
            f0_sd_st=part.f0_sd_st,
            loudness_db=part.loudness_db,
            loudness_sd_db=part.loudness_sd_db,
            syllables_per_s=part.syllables_per_s,
            words_per_min=spoken_wpm,
            pause_share=part.pause_share,
            quality=self._baseline.quality(part.voiced_s),
        )


def _mean(deviations: list[tuple[float, Deviation]]) -> Deviation | None:
    """Average over a turn's stretches by their length: a long turn is compared stretch by stretch, like with like."""
    total = sum(seconds for seconds, _ in deviations)
    if total <= 0:
        return None
    return Deviation(
        sum(seconds * one.loudness for seconds, one in deviations) / total,
        sum(seconds * one.f0_range for seconds, one in deviations) / total,
        sum(seconds * one.rate for seconds, one in deviations) / total,
    )
