"""What a voice engine is given in tests: keeps frames and events in order."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from shared.events import Body

B = TypeVar("B")


class RecordingHost:
    """Engine host double. `frames` holds (packets, samples, consumed id); `events` (body, id, media ms)."""

    def __init__(self) -> None:
        self.frames: list[tuple[tuple[bytes, ...], int, str]] = []
        self.events: list[tuple[Body, str, int]] = []
        self.speaking: list[bool] = []
        self.failed: list[str] = []
        self._delivered = asyncio.Event()

    def deliver(self, packets: tuple[bytes, ...], n_samples: int, consumed: str) -> None:
        self.frames.append((packets, n_samples, consumed))
        self._delivered.set()

    def emit(self, body: Body, event_id: str, media_ms: int) -> None:
        self.events.append((body, event_id, media_ms))

    def set_speaking(self, speaking: bool, wants_answer: bool = False) -> None:
        self.speaking.append(speaking)

    def fail(self, reason: str) -> None:
        self.failed.append(reason)

    def of(self, kind: type[B]) -> list[B]:
        """Return the bodies of one kind."""
        return [body for body, _, _ in self.events if isinstance(body, kind)]

    async def wait_for_frames(self, n: int, timeout_s: float = 10.0) -> None:
        """Return when `n` frames were delivered; TimeoutError otherwise."""
        async with asyncio.timeout(timeout_s):
            while len(self.frames) < n:
                self._delivered.clear()
                await self._delivered.wait()
