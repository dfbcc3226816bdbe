"""`python -m tests.chaos.rolling`: every replica of every service is restarted in turn while people talk.

Exit code 0 if nobody lost a frame, a word or the conversation, and each replica drained by itself; else 1. With --kill
each one is killed instead, in the middle of what it says.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import uvloop

from shared.audio import FRAME_MS
from shared.leases import GROUP
from shared.streams import request_stream
from tests.chaos.client import ScriptedClient
from tests.chaos.invariants import check_end, judge
from tests.chaos.process import ServiceProcess
from tests.chaos.records import Losses, StreamTrace, Violation
from tests.chaos.rolling_figures import Restarted, longest_silence_s, table
from tests.chaos.speaker import SpeechClient, human_speech
from tests.chaos.speech import ended_by, judge_speech
from tests.chaos.streams import read_streams
from tests.chaos.world import STREAMS, Plan, World

ALL_TALK_S = 60.0
"""How long until all clients are served: a cascade's engine takes its time."""

FLOW_S = 30.0
"""How long after a restart until all hear again."""

BASELINE_S = 15.0
"""How long nobody is restarted, at first: what silence this machine gives by itself."""

PACE_S = 2.0
"""How long a replica is back before the next one goes."""

HEARS_S = 0.4
"""Who heard something within so long hears."""

LOOK_EVERY_S = 0.1
RETENTION_S = 180
"""Streams are read after all have hung up, one after the other."""

_DRIFTED = ("engine_changed", "text_only", "no_coach", "no_evaluator")
"""Notices that no restart may cause: the conversation goes on with less."""


class RollingRestart:
    """Restarts a world's replicas in turn, with `clients` who talk. `kill`: by SIGKILL, else by SIGTERM."""

    def __init__(self, world: World, clients: Sequence[ScriptedClient], *, kill: bool = False) -> None:
        self.violations: list[Violation] = []
        self._kill = kill
        self._world = world
        self._clients = clients

    async def run(self, n_rounds: int) -> list[Restarted]:
        """Restart all, so many times; return what each restart did, behind a line of nobody's."""
        await self._until_all_hear(ALL_TALK_S)
        began_s = time.monotonic()
        await asyncio.sleep(BASELINE_S)  # the time to compare with
        results = [Restarted("nobody", **self._silences(began_s))]
        for process in [*self._world.processes.values()] * n_rounds:
            results.append(await self._restart(process))
            print(table(results[-1:]).splitlines()[1], flush=True)
        return results

    async def _restart(self, process: ServiceProcess) -> Restarted:
        before = await self._held(process)
        began_s = time.monotonic()
        await (process.kill() if self._kill else process.stop())
        exit_code, drain_s = process.exit_code, time.monotonic() - began_s
        await process.start()
        await process.wait_ready(self._world.http)
        ready_s = time.monotonic() - began_s - drain_s
        if exit_code and not self._kill:
            self._wrong("a drain ends with 0", f"{process.label}: {exit_code}: {process.last_lines(3)}")
        if not await self._until_all_hear(FLOW_S):
            silent = [client.trace.name for client in self._clients if not _hears(client)]
            self._wrong("audio flows again", f"after {process.label}: {', '.join(silent)}")
        await asyncio.sleep(PACE_S)  # the pace of the upgrade
        moved = len(before - await self._held(process))
        silences = self._silences(began_s)
        return Restarted(process.label, len(before), moved, exit_code, drain_s, ready_s, **silences)

    def _wrong(self, invariant: str, detail: str) -> None:
        self.violations.append(Violation(invariant, detail))

    async def _held(self, process: ServiceProcess) -> set[str]:
        """Return what a replica holds: sessions by their requests, at an edge clients by their sockets."""
        if process.role == "edge":
            here = self._world.of_role("edge").index(process)
            at_it = [client.trace for client in self._clients if client.edge == here and not client.is_over]
            return {f"{trace.name}, socket {len(trace.connections)}" for trace in at_it}
        streams = [STREAMS[process.role]]
        if process.role == "voice":
            streams.append(request_stream("voice", "cascade"))
        held = set()
        for stream in streams:
            if not await self._world.redis.exists(stream):
                continue
            for entry in await self._world.redis.xpending_range(stream, GROUP, min="-", max="+", count=1000):
                if int(entry["consumer"].rpartition(b"-")[2]) == process.pid:
                    held.add(f"{stream} {entry['message_id'].decode()}")
        return held

    async def _until_all_hear(self, limit_s: float) -> bool:
        deadline_s = time.monotonic() + limit_s
        while time.monotonic() < deadline_s:
            if all(_hears(client) for client in self._clients):
                return True
            await asyncio.sleep(LOOK_EVERY_S)  # looks again: what clients hear comes in real time
        return False

    def _silences(self, from_s: float) -> dict[str, int]:
        until_s = time.monotonic()
        longest = {"echo_ms": 0.0, "cascade_ms": 0.0}
        for client in self._clients:
            kind = "cascade_ms" if isinstance(client, SpeechClient) else "echo_ms"
            longest[kind] = max(longest[kind], longest_silence_s(client.trace.heard, from_s, until_s))
        return {kind: round(silence_s * 1000) for kind, silence_s in longest.items()}


def _hears(client: ScriptedClient) -> bool:
    heard = client.trace.heard
    return client.is_over or bool(heard and time.monotonic() - heard[-1].at_s < HEARS_S)


def judge_client(client: ScriptedClient, streams: StreamTrace) -> tuple[list[Violation], Losses, str]:
    """Return what is wrong with a conversation that only its client may have ended, its losses, and its turns."""
    trace = client.trace
    if isinstance(client, SpeechClient):
        spoken = judge_speech(trace, client.packets, client.said, streams)
        found, losses = list(spoken.violations), spoken.losses
        silent = client.outcomes.count("no_answer")
        if silent > spoken.unrecognised:
            found.append(Violation("Hugo answers", f"{silent} of {len(client.outcomes)} times not within 15 s"))
        turns = f"{spoken.user_turns} turns of the user and {spoken.unrecognised} too slow, {spoken.hugo_turns} of Hugo"
        told = f"{turns}; {_counted(client.outcomes)}"
    else:
        verdict = judge(trace, streams)
        found, losses, told = list(verdict.violations), verdict.losses, ""
    found += check_end(trace)
    if ended_by(streams.events) != {"client_closed"}:
        found.append(Violation("only its client ends a session", str(ended_by(streams.events))))
    drifted = [code for code in _DRIFTED if code in trace.told]
    if drifted:
        found.append(Violation("a session keeps what it has", ", ".join(drifted)))
    return [Violation(each.invariant, f"{trace.name}: {each.detail}") for each in found], losses, told


def _counted(outcomes: Sequence[str]) -> str:
    return ", ".join(f"{n} {outcome}" for outcome, n in Counter(outcomes).items()) or "nothing said"


def main() -> int:
    """Run, print, and say by the exit code whether all was well."""
    violations = uvloop.run(_run(_parser().parse_args()))
    print(f"{len(violations)} violations")
    for violation in violations:
        print(f"  {violation.invariant}: {violation.detail}")
    return 1 if violations else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.rolling", description=__doc__)
    parser.add_argument("--echo", type=int, default=40, help="clients of the echo engine (40)")
    parser.add_argument("--cascade", type=int, default=4, help="clients that speak with the cascade (4)")
    parser.add_argument("--rounds", type=int, default=1, help="how often every replica is restarted (1)")
    parser.add_argument("--kill", action="store_true", help="SIGKILL instead of SIGTERM")
    parser.add_argument("--logs", type=Path, help="folder to keep the services' output in")
    return parser


async def _run(options: argparse.Namespace) -> list[Violation]:
    plan = Plan(
        cascades=2 if options.cascade else 0,
        slots=options.echo,
        cascade_slots=max(1, options.cascade),
        lease_s=1.5,
        retention_s=RETENTION_S,
    )
    async with World(plan) as world:
        clips = human_speech()
        clients = [ScriptedClient(world.http, world.edges, i, f"echo {i}") for i in range(options.echo)]
        clients += [
            SpeechClient(world.http, world.edges, i, f"cascade {i}", clips, at=i) for i in range(options.cascade)
        ]
        tasks = [asyncio.create_task(client.run(), name=client.trace.name) for client in clients]
        restart = RollingRestart(world, clients, kill=options.kill)
        try:
            results = await restart.run(options.rounds)
            await asyncio.gather(*(client.hang_up() for client in clients))
            judged = [await _judge(world, client) for client in clients]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            _keep_logs(world, options.logs)
        print(table(results))
        deaths = [Violation("no process dies by itself", death) for death in world.take_deaths()]
        _print_sums(clients, [losses for _, losses in judged])
        return [*restart.violations, *deaths, *(each for found, _ in judged for each in found)]


async def _judge(world: World, client: ScriptedClient) -> tuple[list[Violation], Losses]:
    trace = client.trace
    if not trace.session_id:
        return [Violation("a client gets a session", f"{trace.name}: {'; '.join(trace.errors[-2:])}")], Losses()
    found, losses, told = judge_client(client, await read_streams(world.redis, trace.session_id))
    if told:
        print(f"{trace.name}: {told}")
    return found, losses


def _print_sums(clients: Sequence[ScriptedClient], losses: Sequence[Losses]) -> None:
    sent = [each.trace.sent for each in clients if len(each.trace.sent) > 1]
    due = sum((each[-1].at_s - each[0].at_s) * 1000 / FRAME_MS for each in sent)
    n_sent = sum(map(len, sent))
    print(
        f"{len(clients)} conversations, {n_sent} frames sent ({n_sent / max(1.0, due):.1%} of real time), "
        f"{sum(each.lost for each in losses)} lost, {sum(each.in_flight for each in losses)} of them with a socket, "
        f"{sum(each.unheard for each in losses)} of the answers fell between two sockets, "
        f"{sum(each.repeated for each in losses)} heard again"
    )


def _keep_logs(world: World, folder: Path | None) -> None:
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        for log in world.folder.glob("*.log"):
            shutil.copy(log, folder)


if __name__ == "__main__":
    sys.exit(main())
