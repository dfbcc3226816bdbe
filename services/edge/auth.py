"""Who is asking: bearer tokens and where clients put them. Pure; keys and tickets come from doors.

The algorithm is fixed by the configuration and never read from the token. Messages never repeat a token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import jwt
from jwt.exceptions import InvalidSignatureError, PyJWTError

from shared.errors import AuthError, ConfigError

MIN_SECRET_BYTES = 32
MAX_TOKEN_BYTES = 8 * 1024
SUBPROTOCOL = "splitbrain"
_BEARER_PREFIX = "bearer."
_USER = re.compile(r"[\x21-\x7e]{1,128}")
_HOW = (
    "send it as 'Authorization: Bearer <token>', as subprotocol 'bearer.<token>', "
    "in the path /t/<token>/api/chat, or as a one-time ticket"
)


@dataclass(frozen=True, slots=True)
class Identity:
    """The user that a token or ticket stands for. `expires_s`: seconds since 1970, 0 for never."""

    user: str
    expires_s: int = 0


LOCAL_USER = Identity("local")
"""Everybody, where no secret is configured and the edge listens on loopback only."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request carries. At most one of the two is used; `subprotocol` is what to echo."""

    token: str = ""
    ticket: str = ""
    subprotocol: str | None = None


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must say."""

    algorithm: Literal["HS256", "RS256"]
    audience: str
    issuer: str = ""
    leeway_s: int = 30


class UnknownKey(AuthError):
    """No key of the set has the token's `kid`; a newer key set may have it."""


class KeySet(Protocol):
    """Where a verification key comes from."""

    def key_for(self, kid: str | None) -> Any:
        """Return the key; raises UnknownKey."""
        ...


class SharedSecret:
    """One secret for HS256, whatever the token's `kid` is. Raises ConfigError if it is short."""

    def __init__(self, secret: str) -> None:
        if len(secret.encode()) < MIN_SECRET_BYTES:
            raise ConfigError(
                f"SPLITBRAIN_EDGE_JWT_SECRET has {len(secret.encode())} bytes; it needs {MIN_SECRET_BYTES}: "
                "make one with `openssl rand -base64 48`"
            )
        self._secret = secret

    def key_for(self, kid: str | None) -> Any:
        return self._secret


class RsaKeySet:
    """The RSA signature keys of a JWKS document. Raises AuthError if it has none."""

    def __init__(self, document: object) -> None:
        entries = document.get("keys") if isinstance(document, dict) else None
        self._keys: dict[str | None, Any] = {}
        for entry in entries if isinstance(entries, list) else []:
            if not isinstance(entry, dict) or entry.get("kty") != "RSA":
                continue
            if entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
                continue
            try:
                self._keys[entry.get("kid")] = jwt.PyJWK(entry, "RS256").key
            except PyJWTError:
                continue
        if not self._keys:
            raise AuthError("bad_jwks", "the JWKS document holds no RSA signature key")

    def key_for(self, kid: str | None) -> Any:
        if kid in self._keys:
            return self._keys[kid]
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        raise UnknownKey("unknown_key", "the token was signed with a key that is not known")


def verify_token(token: str, rules: TokenRules, keys: KeySet, now_s: float) -> Identity:
    """Return who the token stands for. Raises AuthError, and UnknownKey where a newer key set may help."""
    if len(token) > MAX_TOKEN_BYTES:
        raise AuthError("bad_token", f"the token has more than {MAX_TOKEN_BYTES} bytes")
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") != rules.algorithm:
            raise AuthError("bad_token", f"tokens must be signed with {rules.algorithm}")
        kid = header.get("kid")
        claims = jwt.decode(
            token,
            keys.key_for(kid if isinstance(kid, str) else None),
            algorithms=[rules.algorithm],
            audience=rules.audience,
            issuer=rules.issuer or None,
            # The times are checked below, against the caller's clock.
            options={"require": ["exp", "aud", "sub"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except InvalidSignatureError:
        raise AuthError("bad_token", "the token's signature is wrong") from None
    except PyJWTError as error:
        raise AuthError("bad_token", f"the token was refused: {_why(error)}") from None
    return _identity(claims, rules, now_s)


def _identity(claims: Mapping[str, Any], rules: TokenRules, now_s: float) -> Identity:
    expires, not_before = claims["exp"], claims.get("nbf", 0)
    if type(expires) not in (int, float) or type(not_before) not in (int, float):
        raise AuthError("bad_token", "the token's times must be numbers")
    if now_s >= expires + rules.leeway_s:
        raise AuthError("token_expired", "the token has expired: get a new one")
    if now_s < not_before - rules.leeway_s:
        raise AuthError("bad_token", "the token is not valid yet")
    user = claims["sub"]
    if not isinstance(user, str) or not _USER.fullmatch(user):
        raise AuthError("bad_token", "the token's 'sub' must have 1 to 128 printable characters without blanks")
    return Identity(user, int(expires))


def _why(error: PyJWTError) -> str:
    """A reason without any part of the token: PyJWT's messages name claims, but may quote headers."""
    known = {
        "DecodeError": "it is not a JWT",
        "MissingRequiredClaimError": "it needs the claims exp, aud and sub",
        "InvalidAudienceError": "its audience is another one",
        "InvalidIssuerError": "its issuer is another one",
        "InvalidSubjectError": "its subject is not a text",
    }
    return known.get(type(error).__name__, "it is not valid")


def find_credentials(headers: Mapping[str, str], path_token: str, query: Mapping[str, str]) -> Credentials:
    """Return what the request carries, by header, subprotocol, path, ticket or `worker_auth_id`, in this order.

    Raises AuthError for an Authorization header of another form and for `?token=`, which ends up in logs.
    """
    offered = [part.strip() for part in headers.get("Sec-WebSocket-Protocol", "").split(",")]
    by_protocol = next((part for part in offered if part.startswith(_BEARER_PREFIX)), "")
    # Echoing the token's own entry would send it back; clients that offer only that one accept none.
    subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered else None
    authorization = headers.get("Authorization", "")
    if authorization:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise AuthError("bad_authorization", "the Authorization header must be 'Bearer <token>'")
        return Credentials(token.strip(), subprotocol=subprotocol)
    if by_protocol:
        return Credentials(by_protocol[len(_BEARER_PREFIX) :], subprotocol=subprotocol)
    if path_token:
        return Credentials(path_token, subprotocol=subprotocol)
    if query.get("ticket"):
        return Credentials(ticket=query["ticket"], subprotocol=subprotocol)
    if query.get("worker_auth_id"):
        return Credentials(query["worker_auth_id"], subprotocol=subprotocol)
    if query.get("token"):
        raise AuthError("token_in_query", f"a token in the query would be logged on its way: {_HOW}")
    return Credentials(subprotocol=subprotocol)


def missing_token() -> AuthError:
    """The answer to a request without any credentials."""
    return AuthError("no_token", f"a token is needed: {_HOW}")
