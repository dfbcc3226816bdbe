"""Who may come in: reads a request's credentials, host and origin. The door beside the pure rules of `auth`."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from services.edge.auth import (
    LOCAL_USER,
    Identity,
    KeySet,
    SharedSecret,
    TokenRules,
    UnknownKey,
    find_credentials,
    missing_token,
    verify_token,
)
from services.edge.jwks import JwksDoor
from services.edge.limits import check_local_host, check_origin
from services.edge.settings import EdgeSettings
from services.edge.tickets import TicketStore
from shared.clock import Clock
from shared.errors import AuthError


class Gate:
    """Checks requests. Raises AuthError; what Redis raises where a ticket cannot be looked up."""

    def __init__(self, settings: EdgeSettings, client: Any, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._rules = TokenRules(settings.algorithm, settings.jwt_audience, settings.jwt_issuer, settings.jwt_leeway_s)
        self._tickets = TicketStore(client)
        secret = settings.jwt_secret.get_secret_value()
        self._secret = SharedSecret(secret) if secret else None
        self._jwks = JwksDoor(settings.jwks, clock) if settings.jwks else None

    def check_page(self, request: web.Request) -> None:
        """Refuse web pages of other origins, and foreign host names where there are no tokens."""
        if not self._settings.needs_token:
            check_local_host(request.host)
        check_origin(request.headers.get("Origin"), request.host, self._settings.origin_list)

    async def identify(self, request: web.Request) -> tuple[Identity, str | None]:
        """Return who asks, and the subprotocol to echo."""
        found = find_credentials(request.headers, request.match_info.get("token", ""), request.query)
        if not self._settings.needs_token:
            return LOCAL_USER, found.subprotocol
        if found.ticket:
            return await self._tickets.take(found.ticket), found.subprotocol
        if not found.token:
            raise missing_token()
        return await self._verify(found.token), found.subprotocol

    async def issue_ticket(self, identity: Identity) -> str:
        """Return a one-time ticket for `identity`."""
        return await self._tickets.issue(identity)

    def address_of(self, request: web.Request) -> str:
        """Return the client's address, as limits count it."""
        if self._settings.forwarded_for:
            entries = request.headers.get("X-Forwarded-For", "").split(",")
            if entries[-1].strip():
                return entries[-1].strip()[:64]
        return request.remote or "unknown"

    async def _verify(self, token: str) -> Identity:
        now_s = self._clock.wall_ms() / 1000
        try:
            return verify_token(token, self._rules, await self._keys(newer=False), now_s)
        except UnknownKey:
            if self._jwks is None:
                raise
            return verify_token(token, self._rules, await self._keys(newer=True), now_s)

    async def _keys(self, *, newer: bool) -> KeySet:
        if self._jwks is not None:
            return await self._jwks.keys(newer=newer)
        if self._secret is None:
            raise AuthError("no_keys", "no token secret is configured")
        return self._secret
