"""Plays the rounds of a schedule on a world: clients talk, faults strike, all recovers, everything is checked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from shared.leases import GROUP
from tests.chaos.client import ScriptedClient
from tests.chaos.faults import Faults
from tests.chaos.figures import RoundResult, recovery_s
from tests.chaos.invariants import Allowances, check_end, judge
from tests.chaos.records import ClientTrace, Losses, Violation
from tests.chaos.schedule import Fault, Round
from tests.chaos.streams import keys_for_ever, keys_of, read_streams
from tests.chaos.world import STREAMS, World

FLOW_LIMIT_S = 20.0
RECOVER_LIMIT_S = 20.0
REST_LIMIT_S = 12.0
"""How long after the last goodbye until no request is left: a lease, a restore, and a killed worker's slots (5 s)."""

LOOK_EVERY_S = 0.05
DESCRIPTORS_MORE = 24
"""How many more files and sockets a process may hold after a round than after its first one.

A pool of connections grows to as many as calls waited at once when Redis came back: of all sessions and jobs.
"""

LATE_S = 15.0
"""A scorecard is written, and given its time, by a job behind the session's end; that waits for Redis."""

_OF_ONE_CLIENT = ("slow_client", "client_cut", "duplicates", "flood")

_EDGE_IN_TROUBLE = (
    "partition_edge",
    "freeze_edge",
    "leave_edge",
    "redis_term",
    "redis_kill",
    "redis_long",
    "redis_away",
    "redis_full",
)


@dataclass(frozen=True, slots=True)
class _Played:
    """A round's clients, and when its first fault began and all had recovered (monotonic seconds)."""

    clients: Sequence[ScriptedClient]
    fault_s: float
    recovered_s: float
    violations: list[Violation]


def check_bystanders(
    part: Round, traces: Sequence[ClientTrace], recoveries_s: Sequence[float | None]
) -> list[Violation]:
    """What one client does, no other one hears: no gap, no new socket. Where something else failed too, all may."""
    if len(part.faults) > 1 or part.faults[0].kind not in _OF_ONE_CLIENT:
        return []
    itself = part.faults[0].variant % len(traces)
    hit = [trace.name for at, trace in enumerate(traces) if at != itself and recoveries_s[at] is not None]
    return [Violation("one client's fault is its own", f"{', '.join(hit)} heard it too")] if hit else []


class Runner:
    """Plays rounds on one world, one after the other; keeps what later rounds must still look at."""

    def __init__(self, world: World, n_clients: int) -> None:
        self._world = world
        self._n_clients = n_clients
        self._ended: list[tuple[float, str]] = []
        self._baseline: dict[str, tuple[int, int]] = {}

    async def play(self, part: Round) -> RoundResult:
        """Play one round. Violations are in the result; only a broken harness raises."""
        played = await self._talk(part)
        losses, violations = await self._judge(part, played)
        violations = [*played.violations, *violations, *await self._check_world(), *await self._check_gone()]
        heard = [client.trace.heard for client in played.clients]
        times = [recovery_s(each, played.fault_s, played.recovered_s) for each in heard]
        violations += check_bystanders(part, [client.trace for client in played.clients], times)
        hit = tuple(each for each in times if each is not None)
        return RoundResult(part.number, part.kind, len(played.clients), hit, tuple(losses), tuple(violations))

    async def _talk(self, part: Round) -> _Played:
        violations: list[Violation] = []
        async with self._talking() as clients:
            await self._until(lambda: all(client.trace.heard for client in clients), FLOW_LIMIT_S)
            flowing_s = time.monotonic()
            faults = Faults(self._world, clients)
            await asyncio.gather(*(self._strike(faults, fault, flowing_s) for fault in part.faults))
            mended_s = time.monotonic()
            flows = await self._until(
                lambda: all(client.is_over or client.flows_since(mended_s) for client in clients), RECOVER_LIMIT_S
            )
            if not flows:
                silent = ", ".join(client.trace.name for client in clients if not client.heard_since(mended_s))
                text = f"{silent or 'some'} heard nothing in time within {RECOVER_LIMIT_S:.0f} s"
                violations.append(Violation("audio flows again", text))
            recovered_s = time.monotonic()
            violations += faults.violations
            await asyncio.gather(*(client.hang_up() for client in clients))
        return _Played(clients, flowing_s + part.faults[0].at_s, recovered_s, violations)

    @asynccontextmanager
    async def _talking(self) -> AsyncIterator[list[ScriptedClient]]:
        world = self._world
        numbers = range(self._n_clients)
        clients = [ScriptedClient(world.http, world.edges, number, f"client {number}") for number in numbers]
        tasks = [asyncio.create_task(client.run(), name=client.trace.name) for client in clients]
        try:
            yield clients
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _strike(self, faults: Faults, fault: Fault, flowing_s: float) -> None:
        await asyncio.sleep(max(0.0, flowing_s + fault.at_s - time.monotonic()))  # the moment that the schedule says
        await faults.do(fault)

    async def _until(self, condition: Callable[[], bool], limit_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while not condition():
                    await asyncio.sleep(LOOK_EVERY_S)  # looks again: what clients hear comes in real time
                return True
        return False

    async def _judge(self, part: Round, played: _Played) -> tuple[list[Losses], list[Violation]]:
        edge_in_trouble = any(fault.kind in _EDGE_IN_TROUBLE or fault.role == "edge" for fault in part.faults)
        allowed = Allowances(in_flight_s=9.0 if edge_in_trouble else 1.0)
        losses: list[Losses] = []
        violations: list[Violation] = []
        for client in played.clients:
            trace = client.trace
            if not trace.session_id:
                violations.append(Violation("a client gets a session", f"{trace.name}: {'; '.join(trace.errors[-2:])}"))
                continue
            verdict = judge(trace, await read_streams(self._world.redis, trace.session_id), allowed)
            losses.append(verdict.losses)
            found = [*verdict.violations, *check_end(trace)]
            violations += [Violation(each.invariant, f"{trace.name}: {each.detail}") for each in found]
            self._ended.append((time.monotonic(), trace.session_id))
        return losses, violations

    # After a round: the world is as it was before

    async def _check_world(self) -> list[Violation]:
        """No request and no slot is left over, nothing died by itself, and no process holds more than before."""
        violations = [Violation("no process dies by itself", death) for death in self._world.take_deaths()]
        left = await self._requests_left()
        if left:
            violations.append(Violation("no request is left over", left))
        return [*violations, *await self._check_slots(), *self._check_descriptors()]

    async def _requests_left(self) -> str:
        """Return what is left when the limit is over, "" as soon as nothing is."""
        deadline = time.monotonic() + REST_LIMIT_S
        while True:
            left = []
            for role, stream in STREAMS.items():
                n_waiting = await self._world.redis.xlen(stream)
                n_pending = (await self._world.redis.xpending(stream, GROUP))["pending"]
                if n_waiting or n_pending:
                    left.append(f"{role}: {n_waiting} entries, {n_pending} pending")
            if not left or time.monotonic() > deadline:
                return "; ".join(left)
            await asyncio.sleep(LOOK_EVERY_S)  # looks again: workers finish on their own

    async def _check_slots(self) -> list[Violation]:
        found = {}
        for index in range(len(self._world.edges)):
            with suppress(OSError, TimeoutError, StopIteration):
                found[index] = await self._world.engines(index)
        not_free = {index: each for index, each in found.items() if each["free"] != each["slots"]}
        wrong = [f"edge {index}: {each['free']} of {each['slots']}" for index, each in not_free.items()]
        return [Violation("all slots are free again", "; ".join(wrong))] if wrong else []

    def _check_descriptors(self) -> list[Violation]:
        """A process that lived through the round is compared with how it was after its first round."""
        violations = []
        for label, (pid, n_open) in self._world.descriptors().items():
            first = self._baseline.get(label)
            if first is None or first[0] != pid:
                self._baseline[label] = (pid, n_open)
            elif n_open > first[1] + DESCRIPTORS_MORE:
                violations.append(Violation("no descriptor leaks", f"{label}: {first[1]} at first, {n_open} now"))
        return violations

    async def _check_gone(self) -> list[Violation]:
        """Sessions whose retention is over have left no key; the others' keys all have an end."""
        violations = []
        kept: list[tuple[float, str]] = []
        for ended_s, session_id in self._ended:
            if time.monotonic() - ended_s < self._world.plan.retention_s + LATE_S:
                kept.append((ended_s, session_id))
                without_end = await keys_for_ever(self._world.redis, session_id)
                if without_end:
                    violations.append(Violation("every key has an end", ", ".join(without_end)))
                continue
            left = await keys_of(self._world.redis, session_id)
            if left:
                violations.append(Violation("no key outlives its retention", ", ".join(left)))
        self._ended = kept
        return violations

    async def settle(self) -> list[Violation]:
        """Wait for the retention of the last sessions, and look whether anything of them is left."""
        if self._ended:
            due_s = max(ended_s for ended_s, _ in self._ended) + self._world.plan.retention_s + LATE_S + 0.1
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))  # the retention time itself
        return await self._check_gone()
