"""From the worker's settings to the engine."""

from __future__ import annotations

from services.voice_worker.engines.personaplex.build import build_engine
from services.voice_worker.settings import VoiceSettings


def test_settings_reach_the_engine() -> None:
    settings = VoiceSettings(
        personaplex_slots=3,
        personaplex_mode="scripted",
        personaplex_text_temperature=0.1,
        personaplex_audio_temperature=0.2,
        personaplex_repetition_penalty=1.3,
        personaplex_padding_bonus=2.0,
    )
    engine = build_engine(settings)
    options = engine._options
    assert (engine.name, engine.slots, options.mode) == ("personaplex", 3, "scripted")
    sampling = options.sampling
    assert (sampling.text_temperature, sampling.audio_temperature) == (0.1, 0.2)
    assert (sampling.repetition_penalty, sampling.padding_bonus) == (1.3, 2.0)


def test_only_the_tiny_model_is_silenced_by_default() -> None:
    assert build_engine(VoiceSettings())._options.sampling.padding_bonus == 0.0
    tiny = build_engine(VoiceSettings(personaplex_model="tiny"))
    assert tiny._options.sampling.padding_bonus == 200.0
