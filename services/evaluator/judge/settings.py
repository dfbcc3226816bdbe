"""Settings of the model as second judge, prefix `SPLITBRAIN_EVALUATOR_JUDGE_`. A live evaluator reads none of them."""

from __future__ import annotations

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class JudgeSettings(BaseSettings):
    """Which endpoint judges, and how much it may be asked."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="SPLITBRAIN_EVALUATOR_JUDGE_", populate_by_name=True
    )

    base_url: str = Field(
        "",
        validation_alias=AliasChoices("SPLITBRAIN_EVALUATOR_JUDGE_BASE_URL", "OPENAI_BASE_URL"),
        description="address of any OpenAI-compatible endpoint, with its /v1; empty is OpenAI's own",
        pattern=r"^$|^https?://",
    )
    api_key: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("SPLITBRAIN_EVALUATOR_JUDGE_API_KEY", "OPENAI_API_KEY"),
        description="key of the endpoint; a local one needs none",
    )
    model: str = Field("gpt-4o-mini", min_length=1, max_length=200, description="model name at the endpoint")
    seed: int = Field(7, ge=0, le=2**31 - 1, description="seed that goes along with temperature 0")
    timeout_s: float = Field(20.0, gt=0.0, le=600.0, description="seconds for one request")
    session_s: float = Field(300.0, gt=0.0, le=7_200.0, description="seconds for all questions of one session")
    max_questions: int = Field(
        300, ge=0, le=5_000, description="questions about one session; later turns keep the rules"
    )
    max_techniques: int = Field(4, ge=2, le=8, description="techniques asked about for one turn")
    max_attitudes: int = Field(4, ge=0, le=9, description="attitudes asked about where the rules saw none")
    max_parallel: int = Field(4, ge=1, le=64, description="requests at a time")
    max_tries: int = Field(2, ge=1, le=5, description="requests for one question")
    retry_wait_s: float = Field(0.5, ge=0.0, le=10.0, description="wait before the second try; doubles with each")
    max_tokens: int = Field(200, ge=32, le=2_000, description="most tokens of an answer")
    cache_dir: str = Field("", description="folder that keeps answers, so that none is asked for twice; empty: none")

    @property
    def has_endpoint(self) -> bool:
        """True if an address or a key of an endpoint is set."""
        return bool(self.base_url or self.api_key.get_secret_value())
