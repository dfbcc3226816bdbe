"""Settings of the evaluator, prefix `SPLITBRAIN_EVALUATOR_`; read once in `__main__`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from shared.settings import ServiceSettings


class EvaluatorSettings(ServiceSettings):
    """What the evaluator needs to know."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="SPLITBRAIN_EVALUATOR_", populate_by_name=True
    )

    elsewhere: ClassVar[tuple[str, ...]] = ("JUDGE_",)  # services/evaluator/judge/settings.py

    max_sessions: int = Field(200, ge=1, le=10_000, description="sessions that this process evaluates at a time")
    jobs_redis_url: str = Field(
        "",
        description="Redis of the job queue; empty takes the broker's. arq speaks to one server, so with a "
        "redis+cluster:// broker this must be set",
        pattern=r"^$|^(unix|rediss?(\+sentinel)?)://",
    )
    jobs_queue: str = Field(
        "sb:jobs:evaluator", description="name of the job queue", pattern=r"^[A-Za-z0-9:_.-]{1,64}$"
    )
    jobs_max: int = Field(4, ge=1, le=100, description="jobs that run at a time")
    jobs_timeout_s: int = Field(60, ge=1, le=3600, description="seconds after which a job is stopped")
    jobs_max_tries: int = Field(5, ge=1, le=20, description="how often a job is tried")
    jobs_delay_s: float = Field(
        3.0, ge=0, le=600, description="seconds between a session's end and its job, for the last events to arrive"
    )
    jobs_poll_s: float = Field(0.5, ge=0.05, le=60, description="seconds between two looks at the queue")

    recordings: str = Field(
        "",
        description="where ended sessions are archived as their users allow: a folder, or a URL that fsspec knows; "
        "empty: nowhere",
        max_length=1000,
    )

    @property
    def queue_url(self) -> str:
        """URL of the job queue's Redis."""
        return self.jobs_redis_url or self.redis_url

    @model_validator(mode="after")
    def _one_server_for_jobs(self) -> EvaluatorSettings:
        if "+cluster" in self.queue_url:
            raise ValueError(
                "the job queue needs one Redis server: set SPLITBRAIN_EVALUATOR_JOBS_REDIS_URL beside a cluster"
            )
        return self
