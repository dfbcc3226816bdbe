"""Gathering a turn's delivery: stretches, the whole turn, and what is left null."""

from __future__ import annotations

import sys

import pytest

from services.voice_worker.listener.delivery import Delivery, TurnVoice
from shared.audio.pitch import Hop
from shared.events import Consent


def speak(voice: TurnVoice, seconds: float, level_db: float = -26.0, hz: float = 110.0) -> None:
    """Add syllables of a quarter of a second."""
    for at in range(int(seconds * 1000 / 32)):
        dip = 12.0 if at % 8 in (0, 1) else 0.0
        voice.track.add((Hop(level_db - dip, hz), Hop(level_db - dip, hz)), True)


def be_silent(voice: TurnVoice, seconds: float) -> None:
    for _ in range(int(seconds * 1000 / 32)):
        voice.track.add((Hop(-80.0, 0.0), Hop(-80.0, 0.0)), False)


def of(profile: str = "workplace", **consent: bool) -> Delivery:
    return Delivery("en", "", profile, Consent(**consent))  # type: ignore[arg-type]


def test_stretches_follow_each_other_without_gap_or_overlap() -> None:
    delivery = of()
    voice = delivery.begin(1_600)
    speak(voice, 1.024)
    first = delivery.stretch(voice, "u1", voice.track.end_ms)
    speak(voice, 1.024)
    second = delivery.stretch(voice, "u1", voice.track.end_ms)
    assert first is not None
    assert second is not None
    assert (first.start_ms, first.end_ms) == (1_600, 1_600 + 1_024)
    assert second.start_ms == first.end_ms
    assert second.end_ms == voice.track.end_ms
    assert delivery.stretch(voice, "u1", voice.track.end_ms) is None


def test_the_whole_turn_is_measured_to_its_end_and_compared_stretch_by_stretch() -> None:
    delivery = of()
    voice = delivery.begin(0)
    speak(voice, 3.2)
    end_ms = voice.track.end_ms
    be_silent(voice, 0.8)
    whole = delivery.turn(voice, "u1", end_ms, "ten words " * 5, 10)
    assert (whole.start_ms, whole.end_ms) == (0, end_ms)
    assert whole.pause_share == 0
    assert whole.syllables_per_s == pytest.approx(4.0, abs=0.35)
    assert whole.words_per_min == pytest.approx(10 / (end_ms / 60_000))
    assert whole.speech_pace == "normal"
    assert whole.prosody.energy is not None
    assert whole.quality == pytest.approx(0.3)


def test_a_louder_turn_has_more_energy_than_the_same_speakers_normal() -> None:
    delivery = of()
    for _ in range(25):
        voice = delivery.begin(0)
        speak(voice, 1.024)
        delivery.stretch(voice, "u1", voice.track.end_ms)
    energies = []
    for level_db in (-32.0, -26.0, -20.0):
        voice = delivery.begin(0)
        for _ in range(2):
            speak(voice, 1.024, level_db)
            delivery.stretch(voice, "u1", voice.track.end_ms)
        energies.append(delivery.turn(voice, "u1", voice.track.end_ms, "", 0).prosody.energy or 0.0)
    assert energies[0] < 0.3 < 0.45 < energies[1] < 0.55 < 0.7 < energies[2]


def test_without_speech_nothing_is_inferred() -> None:
    delivery = of("personal_training", emotion=True)
    voice = delivery.begin(0)
    be_silent(voice, 1.0)
    whole = delivery.turn(voice, "u1", 1_000, "", 0)
    assert (whole.prosody.energy, whole.prosody.confidence, whole.prosody.emotion) == (None, None, None)
    assert whole.quality == 0


@pytest.mark.parametrize("profile", ["workplace", "education"])
def test_the_module_that_reads_emotion_is_not_even_imported_at_work(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "services.voice_worker.listener.emotion"
    monkeypatch.setitem(sys.modules, name, None)  # importing it raises ImportError from here on
    delivery = of(profile, emotion=True)
    delivery.set_consent(Consent(emotion=True))
    voice = delivery.begin(0)
    speak(voice, 2.0)
    prosody = delivery.turn(voice, "u1", voice.track.end_ms, "maybe", 1).prosody
    assert (prosody.confidence, prosody.emotion) == (None, None)
    with pytest.raises(ImportError):
        of("research", emotion=True)


def test_taking_consent_back_drops_what_was_learnt() -> None:
    delivery = of("personal_training", emotion=True)
    first = delivery._emotion
    delivery.set_consent(Consent(emotion=True))
    assert delivery._emotion is first
    delivery.set_consent(Consent())
    assert delivery._emotion is None
    delivery.set_consent(Consent(emotion=True))
    assert delivery._emotion is not first
