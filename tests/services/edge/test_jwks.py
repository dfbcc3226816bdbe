"""The JWKS door: file and URL, cache, refresh, bounds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from services.edge.auth import UnknownKey
from services.edge.jwks import MAX_JWKS_BYTES, REFRESH_S, RETRY_S, JwksDoor
from shared.clock import ManualClock
from shared.errors import AuthError

KEY = RSAAlgorithm.to_jwk(rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key(), as_dict=True)


def _document(*kids: str) -> str:
    return json.dumps({"keys": [{**KEY, "kid": kid} for kid in kids]})


class Served:
    """A JWKS document on a real HTTP server."""

    def __init__(self) -> None:
        self.body = _document("one")
        self.status = 200
        self.fetched = 0
        self.url = ""

    async def handle(self, _: web.Request) -> web.Response:
        self.fetched += 1
        return web.Response(text=self.body, status=self.status)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    document = Served()
    app = web.Application()
    app.router.add_get("/jwks.json", document.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    document.url = "http://{}:{}/jwks.json".format(*runner.addresses[0][:2])
    yield document
    await runner.cleanup()


async def test_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(_document("one"))
    assert (await JwksDoor(str(path), ManualClock()).keys()).key_for("one")


async def test_cached_until_it_is_old(served: Served) -> None:
    clock = ManualClock()
    door = JwksDoor(served.url, clock)
    for _ in range(5):
        await door.keys()
    assert served.fetched == 1
    await clock.advance(REFRESH_S + 1)
    await door.keys()
    assert served.fetched == 2


async def test_an_unknown_key_fetches_anew_but_not_at_any_rate(served: Served) -> None:
    clock = ManualClock()
    door = JwksDoor(served.url, clock)
    await door.keys()
    served.body = _document("one", "two")
    for _ in range(10):
        with pytest.raises(UnknownKey):
            (await door.keys(newer=True)).key_for("two")
    assert served.fetched == 1
    await clock.advance(RETRY_S)
    assert (await door.keys(newer=True)).key_for("two")
    assert served.fetched == 2


@pytest.mark.parametrize(
    ("status", "body"), [(500, ""), (200, "no json"), (200, "{}"), (200, " " * (MAX_JWKS_BYTES + 1)), (200, "[" * 50)]
)
async def test_the_old_keys_serve_while_the_new_cannot_be_had(served: Served, status: int, body: str) -> None:
    clock = ManualClock()
    door = JwksDoor(served.url, clock)
    before = await door.keys()
    served.status, served.body = status, body
    await clock.advance(REFRESH_S + 1)
    assert await door.keys() is before
    assert served.fetched == 2


@pytest.mark.parametrize("source", ["/no/such/file.json", "http://127.0.0.1:9/jwks.json"])
async def test_no_keys_at_all(source: str) -> None:
    with pytest.raises(AuthError) as caught:
        await JwksDoor(source, ManualClock()).keys()
    assert caught.value.code == "keys_unavailable"


async def test_any_object_is_not_taken_for_keys(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    document: Any = {"keys": "all of them"}
    path.write_text(json.dumps(document))
    with pytest.raises(AuthError):
        await JwksDoor(str(path), ManualClock()).keys()
