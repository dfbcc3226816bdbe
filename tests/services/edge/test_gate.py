"""The gate on real requests: keys that change, addresses, everybody's name without a secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from services.edge.auth import LOCAL_USER, Identity
from services.edge.gate import Gate
from services.edge.jwks import RETRY_S
from services.edge.settings import EdgeSettings
from shared.clock import ManualClock
from shared.errors import AuthError

KEYS = {kid: rsa.generate_private_key(public_exponent=65537, key_size=2048) for kid in ("one", "two")}


def _document(*kids: str) -> str:
    jwks = [{**RSAAlgorithm.to_jwk(KEYS[kid].public_key(), as_dict=True), "kid": kid} for kid in kids]
    return json.dumps({"keys": jwks})


def _request(token: str = "", **headers: str) -> Any:
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return make_mocked_request("GET", "/api/chat", headers={"Host": "localhost:8998", **headers})


def _token(kid: str, clock: ManualClock) -> str:
    claims = {"sub": "anna", "aud": "splitbrain", "exp": clock.wall_ms() // 1000 + 3600}
    return jwt.encode(claims, KEYS[kid], "RS256", headers={"kid": kid})


async def test_a_rotated_key_is_fetched_when_it_is_first_seen(tmp_path: Path) -> None:
    path, clock = tmp_path / "jwks.json", ManualClock()
    path.write_text(_document("one"))
    gate = Gate(EdgeSettings(jwks=str(path)), None, clock)
    assert (await gate.identify(_request(_token("one", clock))))[0].user == "anna"
    path.write_text(_document("one", "two"))
    await clock.advance(RETRY_S)
    assert (await gate.identify(_request(_token("two", clock))))[0].user == "anna"


async def test_the_clock_decides_what_has_expired(tmp_path: Path) -> None:
    path, clock = tmp_path / "jwks.json", ManualClock()
    path.write_text(_document("one"))
    gate = Gate(EdgeSettings(jwks=str(path)), None, clock)
    token = _token("one", clock)
    await clock.advance(3600 + 31)
    with pytest.raises(AuthError, match="expired"):
        await gate.identify(_request(token))


async def test_a_shared_secret_never_asks_for_newer_keys() -> None:
    gate = Gate(EdgeSettings(jwt_secret="s" * 32), None, ManualClock())
    with pytest.raises(AuthError):
        await gate.identify(_request("a.b.c"))
    with pytest.raises(AuthError, match="token is needed"):
        await gate.identify(_request())


async def test_without_a_secret_everybody_is_local() -> None:
    gate = Gate(EdgeSettings(), None, ManualClock())
    assert await gate.identify(_request()) == (LOCAL_USER, None)
    assert (await gate.identify(_request("anything")))[0] == Identity("local")
    gate.check_page(_request())
    with pytest.raises(AuthError):
        gate.check_page(_request(Host="rebound.example"))


@pytest.mark.parametrize(
    ("forwarded_for", "header", "address"),
    [
        (False, "9.9.9.9", "127.0.0.1"),
        (True, "9.9.9.9", "9.9.9.9"),
        (True, "1.1.1.1, 9.9.9.9", "9.9.9.9"),  # what a client adds itself stands before the proxy's entry
        (True, "", "127.0.0.1"),
        (True, "x" * 500, "x" * 64),
    ],
)
def test_addresses(forwarded_for: bool, header: str, address: str) -> None:
    gate = Gate(EdgeSettings(forwarded_for=forwarded_for), None, ManualClock())
    request = _request(**{"X-Forwarded-For": header}).clone(remote="127.0.0.1")
    assert gate.address_of(request) == address
