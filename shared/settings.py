"""Settings that every service has. Read once, in each service's `__main__`; frozen afterwards.

Each service has a subclass with its own prefix `SPLITBRAIN_<SERVICE>_`. A few names are the same for all
services and carry no service in their name: `SPLITBRAIN_REDIS_URL`, `SPLITBRAIN_SHARDS`, `SPLITBRAIN_LOG_*`.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
from collections.abc import Iterable
from typing import ClassVar, Literal, TypeVar

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import ConfigError
from shared.retention import Retention
from shared.streams import DEFAULT_SHARDS, MAX_SHARDS

S = TypeVar("S", bound=BaseSettings)

_FOR_COMPOSE = re.compile(r"REPLICAS|MEMORY|PORTS|ADDRESS|GPU_[A-Z0-9_]+")
"""Names behind a service's prefix that compose.yaml reads for itself; they may stand in the same shell."""


def _shared(name: str) -> AliasChoices:
    return AliasChoices(f"SPLITBRAIN_{name}")


class ServiceSettings(BaseSettings):
    """What every service needs to know. Subclasses set `model_config["env_prefix"]`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="SPLITBRAIN_", populate_by_name=True)

    elsewhere: ClassVar[tuple[str, ...]] = ()
    """Beginnings of names, behind the service's prefix, that belong to a settings class of their own."""

    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        validation_alias=_shared("REDIS_URL"),
        description="redis://, rediss://, unix://, redis+cluster:// or redis+sentinel:// URL of the broker",
        pattern=r"^(unix|rediss?(\+cluster|\+sentinel)?)://",
    )
    n_shards: int = Field(
        DEFAULT_SHARDS,
        validation_alias=_shared("SHARDS"),
        ge=1,
        le=MAX_SHARDS,
        description="number of shards; the same for all services of a deployment",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", validation_alias=_shared("LOG_LEVEL"), description="least level that is logged"
    )
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", validation_alias=_shared("LOG_FORMAT"), description="auto: text on a terminal, else json"
    )
    lease_s: float = Field(
        1.5,
        validation_alias=_shared("LEASE_S"),
        ge=0.2,
        le=60,
        description="seconds without a heartbeat after which another worker takes a session over",
    )
    retention_s: int = Field(
        3600,
        validation_alias=_shared("RETENTION_S"),
        ge=10,
        description="seconds for which of an ended session is kept what its user allowed",
    )
    retention_without_consent_s: int = Field(
        120,
        validation_alias=_shared("RETENTION_WITHOUT_CONSENT_S"),
        ge=10,
        description="seconds for which the rest is kept: for the scorecard, its check, and a client that comes late",
    )
    health_host: str = Field("127.0.0.1", description="address of the health and metrics endpoint")
    health_port: int = Field(0, ge=0, le=65535, description="its port; 0 takes a free one")
    worker_id: str = Field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}",
        description="name of this process among its replicas",
        pattern=r"^[A-Za-z0-9_.:-]{1,100}$",
    )

    @property
    def retention(self) -> Retention:
        """How long what an ended session left is kept."""
        return Retention(self.retention_s, self.retention_without_consent_s)


def load_settings(kind: type[S], **overrides: object) -> S:
    """Return the settings from the environment, or raise ConfigError with the whole list of what is wrong.

    A variable with the service's prefix that is no setting is wrong too: a misspelt one would change nothing, silently.
    """
    wrong = unknown_names(kind, os.environ)
    try:
        settings = kind(**overrides)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        wrong += [_problem(kind, problem["loc"], problem["msg"]) for problem in error.errors()]
        raise _wrong(wrong) from error
    if wrong:
        raise _wrong(wrong)
    return settings


def unknown_names(kind: type[BaseSettings], names: Iterable[str]) -> list[str]:
    """Return a line for each name that has the service's prefix and is none of its settings. Pure."""
    prefix = str(kind.model_config.get("env_prefix", "")).upper()
    known = {f"{prefix}{name}".upper() for name in kind.model_fields}
    elsewhere = tuple(f"{prefix}{start}" for start in getattr(kind, "elsewhere", ()))
    lines = []
    for name in sorted({name.upper() for name in names}):
        if not name.startswith(prefix) or name.startswith(elsewhere) or name in known:
            continue
        if _FOR_COMPOSE.fullmatch(name.removeprefix(prefix)):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        lines.append(f"{name}: there is no such setting" + (f"; {near[0]}?" if near else ""))
    return lines


def _wrong(lines: list[str]) -> ConfigError:
    return ConfigError("wrong settings:\n" + "\n".join(f"  {line}" for line in lines))


def _problem(kind: type[BaseSettings], loc: tuple[int | str, ...], message: str) -> str:
    """Return what is wrong; settings that do not go together name themselves in the message."""
    message = message.removeprefix("Value error, ")
    prefix = str(kind.model_config.get("env_prefix", ""))
    return f"{_env_name(kind, prefix, loc)}: {message}" if loc else message


def _env_name(kind: type[BaseSettings], prefix: str, loc: tuple[int | str, ...]) -> str:
    name = str(loc[0])
    if name.startswith("SPLITBRAIN_"):
        return name
    alias = kind.model_fields[name].validation_alias if name in kind.model_fields else None
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return f"{prefix}{name}".upper()
