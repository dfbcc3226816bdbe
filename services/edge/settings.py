"""Settings of the edge: `SPLITBRAIN_EDGE_*`."""

from __future__ import annotations

import ipaddress
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from services.edge.auth import MIN_SECRET_BYTES
from services.edge.engines import check_offered
from services.edge.limits import LOOPBACK_NAMES, ConnectionBounds, LifeBounds, RateBounds
from services.edge.moshi_protocol import InputBounds
from shared.errors import BadInput
from shared.events import Language, Profile
from shared.settings import ServiceSettings


class EdgeSettings(ServiceSettings):
    """Where the edge listens, whom it lets in, and how much of everything it allows."""

    model_config = SettingsConfigDict(env_prefix="SPLITBRAIN_EDGE_")

    host: str = Field("127.0.0.1", description="address to listen on; other than loopback needs a token secret")
    port: int = Field(8998, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    tls_cert: str = Field("", description="PEM file of the certificate chain; empty: no TLS here")
    tls_key: str = Field("", description="PEM file of its private key")

    jwt_secret: SecretStr = Field(SecretStr(""), description="shared secret of HS256 tokens, at least 32 bytes")
    jwks: str = Field("", description="file or http(s) URL of the JWKS document of RS256 tokens")
    jwt_audience: str = Field("splitbrain", min_length=1, description="what tokens must carry as aud")
    jwt_issuer: str = Field("", description="what tokens must carry as iss; empty: anything")
    jwt_leeway_s: int = Field(30, ge=0, le=300, description="how far clocks may differ")
    origins: str = Field("", description="origins of web pages that may connect, beside the edge's own; by comma")
    forwarded_for: bool = Field(
        False, description="take the client's address from X-Forwarded-For's last entry (behind one proxy of yours)"
    )
    public_metrics: bool = Field(True, description="serve /metrics beside the API too, not only on the health port")

    engines: str = Field(
        "cascade,personaplex,personaplex_remote,openai_realtime,echo",
        description="engines that clients may ask for, best first; by comma",
    )
    default_language: Language = Field("nl", description="language of sessions that do not say one")
    default_voice: str = Field("", pattern=r"^([A-Za-z0-9_-][A-Za-z0-9_.-]*)?$", description="voice if none is asked")
    default_persona: str = Field("", max_length=4000, description="text prompt of sessions that do not bring one")
    profile: Profile = Field("workplace", description="what the law allows here: decides on emotion inference")

    max_connections: int = Field(2000, ge=1, description="connections of this process")
    max_per_user: int = Field(5, ge=1, description="conversations of one user on this process")
    max_per_address: int = Field(20, ge=1, description="conversations of one address on this process")
    new_per_minute: int = Field(30, ge=1, description="new conversations of one user in a minute")
    messages_per_s: float = Field(100, gt=0, description="messages of one client a second; faster ones wait")
    bytes_per_s: float = Field(80_000, gt=0, description="bytes of one client a second; faster ones wait")
    max_message_bytes: int = Field(64 * 1024, ge=1024, le=1024 * 1024, description="larger messages close with 1009")
    input_burst_s: float = Field(10, ge=0.16, description="audio a client may send ahead of real time")
    max_dropped_s: float = Field(60, gt=0, description="audio dropped beyond that before closing with 1008")
    idle_s: float = Field(120, gt=0, description="seconds without a message before the session ends")
    max_session_s: float = Field(3600, gt=0, description="longest conversation")
    start_timeout_s: float = Field(120, gt=0, description="seconds until the engine must be ready")
    take_s: float = Field(2, gt=0, description="seconds that a request may wait for a voice worker, then the next")
    engine_silent_s: float = Field(10, gt=0, description="seconds that a voice may owe sound; then another is tried")
    engine_retry_s: float = Field(3, gt=0, description="seconds between looks for a voice while a session has none")
    text_only_s: float = Field(120, ge=0, description="seconds that a conversation may go on without a voice")
    resume_s: float = Field(30, ge=0, description="seconds that a lost client has to come back; 0: none")
    retry_after_s: int = Field(5, ge=1, description="what a client is told to wait when all is full")
    drain_s: float = Field(10, gt=0, description="seconds to close all sockets at the end")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        secret = self.jwt_secret.get_secret_value()
        if secret and self.jwks:
            raise ValueError("set either SPLITBRAIN_EDGE_JWT_SECRET or SPLITBRAIN_EDGE_JWKS, not both")
        if secret and len(secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"SPLITBRAIN_EDGE_JWT_SECRET needs {MIN_SECRET_BYTES} bytes: openssl rand -base64 48")
        if not self.needs_token and not is_loopback(self.host):
            raise ValueError(
                "without a token secret the edge listens on loopback only: set SPLITBRAIN_EDGE_JWT_SECRET or "
                "SPLITBRAIN_EDGE_JWKS, or SPLITBRAIN_EDGE_HOST=127.0.0.1"
            )
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("SPLITBRAIN_EDGE_TLS_CERT and SPLITBRAIN_EDGE_TLS_KEY go together")
        try:
            check_offered(self.engine_names)
        except BadInput as error:
            raise ValueError(f"SPLITBRAIN_EDGE_ENGINES: {error}") from error
        return self

    @property
    def needs_token(self) -> bool:
        """True if clients must show who they are."""
        return bool(self.jwt_secret.get_secret_value() or self.jwks)

    @property
    def algorithm(self) -> Literal["HS256", "RS256"]:
        """The one algorithm that tokens are checked with."""
        return "RS256" if self.jwks else "HS256"

    @property
    def engine_names(self) -> tuple[str, ...]:
        """Engines on offer, best first."""
        return tuple(name.strip() for name in self.engines.split(",") if name.strip())

    @property
    def origin_list(self) -> frozenset[str]:
        """Origins beside the edge's own."""
        return frozenset(origin.strip().rstrip("/") for origin in self.origins.split(",") if origin.strip())

    @property
    def emotion_locked(self) -> bool:
        """True where emotion inference is unlawful whatever the user says."""
        return self.profile in ("workplace", "education")

    def input_bounds(self) -> InputBounds:
        return InputBounds(self.max_message_bytes, self.input_burst_s, self.max_dropped_s)

    def connection_bounds(self) -> ConnectionBounds:
        return ConnectionBounds(self.max_connections, self.max_per_user, self.max_per_address, self.new_per_minute)

    def rate_bounds(self) -> RateBounds:
        return RateBounds(self.messages_per_s, self.bytes_per_s)

    def life_bounds(self) -> LifeBounds:
        return LifeBounds(self.idle_s, self.max_session_s, self.start_timeout_s)


def is_loopback(host: str) -> bool:
    """True if `host` names this machine only."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
