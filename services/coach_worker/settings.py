"""Settings of the coach, prefix `SPLITBRAIN_COACH_`; read once in `__main__`."""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from shared.settings import ServiceSettings


class CoachSettings(ServiceSettings):
    """What the coach needs to know. A language model is used where an address or a key of one is set."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="SPLITBRAIN_COACH_", populate_by_name=True
    )

    max_sessions: int = Field(200, ge=1, le=10_000, description="sessions that this process coaches at a time")
    brain: Literal["auto", "policy", "llm"] = Field(
        "auto", description="policy: deterministic; llm: a language model; auto: llm where one is configured"
    )
    llm_base_url: str = Field(
        "",
        validation_alias=AliasChoices("SPLITBRAIN_COACH_LLM_BASE_URL", "OPENAI_BASE_URL"),
        description="address of any OpenAI-compatible endpoint, with its /v1; empty is OpenAI's own",
        pattern=r"^$|^https?://",
    )
    llm_api_key: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("SPLITBRAIN_COACH_LLM_API_KEY", "OPENAI_API_KEY"),
        description="key of the endpoint; a local one needs none",
    )
    llm_model: str = Field("gpt-4o-mini", min_length=1, max_length=200, description="model name at the endpoint")
    llm_temperature: float = Field(0.6, ge=0.0, le=2.0, description="how freely the model words an answer")
    llm_max_tokens: int = Field(160, ge=16, le=2_000, description="most tokens of an answer")
    llm_first_sentence_s: float = Field(
        2.0, gt=0.0, le=30.0, description="seconds until the first sentence; after them the policy answers"
    )
    llm_answer_s: float = Field(8.0, gt=0.0, le=60.0, description="seconds for a whole answer")
    llm_max_parallel: int = Field(
        64, ge=1, le=10_000, description="answers in the making at a time; beyond it the policy answers at once"
    )

    @property
    def uses_llm(self) -> bool:
        """True if answers come from a language model."""
        return self.brain == "llm" or (self.brain == "auto" and self._has_endpoint)

    @property
    def _has_endpoint(self) -> bool:
        return bool(self.llm_base_url or self.llm_api_key.get_secret_value())

    @model_validator(mode="after")
    def _check(self) -> CoachSettings:
        if self.brain == "llm" and not self._has_endpoint:
            raise ValueError(
                "SPLITBRAIN_COACH_BRAIN=llm needs SPLITBRAIN_COACH_LLM_BASE_URL or SPLITBRAIN_COACH_LLM_API_KEY"
            )
        if self.llm_first_sentence_s > self.llm_answer_s:
            raise ValueError(
                "SPLITBRAIN_COACH_LLM_FIRST_SENTENCE_S must not be longer than SPLITBRAIN_COACH_LLM_ANSWER_S"
            )
        return self
