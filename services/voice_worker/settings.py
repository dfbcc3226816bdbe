"""Settings of the voice worker: `SPLITBRAIN_VOICE_*`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from shared.events import Language
from shared.settings import ServiceSettings

ENGINES = ("cascade", "echo")
"""Engines of this release, in the order in which they are offered."""

_List = Annotated[tuple[str, ...], NoDecode]


class VoiceSettings(ServiceSettings):
    """What a voice worker can be told."""

    model_config = SettingsConfigDict(
        env_prefix="SPLITBRAIN_VOICE_", frozen=True, extra="forbid", populate_by_name=True
    )

    engines: _List = Field(ENGINES, description="comma-separated engines that this worker serves: cascade, echo")
    cascade_slots: int = Field(4, ge=1, le=256, description="sessions of the cascade engine at once")
    echo_slots: int = Field(500, ge=1, le=10_000, description="sessions of the echo engine at once")
    listener: Literal["on", "off"] = Field(
        "on", description="off: no transcript, turns or prosody; only for load tests with the echo engine"
    )
    provider: Literal["local", "openai"] = Field(
        "local",
        description="who recognises and synthesises speech: models on this machine, or an OpenAI-compatible API",
    )
    openai_base_url: str = Field("", description="base URL of the OpenAI-compatible speech API, ending in /v1")
    openai_api_key: str = Field("", repr=False, description="its key")
    languages: Annotated[tuple[Language, ...], NoDecode] = Field(
        ("en", "nl"), description="comma-separated languages to be ready for at start: en, nl"
    )
    threads: int = Field(0, ge=0, le=64, description="threads of each speech process; 0: as tuned")
    hesitation_rate: float = Field(0.12, ge=0, le=1, description="share of sentences with a hesitation; 0: none")
    acknowledge: bool = Field(True, description='whether Hugo says a short "hm" while the user talks on')
    warm_phrases: bool = Field(True, description="prepare frequent phrases after the start")
    input_idle_s: float = Field(
        30.0, ge=1, le=600, description="seconds without audio after which a session's edge is taken for dead"
    )

    @field_validator("engines", "languages", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("engines")
    @classmethod
    def _known_engines(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or set(value) - set(ENGINES):
            raise ValueError(f"name one or more of {', '.join(ENGINES)}")
        return value
