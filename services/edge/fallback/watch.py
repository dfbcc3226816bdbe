"""What a session's voice shows of itself: whether somebody took the request, is ready, failed or fell silent. Pure."""

from __future__ import annotations

from shared.events import EngineState, Event

OPEN_LIMIT_S = 25.0
"""How long an engine may open; a voice worker itself gives up after 20 s and says so."""

_READY = ("ready", "resumed", "degraded")
_OPENING = ("", "starting", "migrating")


class VoiceWatch:
    """Follows the newest owner by its epoch. A request's owners have epochs above its `base`."""

    def __init__(self, silent_s: float) -> None:
        self.epoch = 0
        self.detail = ""
        self._state = ""
        self._silent_s = silent_s
        self._mark: tuple[int, int, str] | None = None
        self._marked_s = 0.0
        self._marked_in = 0

    def note(self, event: Event) -> bool:
        """Take in an event of a voice worker; false if an older owner said it."""
        if event.epoch < self.epoch:
            return False
        if event.epoch > self.epoch:
            self.epoch, self._state = event.epoch, ""
        if isinstance(event.body, EngineState):
            self._state, self.detail = event.body.state, event.body.detail
        return True

    def taken(self, base: int) -> bool:
        """True once an owner of the request has said something."""
        return self.epoch > base

    def ready(self, base: int) -> bool:
        """True while the request's owner speaks with the user."""
        return self.taken(base) and self._state in _READY

    def failed(self, base: int) -> bool:
        """True once the request's owner has given the session up."""
        return self.taken(base) and self._state == "failed"

    def silent(self, frames_in: int, frames_out: int, now_s: float, *, broker_up: bool) -> bool:
        """True if frames are owed and none came for too long, or if the engine takes too long to open.

        Call it once a second or so, with the numbers of frames so far. While Redis is away nothing is counted.
        """
        mark = (frames_out, self.epoch, self._state)
        if mark != self._mark or not broker_up:
            self._mark, self._marked_s, self._marked_in = mark, now_s, frames_in
            return False
        if self._state in _OPENING:
            return now_s - self._marked_s >= OPEN_LIMIT_S
        if frames_in == self._marked_in:
            self._marked_s = now_s
            return False
        return now_s - self._marked_s >= self._silent_s

    def restart(self) -> None:
        """Count anew: another owner is due."""
        self._mark = None
