"""The `echo` engine: gives back what it hears, packets untouched. For tests, load tests and sound checks."""

from __future__ import annotations

from services.voice_worker.engines.base import EngineHost, SessionSpec
from services.voice_worker.signals import Signal
from shared.events import CoachToVoice
from shared.wire import AudioFrame


class EchoEngine:
    """Echoes each frame at once; needs no model and no thread."""

    name = "echo"
    history_s = 0.0
    accepting = True
    broken = ""

    def __init__(self, slots: int) -> None:
        self.slots = slots

    async def start(self) -> None:
        """Nothing to load."""

    async def open(self, spec: SessionSpec, host: EngineHost) -> EchoSession:
        return EchoSession(host)

    async def aclose(self) -> None:
        """Nothing to free."""


class EchoSession:
    """One echoed session."""

    def __init__(self, host: EngineHost) -> None:
        self._host = host

    def feed(self, frame: AudioFrame, entry_id: str) -> None:
        self._host.deliver(frame.packets, frame.n_samples, entry_id)

    def on_signal(self, signal: Signal) -> None:
        """An echo does not take turns."""

    def on_coach(self, message: CoachToVoice) -> None:
        """An echo says nothing of its own; the hints still reach the client."""

    async def close(self) -> None:
        """Nothing to free."""
