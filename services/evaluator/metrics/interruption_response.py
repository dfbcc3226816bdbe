"""What Hugo does when the user interrupts him: whether he yields, and how soon he is silent."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from services.evaluator.metric import SHARE, UNBOUNDED, Metric, measured, unavailable
from services.evaluator.metrics.interruptions import LEFT_MS, cut_by_overlap
from services.evaluator.timeline import Timeline
from services.evaluator.turns import Turn
from shared.events import MetricValue


@dataclass(frozen=True, slots=True)
class Response:
    """One interruption of Hugo by the user: how long both spoke until Hugo stopped, None if he went on."""

    hugo_turn: str
    user_turn: str
    stopped_after_ms: int | None


class YieldShare:
    """How often Hugo yields to the user: a figure of the system.

    Formula: interruptions that Hugo yielded to / interruptions of Hugo by the user. An interruption is a user turn,
    no backchannel, that began within a closed turn of Hugo's and that silenced him, or that spoke with him for
    0.5 s. He yielded to the last one in a turn that ended as interrupted or that stopped within 1 s of it (as for
    interruptions_by_user). Source: user interruption of Full-Duplex-Bench; limits inferred. Unit: ratio. Bands:
    none, since the user cannot change it. Not available before an interruption.
    """

    name = "hugo_yield_share"
    unit = "ratio"
    bounds = SHARE

    def compute(self, timeline: Timeline) -> MetricValue:
        known = list(responses(timeline))
        if not known:
            return unavailable(self, "the user has not interrupted Hugo")
        yielded = sum(item.stopped_after_ms is not None for item in known)
        return measured(self, yielded / len(known), "", f"over {len(known)} interruptions")


class YieldLatency:
    """How long Hugo speaks on when the user interrupts him: a figure of the system.

    Formula: median of (Hugo end - user start) over the interruptions that hugo_yield_share counts as yielded to.
    Source: stop latency of Full-Duplex-Bench 1.5 (length of the overlap). Unit: s. Bands: none, since the user
    cannot change it. Not available before Hugo has yielded.
    """

    name = "hugo_yield_latency"
    unit = "s"
    bounds = UNBOUNDED

    def compute(self, timeline: Timeline) -> MetricValue:
        stopped = [item.stopped_after_ms for item in responses(timeline) if item.stopped_after_ms is not None]
        if not stopped:
            return unavailable(self, "Hugo has not yet yielded to an interruption")
        return measured(self, median(stopped) / 1000, "", f"over {len(stopped)} interruptions")


def responses(timeline: Timeline) -> Iterator[Response]:
    """Yield the user's interruptions of Hugo, turn by turn of his."""
    silenced = cut_by_overlap(timeline, "hugo")
    users = timeline.turns_of("user")
    for turn in timeline.turns_of("hugo"):
        first = bisect_right(users, turn.start_ms, key=_start)
        meeting = users[first : bisect_left(users, turn.end_ms, key=_start)]
        was_cut = turn.ended == "interrupted" or turn.id in silenced
        for user in () if turn.is_open else meeting:
            if was_cut and user is meeting[-1]:
                yield Response(turn.id, user.id, turn.end_ms - user.start_ms)
            elif min(user.end_ms, turn.end_ms) - user.start_ms >= LEFT_MS:
                yield Response(turn.id, user.id, None)


def _start(turn: Turn) -> int:
    return turn.start_ms


METRICS: tuple[Metric, ...] = (YieldShare(), YieldLatency())
