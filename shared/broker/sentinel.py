"""A client of the master that Redis Sentinels name, and the URL that says where they are. Opens nothing by itself.

Each new connection asks the sentinels anew, so that after a fail-over what was broken off goes on with the new master.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

DEFAULT_PORT = 26379

ASK_TIMEOUT_S = 0.4
"""How long one sentinel may take to answer. Short: the machine that died with the master may have held the first of
them, and all are asked within the time that one call has (2 s)."""

_FORM = "redis+sentinel://[user:password@]host[:port][,host[:port]...]/service[/db]"
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:,/@\s]+)(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """What such a URL says. `options` are redis-py's names, for the connection to the Redis servers; `ask` those for
    the sentinels."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    options: dict[str, Any] = field(default_factory=dict)
    ask: dict[str, Any] = field(default_factory=dict)


def is_sentinel(url: str) -> bool:
    """True for redis+sentinel:// and rediss+sentinel:// URLs."""
    return "+sentinel://" in url


def parse_sentinel_url(url: str) -> SentinelUrl:
    """Return what the URL says; ValueError with the form that it must have. Pure.

    User and password are those of the Redis servers; the sentinels' own, where they have any, are the query's
    `sentinel_user` and `sentinel_password`. Other parameters are redis-py's. `rediss` is TLS to both.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.removesuffix("+sentinel")
    users, _, hosts = parts.netloc.rpartition("@")
    service, _, db = parts.path.strip("/").partition("/")
    if scheme not in ("redis", "rediss") or not re.fullmatch(r"[\w.-]+", service) or not re.fullmatch(r"\d*", db):
        raise ValueError(f"the form is {_FORM}")
    query = dict(parse_qsl(parts.query))
    ask: dict[str, Any] = {
        ours: value
        for ours, theirs in (("username", "sentinel_user"), ("password", "sentinel_password"))
        if (value := query.pop(theirs, ""))
    }
    plain = f"{scheme}://{users}@server/{db or 0}?{urlencode(query, quote_via=quote)}"
    options = {name: value for name, value in parse_url(plain).items() if name not in ("host", "connection_class")}
    if scheme == "rediss":
        options["ssl"] = ask["ssl"] = True
        ask |= {name: value for name, value in options.items() if name.startswith("ssl_")}
    return SentinelUrl(tuple(map(_address, unquote(hosts).split(","))), service, options, ask)


def _address(text: str) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no address of a sentinel; the form is {_FORM}")
    return found["host"].strip("[]"), int(found["port"] or DEFAULT_PORT)


def sentinel_pool(url: str, **options: Any) -> SentinelConnectionPool:
    """Return a pool of connections to the master; `options` are redis-py's. ValueError for a URL of another form."""
    wanted = parse_sentinel_url(url)
    limits = {"socket_timeout": ASK_TIMEOUT_S, "socket_connect_timeout": ASK_TIMEOUT_S}
    # redis-py has no annotations here.
    sentinels = Sentinel(wanted.sentinels, sentinel_kwargs={**wanted.ask, **limits})  # type: ignore[no-untyped-call]
    return _Pool(wanted.service, sentinels, **{**wanted.options, **options})  # type: ignore[no-untyped-call]


def connect_to_master(url: str, **options: Any) -> Redis:
    """Return a client of the master; it asks the sentinels at its first call. ValueError for a URL of another form."""
    return Redis.from_pool(sentinel_pool(url, **options))


class _Pool(SentinelConnectionPool):
    """Closes its connections to the sentinels with its own: redis-py leaves them to the garbage collector."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        try:
            await super().disconnect(inuse_connections)
        finally:
            if inuse_connections:  # else it only leaves an old master
                for sentinel in self.sentinel_manager.sentinels:
                    await sentinel.aclose()
