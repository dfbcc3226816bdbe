"""What each process says of itself, for `splitbrain ps` and for operators: one hash, refreshed by its owners.

The way back is here too: an operator's request to drain, which the process reads when it refreshes its entry.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields

from shared.broker import Broker
from shared.broker.connection import TRANSIENT
from shared.clock import to_the_end
from shared.streams import DRAIN_TTL_S, PROCESSES_KEY, drain_key

REFRESH_S = 1.0
STALE_MS = 5_000

# Redis's clock says when an entry was written, and how old it is: hosts' clocks differ, and jump.
# KEYS: processes. ARGV: worker id, entry as JSON whose `seen_ms` is 0.
_REFRESH = """
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local entry = string.gsub(ARGV[2], '"seen_ms": 0', '"seen_ms": ' .. now, 1)
return redis.call('HSET', KEYS[1], ARGV[1], entry)
"""

# KEYS: processes.   Returns {milliseconds since 1970, worker id, entry, ...}.
_LIST = """
local t = redis.call('TIME')
local out = {t[1] * 1000 + math.floor(t[2] / 1000)}
for _, part in ipairs(redis.call('HGETALL', KEYS[1])) do out[#out + 1] = part end
return out
"""


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process of the deployment. `state`: starting | ready | draining; `detail` is free text (its engines)."""

    worker_id: str
    role: str
    host: str
    pid: int
    state: str
    started_ms: int
    seen_ms: int
    sessions: tuple[str, ...] = ()
    detail: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The changing part of a process's entry."""

    state: str
    sessions: tuple[str, ...] = ()
    detail: str = ""
    url: str = ""


class Presence:
    """Keeps one process's entry fresh until cancelled, and removes it at the end.

    `on_drain` is called when somebody asked this process, and no earlier one of its name, to drain; it may be called
    again.
    """

    def __init__(
        self,
        broker: Broker,
        role: str,
        worker_id: str,
        status: Callable[[], Status],
        on_drain: Callable[[], None] | None = None,
    ) -> None:
        self._broker = broker
        self._role = role
        self._worker_id = worker_id
        self._status = status
        self._on_drain = on_drain
        self._started_ms = broker.clock.wall_ms()

    async def run(self) -> None:
        """Refresh the entry once a second; a Redis that is away is waited for."""
        try:
            while True:
                with suppress(*TRANSIENT):
                    await self._broker.client.eval(_REFRESH, 1, PROCESSES_KEY, self._worker_id, self._entry())
                    await self._look_for_drain()
                await self._broker.clock.sleep(REFRESH_S)
        finally:
            await to_the_end(self._remove())

    async def _look_for_drain(self) -> None:
        key = drain_key(self._worker_id)
        asked = await self._broker.client.get(key)
        if asked is None or self._on_drain is None:
            return
        if asked.decode() == str(self._started_ms):  # else an earlier process of this name was meant
            self._on_drain()
        await self._broker.client.delete(key)

    async def _remove(self) -> None:
        with suppress(*TRANSIENT):
            await self._broker.client.hdel(PROCESSES_KEY, self._worker_id)

    def _entry(self) -> str:
        status = self._status()
        info = ProcessInfo(
            worker_id=self._worker_id,
            role=self._role,
            host=socket.gethostname(),
            pid=os.getpid(),
            state=status.state,
            started_ms=self._started_ms,
            seen_ms=0,  # written by the script
            sessions=status.sessions,
            detail=status.detail,
            url=status.url,
        )
        return json.dumps(asdict(info))


async def ask_to_drain(broker: Broker, info: ProcessInfo) -> None:
    """Ask a process to drain as by SIGTERM; it reads that within a second, and a later one of its name never does."""
    await broker.client.set(drain_key(info.worker_id), str(info.started_ms), ex=DRAIN_TTL_S)


async def list_processes(broker: Broker) -> list[ProcessInfo]:
    """Return the processes seen in the last seconds, by role and id; entries of dead ones are removed."""
    now_ms, *flat = await broker.client.eval(_LIST, 1, PROCESSES_KEY)
    known = {field.name for field in fields(ProcessInfo)}
    found: list[ProcessInfo] = []
    for raw_id, raw in zip(flat[::2], flat[1::2], strict=True):
        entry = json.loads(raw)
        if now_ms - entry["seen_ms"] > STALE_MS:
            await broker.client.hdel(PROCESSES_KEY, raw_id)
            continue
        # A newer release may say more of itself than this one knows.
        said = {name: value for name, value in entry.items() if name in known}
        found.append(ProcessInfo(**{**said, "sessions": tuple(entry["sessions"])}))
    return sorted(found, key=lambda info: (info.role, info.worker_id))
