"""The rules for how a turn sounds: signs of the weights, margins, and text cues."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.voice_worker.listener.baseline import Deviation
from services.voice_worker.listener.emotion import EmotionReader, TextCues, final_slope, text_cues
from services.voice_worker.listener.prosody import Track, measure

N = 250  # four seconds


def track(hz: float = 110.0, end_slope_st_per_s: float = 0.0) -> Track:
    """Return a spoken stretch of 4 s whose last 0.4 s rises or falls."""
    f0 = np.full(N, hz)
    f0[-25:] = hz * 2 ** (end_slope_st_per_s * 0.016 * np.arange(25) / 12)
    return Track(0, np.full(N, -25.0), f0, np.ones(N, dtype=np.bool_), np.full(16, -24.0))


NORMAL = Deviation(0.0, 0.0, 0.0)
PLAIN = TextCues()


def known_speaker() -> EmotionReader:
    """Return a reader that has heard a minute of plain speech."""
    reader = EmotionReader()
    for hz in [108.0, 110.0, 112.0] * 6:
        sound = track(hz)
        reader.read_turn(sound, replace(measure(sound), pause_share=0.15), NORMAL, PLAIN)
    return reader


def read(
    deviation: Deviation = NORMAL, cues: TextCues = PLAIN, pause: float = 0.15, sound: Track | None = None
) -> tuple[float, str]:
    sound = track() if sound is None else sound
    reading = known_speaker().read_turn(sound, replace(measure(sound), pause_share=pause), deviation, cues)
    return reading.confidence, reading.emotion


def test_normal_speech_is_neutral_and_of_middle_confidence() -> None:
    confidence, emotion = read()
    assert confidence == pytest.approx(0.5, abs=0.03)
    assert emotion == "neutral"


def test_each_cue_moves_confidence_its_way() -> None:
    base, _ = read()
    assert read(Deviation(1, 0, 0))[0] > base
    assert read(Deviation(0, 0, 1))[0] > base
    assert read(pause=0.5)[0] < base
    assert read(cues=TextCues(filled=8))[0] < base
    assert read(cues=TextCues(hedges=8))[0] < base
    assert read(sound=track(hz=130))[0] < base
    assert read(sound=track(end_slope_st_per_s=15))[0] < base


def test_a_rise_at_the_end_of_a_question_is_no_doubt() -> None:
    rising = track(end_slope_st_per_s=15)
    assert read(sound=rising, cues=TextCues(question=True))[0] > read(sound=rising)[0]


def test_clear_signs_are_named_and_weak_ones_are_not() -> None:
    assert read(Deviation(2.0, 2.0, 1.0))[1] == "excited"
    assert read(Deviation(0.3, 0.3, 0.1))[1] == "neutral"
    assert read(Deviation(-1.0, 0, -1.0), TextCues(filled=15, hedges=10), pause=0.6)[1] == "uncertain"
    assert read(Deviation(2.0, 0, -1.5), sound=track(hz=150))[1] == "frustrated"


def test_a_reading_is_held_for_two_turns() -> None:
    reader = known_speaker()
    sound = track()
    whole = replace(measure(sound), pause_share=0.15)
    said = [reader.read_turn(sound, whole, Deviation(2.0, 2.0, 1.0), PLAIN).emotion]
    said += [reader.read_turn(sound, whole, NORMAL, PLAIN).emotion for _ in range(2)]
    assert said == ["excited", "excited", "neutral"]


def test_the_slope_at_the_end_is_in_semitones_a_second() -> None:
    assert final_slope(track(end_slope_st_per_s=12)) == pytest.approx(12, abs=0.1)
    assert final_slope(track(end_slope_st_per_s=-8)) == pytest.approx(-8, abs=0.1)
    silent = replace(track(), f0_hz=np.zeros(N))
    assert final_slope(silent) is None


def test_cues_in_words() -> None:
    assert text_cues("Euh, misschien kan dat, ik denk het", "nl") == TextCues(100 / 7, 200 / 7, False)
    assert text_cues("Um, maybe we could?", "en") == TextCues(25, 25, True)
    assert text_cues("", "en") == TextCues()
