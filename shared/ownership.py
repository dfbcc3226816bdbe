"""Who serves which session in which role, read from the request streams: for `splitbrain ps` and for operators.

Reads and never changes. What it tells is what the leases themselves rest on, not what a process says of itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.broker import Broker, RedisClient
from shared.events import Role
from shared.leases import GROUP, HAND_OVER_IDLE_MS
from shared.streams import VOICE_STREAMS, request_stream

PAGE = 500
"""Requests that one call reads: about a millisecond of Redis."""

MAX_PAGES = 40
"""Bound of what is read of one stream: twice the requests that a role's stream may hold."""

_SCAN = 1_000

# KEYS: stream. ARGV: group, first id, count.   Returns {requests, pending ones among them}, of one moment.
_READ = """
local entries = redis.call('XRANGE', KEYS[1], ARGV[2], '+', 'COUNT', ARGV[3])
if not entries[1] then return {entries, {}} end
local p = redis.pcall('XPENDING', KEYS[1], ARGV[1], entries[1][1], entries[#entries][1], ARGV[3])
if p.err then p = {} end
return {entries, p}
"""


@dataclass(frozen=True, slots=True)
class SessionOwnership:
    """One session's request in one role.

    `owner` is the worker that has the lease, "" while nobody serves the session: it waits for its first owner
    (`epoch` 0) or was handed over and waits for the next one (`epoch` of the last). `idle_ms` is the time since the
    owner's last heartbeat; above the lease time the session is about to be taken over. `engine`: voice only.
    """

    session_id: str
    role: Role
    engine: str
    owner: str
    epoch: int
    idle_ms: int


async def list_ownership(broker: Broker) -> list[SessionOwnership]:
    """Return all sessions that somebody serves or shall serve, by session id and role. Raises what Redis raises."""
    found: list[SessionOwnership] = []
    for role, engine in await _roles(broker.client):
        found += await _of_stream(broker.client, role, engine)
    return sorted(found, key=lambda one: (one.session_id, one.role, one.engine))


async def _roles(client: RedisClient) -> list[tuple[Role, str]]:
    """Return (role, engine) of every request stream. Engines are no fixed list: their streams are looked for."""
    engines: set[str] = set()
    prefix = VOICE_STREAMS.removesuffix("*").encode()
    async for raw in client.scan_iter(match=VOICE_STREAMS, count=_SCAN):
        engines.add(raw.removeprefix(prefix).decode())
    return [*(("voice", engine) for engine in sorted(engines)), ("coach", ""), ("evaluator", "")]


async def _of_stream(client: RedisClient, role: Role, engine: str) -> list[SessionOwnership]:
    stream = request_stream(role, engine)
    found: list[SessionOwnership] = []
    first = "-"
    for _ in range(MAX_PAGES):
        entries, pending = await client.eval(_READ, 1, stream, GROUP, first, PAGE)
        by_id = {entry_id: rest for entry_id, *rest in pending}
        found += [_ownership(role, engine, flat, by_id.get(entry_id)) for entry_id, flat in entries]
        if len(entries) < PAGE:
            break
        first = f"({entries[-1][0].decode()}"
    return found


def _ownership(role: Role, engine: str, flat: list[bytes], pending: list[Any] | None) -> SessionOwnership:
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    session_id = fields.get(b"sid", b"").decode(errors="replace")
    if pending is None:
        return SessionOwnership(session_id, role, engine, owner="", epoch=0, idle_ms=0)
    consumer, idle_ms, deliveries = pending
    base = fields.get(b"epoch_base", b"0")
    epoch = int(deliveries) + (int(base) if base.isdigit() else 0)
    waits = int(idle_ms) >= HAND_OVER_IDLE_MS
    return SessionOwnership(session_id, role, engine, "" if waits else consumer.decode(), epoch, int(idle_ms))
