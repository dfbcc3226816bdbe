"""The schedule is a function of its seed, meets every kind, and can be asked for again."""

from __future__ import annotations

import shlex

from tests.chaos.__main__ import _parser
from tests.chaos.schedule import KINDS, PAIR, Schedule, replay_command


def test_the_same_seed_gives_the_same_faults() -> None:
    assert Schedule(7, 50).rounds == Schedule(7, 50).rounds
    assert Schedule(7, 50).rounds != Schedule(8, 50).rounds


def test_a_longer_run_begins_as_the_shorter_one() -> None:
    assert Schedule(7, 50).rounds[:10] == Schedule(7, 10).rounds


def test_each_kind_comes_once_before_any_comes_again() -> None:
    rounds = Schedule(3, 2 * len(KINDS)).rounds
    first = [part.faults[0].kind for part in rounds]
    assert sorted(first[: len(KINDS)]) == sorted(first[len(KINDS) :]) == sorted(KINDS)


def test_a_second_fault_begins_within_a_second_of_the_first() -> None:
    rounds = Schedule(3, 40, pair_share=1.0).rounds
    assert {part.kind for part in rounds} == {PAIR}
    assert all(0 < part.faults[1].at_s - part.faults[0].at_s <= 1.001 for part in rounds)
    assert {len(part.faults) for part in Schedule(3, 40, pair_share=0.0).rounds} == {1}


def test_a_frozen_process_sleeps_for_longer_than_the_lease() -> None:
    rounds = Schedule(5, 30, ("freeze_voice",), lease_s=0.8).rounds
    assert all(fault.duration_s > 0.8 for part in rounds for fault in part.faults if fault.kind == "freeze_voice")


def test_a_clock_jumps_either_way_and_a_redis_within_what_it_keeps() -> None:
    for kind, least_s, most_s in (("clock_redis", 2, 5), ("clock_voice", 60, 3600)):
        rounds = Schedule(5, 30, (kind,), pair_share=0.0).rounds
        jumps_s = [part.faults[0].ahead_s for part in rounds]
        assert min(jumps_s) < 0 < max(jumps_s)
        assert all(least_s <= abs(jump_s) <= most_s for jump_s in jumps_s)
        assert all(part.sets_clocks for part in rounds)
    assert not any(part.sets_clocks for part in Schedule(5, 5, ("kill_voice",), pair_share=0.0).rounds)


def test_the_replay_command_leads_to_the_same_schedule() -> None:
    schedule = Schedule(9, 12, ("kill_voice", "flood"), 0.8, 0.5)
    command = shlex.split(replay_command(schedule, 6))
    options = _parser().parse_args(command[3:])
    again = Schedule(options.seed, options.rounds, tuple(options.kinds.split(",")), options.lease, options.pairs)
    assert (again, options.clients) == (schedule, 6)
    assert replay_command(Schedule(1, 200), 4) == "python -m tests.chaos --rounds 200 --seed 1 --clients 4"
