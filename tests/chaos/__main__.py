"""`python -m tests.chaos --rounds 200 --seed 1`: faults on a real deployment, and a table of how it took them.

Exit code 0 if every invariant held, 1 with the command that does it again if one did not.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from pathlib import Path

from tests.chaos.clocks import find_library
from tests.chaos.figures import RoundResult, table
from tests.chaos.records import Violation
from tests.chaos.run import Runner
from tests.chaos.schedule import KINDS, PAIR_SHARE, Schedule, replay_command
from tests.chaos.world import Plan, World


def main() -> int:
    """Run, print, and say by the exit code whether all was well."""
    options = _parser().parse_args()
    kinds = tuple(options.kinds.split(",")) if options.kinds else KINDS
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        sys.stderr.write(f"no such fault: {', '.join(unknown)}; there are {', '.join(KINDS)}\n")
        return 2
    schedule = Schedule(options.seed, options.rounds, kinds, options.lease, options.pairs)
    results, late = asyncio.run(_run(schedule, options))
    print(table(results))
    n_wrong = sum(len(result.violations) for result in results) + len(late)
    if n_wrong:
        print(f"{n_wrong} violations; the same faults again: {replay_command(schedule, options.clients)}")
    return 1 if n_wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=34, help="rounds of conversations with a fault (34)")
    parser.add_argument("--seed", type=int, default=1, help="what faults are drawn from (1)")
    parser.add_argument("--clients", type=int, default=4, help="clients that talk in each round (4)")
    parser.add_argument("--kinds", default="", help="kinds of faults to draw from, by comma (all)")
    parser.add_argument("--pairs", type=float, default=PAIR_SHARE, help="share of rounds with a second fault (0.2)")
    parser.add_argument("--lease", type=float, default=1.0, help="lease of the services in seconds (1.0)")
    parser.add_argument("--only", type=int, default=0, help="play this round of the schedule alone")
    parser.add_argument("--logs", type=Path, help="folder to keep the services' output in")
    return parser


async def _run(schedule: Schedule, options: argparse.Namespace) -> tuple[list[RoundResult], list[Violation]]:
    results: list[RoundResult] = []
    rounds = [part for part in schedule.rounds if options.only in (0, part.number)]
    clocks = any(part.sets_clocks for part in rounds)
    if clocks and find_library() is None:
        clocks = False
        print("no clock jumps in this run: libfaketime is missing (scripts/setup_system.sh)", flush=True)
    async with World(Plan(lease_s=schedule.lease_s, clocks=clocks)) as world:
        runner = Runner(world, options.clients)
        for part in rounds:
            began_s = time.monotonic()
            result = await runner.play(part)
            results.append(result)
            _say(part.number, ", ".join(map(str, part.faults)), result, time.monotonic() - began_s)
        late = await runner.settle()
        for violation in late:
            print(f"  at the end: {violation.invariant}: {violation.detail}")
        if options.logs:
            options.logs.mkdir(parents=True, exist_ok=True)
            for log in world.folder.glob("*.log"):
                shutil.copy(log, options.logs)
    return results, late


def _say(number: int, faults: str, result: RoundResult, took_s: float) -> None:
    times = ", ".join(f"{each:.2f}" for each in result.recoveries_s) or "nobody hit"
    print(f"round {number} ({took_s:.1f} s) {faults}: {times}", flush=True)
    for violation in result.violations:
        print(f"  VIOLATION {violation.invariant}: {violation.detail}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
