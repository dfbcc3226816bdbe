"""Tokens: what is accepted, and everything that must not be."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from services.edge.auth import (
    Credentials,
    Identity,
    RsaKeySet,
    SharedSecret,
    TokenRules,
    UnknownKey,
    find_credentials,
    verify_token,
)
from shared.errors import AuthError, ConfigError

NOW = 1_800_000_000.0
SECRET = "s" * 32
HS = TokenRules("HS256", "splitbrain", "issuer")
RS = TokenRules("RS256", "splitbrain")
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _claims(**changes: Any) -> dict[str, Any]:
    claims = {"sub": "anna", "aud": "splitbrain", "iss": "issuer", "exp": int(NOW) + 60, **changes}
    return {name: value for name, value in claims.items() if value is not None}


def _hs(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(_claims(**changes), secret, algorithm)


def _jwk(key: rsa.RSAPrivateKey, kid: str, **changes: Any) -> dict[str, Any]:
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", "alg": "RS256", **changes}


def _raw(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _verify(token: str) -> Identity:
    return verify_token(token, HS, SharedSecret(SECRET), NOW)


def test_a_good_token_says_who() -> None:
    assert _verify(_hs()) == Identity("anna", int(NOW) + 60)


def test_several_audiences_and_kid_do_not_matter() -> None:
    token = jwt.encode(_claims(aud=["other", "splitbrain"]), SECRET, "HS256", headers={"kid": "x"})
    assert _verify(token).user == "anna"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": int(NOW) - 31}, "token_expired"),
        ({"exp": None}, "bad_token"),
        ({"exp": "soon"}, "bad_token"),
        ({"exp": True}, "bad_token"),
        ({"aud": "other"}, "bad_token"),
        ({"aud": None}, "bad_token"),
        ({"iss": "other"}, "bad_token"),
        ({"iss": None}, "bad_token"),
        ({"sub": None}, "bad_token"),
        ({"sub": ""}, "bad_token"),
        ({"sub": "a b"}, "bad_token"),
        ({"sub": "x" * 129}, "bad_token"),
        ({"nbf": int(NOW) + 31}, "bad_token"),
        ({"nbf": "later"}, "bad_token"),
    ],
)
def test_claims_that_are_refused(changes: dict[str, Any], code: str) -> None:
    token = _hs(**changes)
    with pytest.raises(AuthError) as caught:
        _verify(token)
    assert caught.value.code == code
    assert token.split(".")[1] not in str(caught.value)


def test_the_leeway_holds_both_ways() -> None:
    assert _verify(_hs(exp=int(NOW) - 29, nbf=int(NOW) + 29)).user == "anna"


@pytest.mark.parametrize(
    "token",
    [
        _hs("t" * 32),
        _hs(algorithm="HS512", secret="s" * 64),
        jwt.encode(_claims(), None, "none"),
        _raw({"alg": "none", "typ": "JWT"}, _claims()),
        _raw({"alg": "NONE"}, _claims()),
        _raw({"alg": "nOnE"}, _claims(), b"x"),
        _raw({"typ": "JWT"}, _claims()),
        jwt.encode(_claims(), RSA, "RS256"),
        _hs()[:-4],
        _hs() + "x",
        "",
        "a.b.c",
        "no token",
        "\x00" * 10,
        "é" * 10,
        "x" * 9000,
    ],
)
def test_tokens_that_are_refused(token: str) -> None:
    with pytest.raises(AuthError):
        _verify(token)


def test_a_public_key_is_no_shared_secret() -> None:
    """Algorithm confusion: a token signed by HMAC with the public key's text must not pass as RS256."""
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').rstrip(b"=")
    payload = base64.urlsafe_b64encode(json.dumps(_claims()).encode()).rstrip(b"=")
    import hashlib
    import hmac

    signature = hmac.new(pem, header + b"." + payload, hashlib.sha256).digest()
    token = b".".join((header, payload, base64.urlsafe_b64encode(signature).rstrip(b"="))).decode()
    with pytest.raises(AuthError, match="RS256"):
        verify_token(token, RS, RsaKeySet({"keys": [_jwk(RSA, "one")]}), NOW)


def test_rs256_by_kid() -> None:
    keys = RsaKeySet({"keys": [_jwk(OTHER_RSA, "two"), _jwk(RSA, "one")]})
    token = jwt.encode(_claims(), RSA, "RS256", headers={"kid": "one"})
    assert verify_token(token, RS, keys, NOW).user == "anna"


def test_rs256_without_kid_needs_a_single_key() -> None:
    token = jwt.encode(_claims(), RSA, "RS256")
    assert verify_token(token, RS, RsaKeySet({"keys": [_jwk(RSA, "one")]}), NOW).user == "anna"
    with pytest.raises(UnknownKey):
        verify_token(token, RS, RsaKeySet({"keys": [_jwk(RSA, "one"), _jwk(OTHER_RSA, "two")]}), NOW)


def test_an_unknown_kid_asks_for_newer_keys() -> None:
    token = jwt.encode(_claims(), RSA, "RS256", headers={"kid": "new"})
    with pytest.raises(UnknownKey):
        verify_token(token, RS, RsaKeySet({"keys": [_jwk(RSA, "one")]}), NOW)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"keys": None},
        {"keys": ["x"]},
        {"keys": [{"kty": "RSA", "kid": "x"}]},
        {"keys": [_jwk(RSA, "x", use="enc")]},
        {"keys": [_jwk(RSA, "x", alg="RS512")]},
        {"keys": [{**ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)}]},
    ],
)
def test_key_sets_without_a_usable_key(document: object) -> None:
    with pytest.raises(AuthError, match="no RSA"):
        RsaKeySet(document)


def test_a_short_secret_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="32"):
        SharedSecret("short")


@given(st.text(max_size=200))
def test_any_text_is_refused_with_an_auth_error(token: str) -> None:
    with pytest.raises(AuthError):
        _verify(token)


@pytest.mark.parametrize(
    ("headers", "path", "query", "expected"),
    [
        ({}, "", {}, Credentials()),
        ({"Authorization": "Bearer abc"}, "", {}, Credentials("abc")),
        ({"Authorization": "bearer  abc "}, "", {}, Credentials("abc")),
        (
            {"Sec-WebSocket-Protocol": "splitbrain, bearer.abc"},
            "",
            {},
            Credentials("abc", subprotocol="splitbrain"),
        ),
        ({"Sec-WebSocket-Protocol": "bearer.abc"}, "", {}, Credentials("abc")),
        ({}, "abc", {}, Credentials("abc")),
        ({}, "", {"ticket": "t"}, Credentials(ticket="t")),
        ({}, "", {"worker_auth_id": "abc"}, Credentials("abc")),
        ({}, "", {"worker_auth_id": ""}, Credentials()),
        ({"Authorization": "Bearer a"}, "b", {"ticket": "c", "worker_auth_id": "d"}, Credentials("a")),
        ({}, "b", {"ticket": "c"}, Credentials("b")),
        ({"Sec-WebSocket-Protocol": "chat"}, "", {}, Credentials()),
    ],
)
def test_where_tokens_are_found(
    headers: dict[str, str], path: str, query: dict[str, str], expected: Credentials
) -> None:
    assert find_credentials(headers, path, query) == expected


@pytest.mark.parametrize("value", ["Basic abc", "Bearer", "Bearer ", "abc"])
def test_other_authorization_headers_are_refused(value: str) -> None:
    with pytest.raises(AuthError, match="Bearer <token>"):
        find_credentials({"Authorization": value}, "", {})


def test_a_token_in_the_query_is_refused() -> None:
    with pytest.raises(AuthError, match="logged") as caught:
        find_credentials({}, "", {"token": "secret-token"})
    assert "secret-token" not in str(caught.value)
