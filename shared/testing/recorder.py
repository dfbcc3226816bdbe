"""A publisher that keeps what it was given."""

from __future__ import annotations

from typing import TypeVar

from shared.events import Body

B = TypeVar("B")


class EventRecorder:
    """Publisher double: every published body with its id and media time, in order."""

    def __init__(self, session_id: str = "00000000000000000000000000") -> None:
        self.session_id = session_id
        self.published: list[tuple[Body, str, int]] = []

    def publish(self, body: Body, *, event_id: str, media_ms: int) -> None:
        self.published.append((body, event_id, media_ms))

    def of(self, kind: type[B]) -> list[B]:
        """Return the bodies of one kind."""
        return [body for body, _, _ in self.published if isinstance(body, kind)]
