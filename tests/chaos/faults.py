"""Does a fault to the world, and takes it back where it is one that passes. Each returns when all is mended."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import aiohttp

from tests.chaos.client import ScriptedClient
from tests.chaos.process import ServiceProcess
from tests.chaos.records import Violation
from tests.chaos.schedule import Fault
from tests.chaos.world import World

RESTART_AFTER_S = 0.5
"""How soon a supervisor starts a dead process again; `splitbrain up` waits as long the first time."""

DELAY_S = 0.2
FLOOD_FRAMES = 200
"""16 s of audio at once: 6 s more than may run ahead of real time."""

CLOCK_WITHIN_S = 1.5
"""A service shows its clock in whole seconds."""

GOES_ON_ELSEWHERE = 1012
"""Close code of a server that restarts (docs/protocol.md)."""


class Faults:
    """Does faults to a world while `clients` talk."""

    def __init__(self, world: World, clients: Sequence[ScriptedClient]) -> None:
        self._world = world
        self._clients = clients
        self.violations: list[Violation] = []
        """What was seen of a fault itself that should not be."""
        self._acts: dict[str, Callable[[Fault], Awaitable[None]]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "leave": self._leave_edge,
            "partition": self._partition,
            "delay": self._delay,
            "cut": self._cut,
            "redis": self._restart_redis,
            "flood": self._flood,
            "malformed": self._malformed,
            "client": self._cut_client,
            "duplicates": self._repeat_frames,
            "slow": self._stall_client,
            "term": self._terminate,
            "clock": self._set_clock,
        }

    async def do(self, fault: Fault) -> None:
        """Do it and return when it is over and what it ended is back."""
        await self._acts[fault.kind.partition("_")[0]](fault)

    async def _victim(self, fault: Fault) -> ServiceProcess | None:
        role = fault.role or fault.kind.partition("_")[2]
        clients_at = Counter(client.edge for client in self._clients if not client.is_over)
        ranked = await self._world.busiest(role, clients_at)
        return ranked[min(fault.rank, len(ranked) - 1)] if ranked else None

    def _client(self, fault: Fault) -> ScriptedClient:
        return self._clients[fault.variant % len(self._clients)]

    async def _kill(self, fault: Fault) -> None:
        victim = await self._victim(fault)
        if victim is None:
            return
        await victim.kill()
        await asyncio.sleep(RESTART_AFTER_S)  # the supervisor's own wait
        await self._world.restart(victim)

    async def _terminate(self, fault: Fault) -> None:
        """End a process as an operator does: it ends by itself, with 0, and an edge sends its clients on."""
        victim = await self._victim(fault)
        if victim is None:
            return
        here = self._clients_of(victim)
        sockets = [each for client in here for each in client.trace.connections[-1:] if each.close_code is None]
        began_s = time.monotonic()
        await victim.stop()
        took_s = time.monotonic() - began_s
        if victim.exit_code != 0:
            text = f"{victim.label} ended with {victim.exit_code} after {took_s:.1f} s: {victim.last_lines()}"
            self.violations.append(Violation("a process that is told to end does", text))
        await asyncio.sleep(RESTART_AFTER_S)  # the supervisor's own wait; clients learn of their close meanwhile
        codes = [each.close_code for each in sockets if not each.ours]
        if any(code != GOES_ON_ELSEWHERE for code in codes) and not any(client.trace.stalled for client in here):
            self.violations.append(
                Violation("an edge that ends sends its clients on", f"they were closed with {codes}")
            )
        await self._world.restart(victim)

    def _clients_of(self, process: ServiceProcess) -> list[ScriptedClient]:
        """Return the clients that are connected to an edge; none for another role."""
        if process.role != "edge":
            return []
        here = self._world.of_role("edge").index(process)
        return [client for client in self._clients if client.edge == here and not client.is_over]

    async def _set_clock(self, fault: Fault) -> None:
        """A wall clock jumps, and back when the fault is over."""
        victim = None if fault.kind == "clock_redis" else await self._victim(fault)
        if victim is None and fault.kind != "clock_redis":
            return
        clock = self._world.clocks.get(victim.label if victim else "redis")
        if clock is None:
            return  # a world without libfaketime: `python -m tests.chaos` says so
        clock.set(fault.ahead_s)
        try:
            await asyncio.sleep(fault.duration_s)  # how long the clock is wrong
            shown_s = await victim.wall_s(self._world.http) if victim else await self._world.redis_wall_s()
            # Another fault of the same round may have set it again.
            if shown_s is not None and abs(shown_s - time.time() - clock.ahead_s) > CLOCK_WITHIN_S:
                text = f"{fault.kind}: it shows {shown_s - time.time():.0f} s, not {clock.ahead_s:.0f}"
                self.violations.append(Violation("the harness sets clocks", text))
        finally:
            clock.set(0.0)

    async def _freeze(self, fault: Fault) -> None:
        victim = await self._victim(fault)
        if victim is None:
            return
        victim.freeze()
        try:
            await self._endure(fault, victim)
        finally:
            victim.thaw()

    async def _partition(self, fault: Fault) -> None:
        victim = await self._victim(fault)
        if victim is None:
            return
        proxy = self._world.proxies[victim.label]
        proxy.partition()
        try:
            await self._endure(fault, victim)
        finally:
            proxy.heal()

    async def _leave_edge(self, fault: Fault) -> None:
        """An edge is parted from Redis, and its clients go to another one before it is back."""
        await self._partition(fault)

    async def _endure(self, fault: Fault, victim: ServiceProcess) -> None:
        """Let the fault last. Clients of an edge that stands still, or that they are to leave, go away meanwhile."""
        stays_s = fault.duration_s
        if fault.kind in ("freeze_edge", "leave_edge"):
            stays_s *= 0.2 + 0.75 * (fault.variant % 100) / 100
            await asyncio.sleep(stays_s)  # how long the clients put up with it
            for client in self._clients_of(victim):
                client.cut()
            stays_s = fault.duration_s - stays_s
        await asyncio.sleep(stays_s)  # how long the fault lasts

    async def _delay(self, fault: Fault) -> None:
        victim = await self._victim(fault)
        if victim is None:
            return
        proxy = self._world.proxies[victim.label]
        proxy.delay_s = DELAY_S
        try:
            await asyncio.sleep(fault.duration_s)  # how long the network is slow
        finally:
            proxy.delay_s = 0.0

    async def _cut(self, fault: Fault) -> None:
        victim = await self._victim(fault)
        if victim is not None:
            self._world.proxies[victim.label].cut()

    async def _restart_redis(self, fault: Fault) -> None:
        """Its server class blocks: some tens of milliseconds in which clients send nothing either.

        It must be called from this thread, since the kernel ends the server with the thread that started it.
        """
        if fault.kind == "redis_full":
            await self._fill_redis(fault.duration_s)
            return
        server = self._world.server
        if fault.kind == "redis_kill":
            server.kill()
        else:
            server.stop()
        await asyncio.sleep(fault.duration_s)  # how long it is away
        server.start()

    async def _fill_redis(self, lasts_s: float) -> None:
        """Refuse every write that needs memory (OOM), as a server at its limit without eviction does."""
        redis = self._world.redis
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.config_set("maxmemory", 1)
        try:
            await asyncio.sleep(lasts_s)  # how long its memory is full
        finally:
            await redis.config_set("maxmemory", 0)

    async def _flood(self, fault: Fault) -> None:
        await self._client(fault).flood(FLOOD_FRAMES)

    async def _cut_client(self, fault: Fault) -> None:
        self._client(fault).cut()

    async def _stall_client(self, fault: Fault) -> None:
        await self._client(fault).stall(fault.duration_s)

    async def _repeat_frames(self, fault: Fault) -> None:
        self._client(fault).cut(repeat=True)

    async def _malformed(self, fault: Fault) -> None:
        """Another client sends what no client should. What it gets is its own affair; nobody else may notice."""
        rng = random.Random(fault.variant)
        edge = self._world.edges[fault.variant % len(self._world.edges)]
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(5), self._world.http.ws_connect(f"{edge}/api/chat?engine=echo&events=1") as ws:
                for data in malformed(rng):
                    await (ws.send_str(data) if isinstance(data, str) else ws.send_bytes(data))
                while not ws.closed:
                    await ws.receive()


def malformed(rng: random.Random) -> list[bytes | str]:
    """Return messages that are wrong in every way that the protocol knows; the last one closes the connection."""
    garbage = [bytes([1]) + rng.randbytes(rng.randrange(1, 2_000)) for _ in range(10)]
    kinds = [bytes([rng.randrange(7, 256)]) + rng.randbytes(8) for _ in range(10)]
    commands = [b"\x04" + text for text in (b"{", b"[]", b'{"type":"no"}', b"\xff\xfe", b'{"type":"end","x":1}')]
    pages = [b"\x01OggS" + rng.randbytes(60) for _ in range(5)]
    messages: list[bytes | str] = [*garbage, *kinds, *commands, *pages, b"", "text", b"\x03", b"\x03\x09", b"\x06" * 9]
    rng.shuffle(messages)
    last: list[bytes | str] = [b"\x01" + bytes(200_000)] if rng.random() < 0.5 else ["text"] * 60
    return messages + last
