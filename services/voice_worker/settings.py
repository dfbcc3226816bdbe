"""Settings of the voice worker: `SPLITBRAIN_VOICE_*`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from shared.events import Language, VoiceMode
from shared.settings import ServiceSettings

ENGINES = ("personaplex", "cascade", "echo")
"""Engines of this release, in the order in which they are offered."""

DEFAULT_ENGINES = ("cascade", "echo")
"""Those that need neither a GPU nor weights of their own."""

_List = Annotated[tuple[str, ...], NoDecode]


class VoiceSettings(ServiceSettings):
    """What a voice worker can be told."""

    model_config = SettingsConfigDict(
        env_prefix="SPLITBRAIN_VOICE_", frozen=True, extra="forbid", populate_by_name=True
    )

    engines: _List = Field(
        DEFAULT_ENGINES, description="comma-separated engines that this worker serves: personaplex, cascade, echo"
    )
    personaplex_slots: int = Field(4, ge=1, le=64, description="sessions of the personaplex engine at once")
    personaplex_model: str = Field(
        "", description='folder of its weights, or "tiny" for a random model; empty: where `models pull` puts them'
    )
    personaplex_device: str = Field("", description='torch device, "cpu" for tests only; empty: the first GPU')
    personaplex_weight_bits: Literal[16, 8] = Field(16, description="bits of its weights: 8 halves their memory")
    personaplex_voices: str = Field("", description="folder of voices (.pt, .wav); empty: that of the weights")
    personaplex_mode: VoiceMode = Field(
        "guided",
        description="who decides its words: itself (free), the coach if he has any (guided), or only he (scripted)",
    )
    personaplex_text_temperature: float = Field(0.7, ge=0, le=2, description="0: always the likeliest text token")
    personaplex_audio_temperature: float = Field(0.8, ge=0, le=2, description="0: always the likeliest sound")
    personaplex_repetition_penalty: float = Field(1.0, ge=1, le=2, description="above 1: repeats itself less")
    personaplex_padding_bonus: float | None = Field(
        None, ge=-50, le=50, description="above 0: speaks less; default 0, for the tiny model 200"
    )
    personaplex_stt: str = Field(
        "", description='folder of a Kyutai recogniser that shares its encoder, or "tiny" for a random one; empty: none'
    )
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
    drain_s: float = Field(
        15.0,
        ge=0,
        le=18,
        description="how long a worker that is told to stop serves on while nobody has room for its sessions",
    )
    input_idle_s: float = Field(
        30.0, ge=1, le=600, description="seconds without audio after which a session's edge is taken for dead"
    )

    @field_validator("engines", "languages", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("personaplex_weight_bits", mode="before")
    @classmethod
    def _whole(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdigit() else value

    @field_validator("engines")
    @classmethod
    def _known_engines(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or set(value) - set(ENGINES):
            raise ValueError(f"name one or more of {', '.join(ENGINES)}")
        return value
