"""A few rounds of faults on real processes: the kinds that matter most, always the same ones.

`make chaos` does more of them; `docs/reliability.md` says what is promised.
"""

from __future__ import annotations

import pytest

from tests.chaos.run import Runner
from tests.chaos.schedule import Schedule, replay_command
from tests.chaos.world import Plan, World

N_CLIENTS = 4
LEASE_S = 0.8
KINDS = ("kill_voice", "kill_edge", "freeze_voice", "partition_voice", "redis_kill", "client_cut", "kill_coach")
SCHEDULE = Schedule(11, len(KINDS), KINDS, LEASE_S, pair_share=0.0)


@pytest.mark.timeout(150)
async def test_no_promise_is_broken_whatever_fails() -> None:
    """One test, so that one process plays all rounds on one world, one after the other."""
    wrong: list[str] = []
    recoveries_s: dict[str, tuple[float, ...]] = {}
    async with World(Plan(lease_s=LEASE_S)) as world:
        runner = Runner(world, N_CLIENTS)
        for part in SCHEDULE.rounds:
            result = await runner.play(part)
            recoveries_s[part.kind] = result.recoveries_s
            wrong += [f"{part.kind}: {violation.invariant}: {violation.detail}" for violation in result.violations]
    replay = replay_command(SCHEDULE, N_CLIENTS)
    assert not wrong, f"the same faults again: {replay}\n" + "\n".join(wrong)
    for kind in ("kill_voice", "freeze_voice"):
        assert recoveries_s[kind], "the busiest worker was hit"
        assert max(recoveries_s[kind]) < 8 * LEASE_S, "some heartbeats, and room for a busy machine"
