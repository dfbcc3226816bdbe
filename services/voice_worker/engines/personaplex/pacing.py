"""When the model thread ticks, and whether it keeps up. Pure: times come in as seconds of a monotonic clock."""

from __future__ import annotations

from collections import deque
from typing import Final

TICK_S: Final = 0.08

WINDOW: Final = 50
"""Ticks over which overruns are judged (4 s)."""

STOP_SHARE: Final = 0.2
"""Share of late ticks from which no session is admitted."""

RESUME_SHARE: Final = 0.04
"""Share of late ticks below which sessions are admitted again."""


class Pacer:
    """Keeps the deadline of the next tick and the record of missed ones."""

    def __init__(self, now_s: float) -> None:
        self.accepting = True
        self._due_s = now_s + TICK_S
        self._late: deque[bool] = deque(maxlen=WINDOW)
        self._typical_s = 0.0

    def remaining_s(self, now_s: float) -> float:
        """Return the seconds until the next tick is due; 0 if it is overdue."""
        return max(self._due_s - now_s, 0.0)

    def idle(self, now_s: float) -> None:
        """Nobody talks: the next tick is a whole one away, and no tick that was late says how the next will be.

        Without ticks the record would never change: a worker that stopped admitting would never admit again.
        """
        self._due_s = now_s + TICK_S
        self._late.clear()
        self.accepting = True

    def ticked(self, began_s: float, ended_s: float) -> bool:
        """A tick ran. Returns True if it took longer than a tick may.

        The next one is due one tick after this one was, or after now if this one was late: no burst makes up for
        lost time, the slots' own backlog does.
        """
        took_s = ended_s - began_s
        late = took_s > TICK_S
        self._late.append(late)
        self._typical_s = took_s if not self._typical_s else 0.9 * self._typical_s + 0.1 * took_s
        self._due_s = max(min(self._due_s, began_s) + TICK_S, ended_s)
        share = sum(self._late) / WINDOW
        if share >= STOP_SHARE:
            self.accepting = False
        elif share <= RESUME_SHARE:
            self.accepting = True
        return late

    def has_room(self, now_s: float) -> bool:
        """Return whether one more tick fits before the next deadline, with a fifth to spare."""
        return self.remaining_s(now_s) > 1.2 * self._typical_s
