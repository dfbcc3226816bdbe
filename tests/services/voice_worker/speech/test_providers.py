"""The registry: known names give providers, unknown ones give the list."""

from __future__ import annotations

import pytest

from services.voice_worker.speech import providers
from services.voice_worker.speech.interfaces import Synthesizer, Transcriber, TurnPredictor
from shared.errors import ConfigError


async def test_every_name_gives_what_it_says() -> None:
    for name in providers.TRANSCRIBERS:
        transcriber = providers.transcriber(name)
        assert isinstance(transcriber, Transcriber)
        await transcriber.aclose()
    for name in providers.SYNTHESIZERS:
        synthesizer = providers.synthesizer(name)
        assert isinstance(synthesizer, Synthesizer)
        assert synthesizer.voices("en")
        await synthesizer.aclose()
    assert isinstance(providers.turn_predictor(), TurnPredictor)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="local, openai"):
        providers.transcriber("oracle")
    with pytest.raises(ConfigError, match="local, openai"):
        providers.synthesizer("oracle")
