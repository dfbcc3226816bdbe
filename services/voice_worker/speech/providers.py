"""Which provider does what, by setting. A new provider is one module and one line in a table here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from services.voice_worker.speech.interfaces import Synthesizer, Transcriber, TurnPredictor
from services.voice_worker.speech.local import LocalOptions, LocalSynthesizer, LocalTranscriber, LocalTurnPredictor
from services.voice_worker.speech.openai_compatible import OpenAiOptions, OpenAiSynthesizer, OpenAiTranscriber
from shared.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """The settings of all providers; each reads its own part."""

    local: LocalOptions = field(default_factory=LocalOptions)
    openai: OpenAiOptions = field(default_factory=OpenAiOptions)


TRANSCRIBERS: Final[dict[str, Callable[[SpeechOptions], Transcriber]]] = {
    "local": lambda options: LocalTranscriber(options.local),
    "openai": lambda options: OpenAiTranscriber(options.openai),
}
SYNTHESIZERS: Final[dict[str, Callable[[SpeechOptions], Synthesizer]]] = {
    "local": lambda options: LocalSynthesizer(options.local),
    "openai": lambda options: OpenAiSynthesizer(options.openai),
}


def transcriber(name: str = "local", options: SpeechOptions | None = None) -> Transcriber:
    """Return the transcriber called `name`, not started. ConfigError names those there are."""
    if name not in TRANSCRIBERS:
        raise ConfigError(f"no transcriber {name!r}; choose one of {', '.join(TRANSCRIBERS)}")
    return TRANSCRIBERS[name](options or SpeechOptions())


def synthesizer(name: str = "local", options: SpeechOptions | None = None) -> Synthesizer:
    """Return the synthesizer called `name`, not started. ConfigError names those there are."""
    if name not in SYNTHESIZERS:
        raise ConfigError(f"no synthesizer {name!r}; choose one of {', '.join(SYNTHESIZERS)}")
    return SYNTHESIZERS[name](options or SpeechOptions())


def turn_predictor(options: SpeechOptions | None = None) -> TurnPredictor:
    """Return the local end-of-turn predictor, not started."""
    return LocalTurnPredictor((options or SpeechOptions()).local)
