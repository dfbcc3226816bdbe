"""The voice worker's settings, as an operator writes them."""

from __future__ import annotations

import pytest

from services.voice_worker.settings import VoiceSettings
from shared.errors import ConfigError
from shared.settings import load_settings


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_VOICE_ENGINES", "echo, cascade")
    monkeypatch.setenv("SPLITBRAIN_VOICE_LANGUAGES", "en")
    settings = load_settings(VoiceSettings)
    assert settings.engines == ("echo", "cascade")
    assert settings.languages == ("en",)


def test_everything_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_VOICE_ENGINES", "personaplexx")
    monkeypatch.setenv("SPLITBRAIN_VOICE_LANGUAGES", "fr")
    monkeypatch.setenv("SPLITBRAIN_VOICE_CASCADE_SLOTS", "0")
    with pytest.raises(ConfigError) as caught:
        load_settings(VoiceSettings)
    text = str(caught.value)
    for name in ("ENGINES", "LANGUAGES", "CASCADE_SLOTS"):
        assert f"SPLITBRAIN_VOICE_{name}" in text
    assert "name one or more of personaplex, cascade, echo" in text


def test_no_engine_at_all_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_VOICE_ENGINES", "")
    with pytest.raises(ConfigError, match="name one or more"):
        load_settings(VoiceSettings)


def test_bits_are_written_as_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_VOICE_PERSONAPLEX_WEIGHT_BITS", "8")
    assert load_settings(VoiceSettings).personaplex_weight_bits == 8
    monkeypatch.setenv("SPLITBRAIN_VOICE_PERSONAPLEX_WEIGHT_BITS", "7")
    with pytest.raises(ConfigError, match="16 or 8"):
        load_settings(VoiceSettings)


def test_keys_are_not_shown() -> None:
    assert "secret" not in repr(VoiceSettings(openai_api_key="secret"))
