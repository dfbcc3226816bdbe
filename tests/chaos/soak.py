"""`python -m tests.chaos.soak --minutes 30`: callers come and go, and nothing may grow.

Exit code 0 if no figure of a process grows, no promise to a client is broken and no key outlives its session; else 1.
`docs/reliability.md` says what is measured and what counts as growth.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import random
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import uvloop

from shared.audio import FRAME_MS
from shared.streams import session_keys
from tests.chaos.client import ScriptedClient
from tests.chaos.invariants import check_end, judge
from tests.chaos.records import Violation
from tests.chaos.run import LATE_S
from tests.chaos.soak_figures import MINIMUMS, Growth, Name, growth, table
from tests.chaos.speaker import SpeechClient, human_speech
from tests.chaos.speech import judge_speech
from tests.chaos.streams import keys_of, read_streams
from tests.chaos.vitals import bytes_of_keys, sample
from tests.chaos.world import Plan, World

SAMPLE_EVERY_S = 10.0
CALL_S = (20.0, 60.0)
"""How long a client talks, drawn evenly."""

SPOKEN_CALL_S = (40.0, 90.0)
"""The same for one that speaks and listens: time for two turns or more."""

PAUSE_S = (0.5, 3.0)
"""How long after a client's end the next one comes."""


SHORTEST_S = 5.0
"""So short before the end nobody comes any more."""


@dataclass(slots=True)
class Tally:
    """What all ended sessions of one engine came to."""

    sessions: int = 0
    frames: int = 0
    lost: int = 0
    turns: int = 0
    bytes_a_minute: list[float] = field(default_factory=list)


class Soak:
    """Callers who come and go on one world until the time is over, and a sample of all processes every 10 s."""

    def __init__(self, world: World, minutes: float, seed: int) -> None:
        self.tallies: dict[str, Tally] = defaultdict(Tally)
        self.violations: list[Violation] = []
        self.series: dict[Name, list[tuple[float, float]]] = defaultdict(list)
        self._world = world
        self._rng = random.Random(seed)
        self._began_s = time.monotonic()
        self._until_s = self._began_s + minutes * 60
        self._clips = human_speech()
        self._n_clients = 0
        self._ended: list[str] = []

    async def run(self, n_echo: int, n_cascade: int) -> None:
        """Return when the time is over, all have hung up and their keys are due to be gone."""
        async with asyncio.TaskGroup() as group:
            for _ in range(n_echo):
                group.create_task(self._callers(self._echo_call, CALL_S))
            for _ in range(n_cascade):
                group.create_task(self._callers(self._spoken_call, SPOKEN_CALL_S))
            group.create_task(self._watch())
        await asyncio.sleep(self._world.plan.retention_s + LATE_S)  # the retention of the last sessions
        left = [key for session_id in self._ended for key in await keys_of(self._world.redis, session_id)]
        if left:
            self.violations.append(Violation("no key outlives its retention", f"{len(left)}: {', '.join(left[:5])}"))
        self.violations += [Violation("no process dies by itself", death) for death in self._world.take_deaths()]

    # Callers

    async def _callers(self, call: Callable[[str, float], Awaitable[None]], lengths_s: tuple[float, float]) -> None:
        """One caller after the other; the first ones come spread over the first seconds."""
        while True:
            await asyncio.sleep(self._rng.uniform(*PAUSE_S))  # nobody is on this line for a moment
            left_s = self._until_s - time.monotonic()
            if left_s < SHORTEST_S:
                return
            self._n_clients += 1
            await call(f"client {self._n_clients}", min(left_s, self._rng.uniform(*lengths_s)))

    async def _talk(self, client: ScriptedClient, talk_s: float) -> None:
        task = asyncio.create_task(client.run(), name=client.trace.name)
        try:
            await asyncio.wait({task}, timeout=talk_s)
            await client.hang_up()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _echo_call(self, name: str, talk_s: float) -> None:
        client = ScriptedClient(self._world.http, self._world.edges, self._n_clients, name)
        await self._talk(client, talk_s)
        if not await self._has_session(client):
            return
        verdict = judge(client.trace, await read_streams(self._world.redis, client.trace.session_id))
        self.tallies["echo"].lost += verdict.losses.lost
        await self._note(client, "echo", [*verdict.violations, *check_end(client.trace)])

    async def _spoken_call(self, name: str, talk_s: float) -> None:
        number = self._n_clients
        client = SpeechClient(self._world.http, self._world.edges, number, name, self._clips, at=number)
        await self._talk(client, talk_s)
        if not await self._has_session(client):
            return
        streams = await read_streams(self._world.redis, client.trace.session_id)
        verdict = judge_speech(client.trace, client.packets, client.said, streams)
        self.tallies["cascade"].turns += verdict.user_turns + verdict.hugo_turns
        self.tallies["cascade"].lost += verdict.losses.lost
        await self._note(client, "cascade", [*verdict.violations, *check_end(client.trace)])

    async def _has_session(self, client: ScriptedClient) -> bool:
        trace = client.trace
        if not trace.session_id:
            text = f"{trace.name}: {'; '.join(trace.errors[-2:])}"
            self.violations.append(Violation("a client gets a session", text))
        return bool(trace.session_id)

    async def _note(self, client: ScriptedClient, engine: str, violations: list[Violation]) -> None:
        """Count an ended session, and measure what it holds in Redis while that is still there."""
        trace, tally = client.trace, self.tallies[engine]
        minutes = len(trace.sent) * FRAME_MS / 60_000
        size = await bytes_of_keys(self._world.redis, session_keys(trace.session_id).all())
        tally.sessions += 1
        tally.frames += len(trace.sent)
        if minutes:
            tally.bytes_a_minute.append(size / minutes)
        self._ended.append(trace.session_id)
        for each in violations:
            print(f"  VIOLATION {each.invariant}: {trace.name} ({trace.session_id}): {each.detail}", flush=True)
        self.violations += violations

    # Figures

    async def _watch(self) -> None:
        due_s = self._began_s
        while due_s < self._until_s:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))  # a sample every SAMPLE_EVERY_S
            at_s = time.monotonic() - self._began_s
            for name, value in (await sample(self._world)).items():
                self.series[name].append((at_s, value))
            if round(due_s - self._began_s) % 60 == 0:
                self._say(at_s)
            due_s += SAMPLE_EVERY_S

    def _say(self, at_s: float) -> None:
        n_sessions = sum(tally.sessions for tally in self.tallies.values())
        used = self.series["redis", "used MB"][-1][1]
        print(
            f"{at_s / 60:.0f} min: {n_sessions} sessions over, {len(self.violations)} violations, Redis {used:.1f} MB",
            flush=True,
        )

    def growths(self) -> dict[Name, Growth | None]:
        """Return what each figure did that has a bound (soak_figures.MINIMUMS), by process."""
        names = sorted(name for name in self.series if name[1] in MINIMUMS)
        return {name: growth(self.series[name], MINIMUMS[name[1]]) for name in names}

    def write(self, path: Path) -> None:
        """Write all samples: seconds, process, figure, value."""
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("seconds", "process", "figure", "value"))
            for (process, figure), series in sorted(self.series.items()):
                rows.writerows((f"{at_s:.1f}", process, figure, f"{value:.3f}") for at_s, value in series)


def main() -> int:
    """Run, print, and say by the exit code whether all was well."""
    options = _parser().parse_args()
    soak = uvloop.run(_run(options))
    found = soak.growths()
    print(table(found))
    for engine, tally in sorted(soak.tallies.items()):
        _print_tally(engine, tally)
    growing = [" ".join(name) for name, each in found.items() if each and each.verdict == "grows"]
    print(f"{len(soak.violations)} violations; grows: {', '.join(growing) or 'nothing'}")
    for violation in soak.violations:
        print(f"  {violation.invariant}: {violation.detail}")
    return 1 if growing or soak.violations else 0


def _print_tally(engine: str, tally: Tally) -> None:
    size = f"{mean(tally.bytes_a_minute) / 1024:.0f} KiB" if tally.bytes_a_minute else "-"
    turns = f", {tally.turns} turns" if tally.turns else ""
    print(
        f"{engine}: {tally.sessions} sessions, {tally.frames} frames{turns}, {tally.lost} frames lost; "
        f"Redis holds {size} for each minute of a session"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long callers come and go (30)")
    parser.add_argument("--echo", type=int, default=8, help="echo clients at a time (8)")
    parser.add_argument("--cascade", type=int, default=1, help="cascade clients at a time (1)")
    parser.add_argument("--replicas", type=int, default=1, help="processes of each service (1)")
    parser.add_argument("--seed", type=int, default=1, help="what the calls' lengths are drawn from (1)")
    parser.add_argument("--out", type=Path, help="file for the samples, as CSV")
    parser.add_argument("--logs", type=Path, help="folder to keep the services' output in")
    return parser


async def _run(options: argparse.Namespace) -> Soak:
    n = options.replicas
    plan = Plan(
        *(n, n, n if options.cascade else 0, n, n),
        slots=options.echo + 4,
        cascade_slots=options.cascade + 1,
    )
    async with World(plan) as world:
        soak = Soak(world, options.minutes, options.seed)
        try:
            await soak.run(options.echo, options.cascade)
        finally:
            if options.out:
                soak.write(options.out)
            if options.logs:
                options.logs.mkdir(parents=True, exist_ok=True)
                for log in world.folder.glob("*.log"):
                    shutil.copy(log, options.logs)
    return soak


if __name__ == "__main__":
    sys.exit(main())
