"""Does Hugo take the floor when it is his, how soon, and does he leave it alone when it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from services.evaluator.metric import SHARE, Metric, measured, unavailable
from services.evaluator.timeline import Timeline
from services.evaluator.turns import Turn
from shared.events import MetricValue

_WINDOW_MS = 3_000
_GOES_ON_MS = 1_000
_EARLY_MS = 500
_NONE_YET = "no turn of the user has yet left the floor to Hugo"


@dataclass(frozen=True, slots=True)
class Offer:
    """A user turn that left the floor to Hugo: after how long he took it, None if he did not."""

    turn: str
    latency_ms: int | None


class TakeoverShare:
    """How often Hugo takes the floor after a turn of the user: a figure of the system.

    Formula: user turns after which Hugo began a turn within 3 s / user turns that left him the floor. Left to him
    is a complete turn with words that he did not outlast (he held the floor then, and nobody gave it) and after
    which the user did not go on within 1 s (a pause in one stretch of speech). If the user went on later, or 3 s
    went by, Hugo did not take it. Backchannels are no turns, his neither. Source: takeover rate (TOR) of
    Full-Duplex-Bench, on a session's own turns instead of made samples; its rule for short outputs is this
    project's definition of a backchannel; 3 s is the limit of a long pause here. Unit: ratio. Bands: none, since
    the user cannot change it. Not available before a user turn of which it is known.
    """

    name = "hugo_takeover_share"
    unit = "ratio"
    bounds = SHARE

    def compute(self, timeline: Timeline) -> MetricValue:
        known = list(offers(timeline))
        if not known:
            return unavailable(self, _NONE_YET)
        taken = sum(offer.latency_ms is not None for offer in known)
        return measured(self, taken / len(known), "", f"over {len(known)} turns")


class TakeoverLatency:
    """How long Hugo takes to take the floor: a figure of the system.

    Formula: median of (Hugo start - user end) over the turns that hugo_takeover_share counts as taken; a start
    before the user's end counts as 0. Source: takeover latency of Full-Duplex-Bench, which takes the mean. Differs
    from hugo_response_latency, which counts silences only and of any length. Unit: s. Bands: none, since the user
    cannot change it. Not available before Hugo has taken the floor.
    """

    name = "hugo_takeover_latency"
    unit = "s"
    bounds = (0.0, _WINDOW_MS / 1000)

    def compute(self, timeline: Timeline) -> MetricValue:
        taken = [offer.latency_ms for offer in offers(timeline) if offer.latency_ms is not None]
        if not taken:
            return unavailable(self, "Hugo has not yet taken the floor after a turn of the user")
        return measured(self, median(taken) / 1000, "", f"over {len(taken)} turns")


class FalseStartShare:
    """How often Hugo begins while the user is not finished: a figure of the system.

    Formula: turns that Hugo began after a user turn and that were false starts / turns that he began after one. A
    false start came 0.5 s or more before that user turn's end (into a pause in it, or over it), or the user's next
    turn began less than 1 s after it. Source: pause handling of Full-Duplex-Bench (takeovers in a speaker's pause,
    lower is better); limits inferred. Unit: ratio. Bands: none, since the user cannot change it. Not available
    before such a turn of Hugo's is a second old.
    """

    name = "hugo_false_start_share"
    unit = "ratio"
    bounds = SHARE

    def compute(self, timeline: Timeline) -> MetricValue:
        known = _false_starts(timeline)
        if not known:
            return unavailable(self, "Hugo has not yet begun a turn after one of the user's")
        return measured(self, sum(known) / len(known), "", f"over {len(known)} turns")


def offers(timeline: Timeline) -> Iterator[Offer]:
    """Yield the user turns that left the floor to Hugo and of which it is known whether he took it."""
    hugo_until_ms = -1
    turns = timeline.turns
    for index, turn in enumerate(turns):
        if turn.speaker == "hugo":
            hugo_until_ms = max(hugo_until_ms, turn.end_ms)
            continue
        if turn.ended != "complete" or not turn.text.strip() or hugo_until_ms > turn.end_ms:
            continue
        taken, user_next = _what_followed(turns, index)
        if taken is not None and taken.start_ms <= turn.end_ms + _WINDOW_MS:
            yield Offer(turn.id, max(0, taken.start_ms - turn.end_ms))
        elif user_next is not None and user_next.start_ms < turn.end_ms + _GOES_ON_MS:
            continue
        elif taken is not None or user_next is not None or timeline.until_ms >= turn.end_ms + _WINDOW_MS:
            yield Offer(turn.id, None)


def _what_followed(turns: tuple[Turn, ...], index: int) -> tuple[Turn | None, Turn | None]:
    """Return Hugo's turn that took over from the user turn at `index`, or else the user's next turn."""
    end_ms = turns[index].end_ms
    for place in range(index + 1, len(turns)):
        later = turns[place]
        if later.speaker == "user":
            return None, later
        if later.end_ms > end_ms:
            return later, None
    return None, None


def _false_starts(timeline: Timeline) -> list[bool]:
    """Return, for each turn of Hugo's that directly follows a user turn, whether it was a false start."""
    turns = timeline.turns
    user_next: Turn | None = None
    found: list[bool] = []
    for index in range(len(turns) - 1, 0, -1):
        turn, before = turns[index], turns[index - 1]
        if turn.speaker == "user":
            user_next = turn
        elif before.speaker == "user":
            goes_on = user_next is not None and user_next.start_ms - turn.start_ms < _GOES_ON_MS
            if goes_on or before.end_ms - turn.start_ms >= _EARLY_MS:
                found.append(True)
            elif user_next is not None or timeline.until_ms >= turn.start_ms + _GOES_ON_MS:
                found.append(False)
    return found


METRICS: tuple[Metric, ...] = (TakeoverShare(), TakeoverLatency(), FalseStartShare())
