"""The door to the JWKS document: a file or a URL, cached, refreshed, with a time and a size limit."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import aiohttp

from services.edge.auth import RsaKeySet
from shared.clock import Clock
from shared.errors import AuthError

log = logging.getLogger(__name__)

MAX_JWKS_BYTES = 256 * 1024
FETCH_TIMEOUT_S = 5.0
REFRESH_S = 600.0
"""A key set older than this is fetched again; the old one serves until the new one is here."""

RETRY_S = 15.0
"""Least time between two fetches, whatever tokens ask for: strangers must not drive them."""


class JwksDoor:
    """Gives the current key set. `source` is a path, or an http(s) URL."""

    def __init__(self, source: str, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._keys: RsaKeySet | None = None
        self._fetched_s = float("-inf")
        self._tried_s = float("-inf")
        self._lock = asyncio.Lock()

    async def keys(self, *, newer: bool = False) -> RsaKeySet:
        """Return the key set. `newer` asks for a fresh one (an unknown `kid`), at most each RETRY_S.

        Raises AuthError `keys_unavailable` while there is none at all.
        """
        async with self._lock:
            now = self._clock.monotonic()
            stale = newer or now - self._fetched_s > REFRESH_S
            if stale and now - self._tried_s >= RETRY_S:
                self._tried_s = now
                await self._refresh()
            if self._keys is None:
                raise AuthError("keys_unavailable", "tokens cannot be checked just now: try again in a minute")
            return self._keys

    async def _refresh(self) -> None:
        try:
            self._keys = RsaKeySet(json.loads(await self._read()))
            self._fetched_s = self._clock.monotonic()
        except (OSError, ValueError, TimeoutError, aiohttp.ClientError, AuthError) as error:
            log.warning("the JWKS document cannot be read (%s); keeping the old one, if any", type(error).__name__)

    async def _read(self) -> bytes:
        if not self._source.startswith(("http://", "https://")):
            return await asyncio.to_thread(_read_file, self._source)
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as client, client.get(self._source) as answer:
            answer.raise_for_status()
            return _bounded(await answer.content.read(MAX_JWKS_BYTES + 1))


def _read_file(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return _bounded(file.read(MAX_JWKS_BYTES + 1))


def _bounded(data: Any) -> bytes:
    if len(data) > MAX_JWKS_BYTES:
        raise ValueError("the JWKS document is too large")
    return bytes(data)
