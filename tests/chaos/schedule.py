"""Which faults are done, to whom and when: drawn from a seed. Pure; the same seed gives the same faults.

A victim is named by its rank among the processes of its role, busiest first, since process ids differ from run to run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

KINDS = (
    "kill_voice",
    "kill_coach",
    "kill_evaluator",
    "kill_edge",
    "freeze_voice",
    "freeze_edge",
    "leave_edge",
    "partition_voice",
    "partition_edge",
    "partition_coach",
    "partition_evaluator",
    "delay",
    "cut",
    "redis_term",
    "redis_kill",
    "redis_long",
    "redis_away",
    "redis_full",
    "flood",
    "malformed",
    "client_cut",
    "duplicates",
    "slow_client",
    "term_voice",
    "term_coach",
    "term_evaluator",
    "term_edge",
    "clock_voice",
    "clock_coach",
    "clock_evaluator",
    "clock_edge",
    "clock_redis",
)
"""Every kind of fault, each with what it does in `tests/chaos/faults.py`."""

PAIR = "two_at_once"
"""How a round with a second fault is named in the table."""

ROLES = ("edge", "voice", "coach", "evaluator")
PAIR_SHARE = 0.2
"""Share of rounds in which a second fault begins within a second of the first."""

_SECOND = tuple(kind for kind in KINDS if kind != "flood" and not kind.startswith("redis"))


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `at_s` counts from the moment when audio flows; `duration_s` is how long it lasts, 0 for a blow.

    `ahead_s` is by how much a clock jumps, negative: back.
    """

    kind: str
    at_s: float
    rank: int = 0
    role: str = ""
    duration_s: float = 0.0
    variant: int = 0
    ahead_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Round:
    """One conversation of a few clients with its faults."""

    number: int
    faults: tuple[Fault, ...]

    @property
    def sets_clocks(self) -> bool:
        """True if a wall clock jumps in it."""
        return any(fault.kind.startswith("clock_") for fault in self.faults)

    @property
    def kind(self) -> str:
        """Its row in the table."""
        return self.faults[0].kind if len(self.faults) == 1 else PAIR


@dataclass(frozen=True, slots=True)
class Schedule:
    """The rounds of one run. `kinds` are those to draw from; a frozen process sleeps for longer than `lease_s`."""

    seed: int
    n_rounds: int
    kinds: Sequence[str] = KINDS
    lease_s: float = 1.0
    pair_share: float = PAIR_SHARE
    rounds: tuple[Round, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rounds", tuple(self._draw()))

    def _draw(self) -> list[Round]:
        """Each kind once in a random order, then all again: a short run meets as many kinds as it has rounds."""
        rng = random.Random(self.seed)
        bag: list[str] = []
        rounds = []
        for number in range(1, self.n_rounds + 1):
            if not bag:
                bag = list(self.kinds)
                rng.shuffle(bag)
            faults = [self._fault(rng, bag.pop(), rng.uniform(0.2, 0.8))]
            if rng.random() < self.pair_share:
                second = rng.choice(_SECOND)
                faults.append(self._fault(rng, second, faults[0].at_s + rng.uniform(0.05, 1.0)))
            rounds.append(Round(number, tuple(faults)))
        return rounds

    def _fault(self, rng: random.Random, kind: str, at_s: float) -> Fault:
        name, _, role = kind.partition("_")
        durations = {
            "freeze": (self.lease_s * 1.3, self.lease_s * 3),
            "partition": (1.0, 4.0),
            "leave": (1.0, 4.0),
            "delay": (2.0, 4.0),
            "redis": (0.1, 2.5),
            "redis_long": (5.5, 8.0),  # audio is kept for 5 s
            "redis_away": (12.0, 18.0),  # a client's socket is leased for 15 s
            "redis_full": (1.0, 8.0),
            "slow": (3.0, 8.0),
            "clock": (1.0, 3.0),
        }
        low, high = durations.get(kind) or durations.get(name, (0.0, 0.0))
        if kind in ("delay", "cut"):
            role = rng.choice(ROLES)
        # Rank 0, the busiest, three times in four: a fault of an idle process is worth a look now and then.
        rank = 0 if rng.random() < 0.75 else 1
        lasts_s, variant = round(rng.uniform(low, high), 3), rng.randrange(1 << 16)
        ahead_s = 0.0
        if name == "clock":
            # A Redis keeps the harness's streams for 10 s: within that, nothing may go.
            least, most = (2.0, 5.0) if kind == "clock_redis" else (60.0, 3600.0)
            ahead_s = round(rng.uniform(least, most) * rng.choice((-1, 1)), 3)
        return Fault(kind, round(at_s, 3), rank, role, lasts_s, variant, ahead_s)


def replay_command(schedule: Schedule, n_clients: int) -> str:
    """Return the command that does the same faults again."""
    kinds = "" if tuple(schedule.kinds) == KINDS else f" --kinds {','.join(schedule.kinds)}"
    pairs = "" if schedule.pair_share == PAIR_SHARE else f" --pairs {schedule.pair_share:g}"
    lease = "" if schedule.lease_s == 1.0 else f" --lease {schedule.lease_s:g}"
    base = f"python -m tests.chaos --rounds {schedule.n_rounds} --seed {schedule.seed} --clients {n_clients}"
    return base + kinds + pairs + lease
