"""The engine on the tiny model, and a caller who sends sound to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from services.voice_worker.engines.base import SessionSpec
from services.voice_worker.engines.personaplex.build import build_engine
from services.voice_worker.engines.personaplex.engine import PersonaPlexEngine
from services.voice_worker.settings import VoiceSettings
from shared.audio import FRAME_SAMPLES
from shared.audio.opus import OpusEncoder
from shared.streams import new_session_id
from shared.testing.engine_host import RecordingHost
from shared.wire import AudioFrame

MakeEngine = Callable[..., Any]


class Caller:
    """One session of an engine, with what it was given back."""

    def __init__(self, engine: PersonaPlexEngine, **wanted: Any) -> None:
        self.host = RecordingHost()
        self._engine = engine
        self._spec = SessionSpec(new_session_id(int(wanted.pop("number", 1))), "personaplex", "en", **wanted)
        self._encoder = OpusEncoder()
        self._rng = np.random.default_rng(len(wanted))
        self._fed = 0

    async def open(self) -> Caller:
        self.session = await self._engine.open(self._spec, self.host)
        return self

    async def talk(self, n_frames: int, loudness: float = 0.1) -> None:
        """Send noise and wait for as many frames, one after the other: no frame waits behind another."""
        for _ in range(n_frames):
            self.send(loudness)
            await self.host.wait_for_frames(self._fed)

    def send(self, loudness: float = 0.1) -> None:
        pcm = self._rng.normal(0, loudness, FRAME_SAMPLES).astype(np.float32)
        self.session.feed(AudioFrame(self._fed, FRAME_SAMPLES, self._encoder.encode(pcm)), f"1-{self._fed}")
        self._fed += 1

    async def talk_until(self, is_there: Callable[[], Any], at_most: int = 400) -> None:
        """Talk frame by frame until something is there; fails if it does not come."""
        for _ in range(at_most):
            if is_there():
                return
            await self.talk(1)
            await asyncio.sleep(0)
        pytest.fail(f"did not come within {at_most} frames")


@pytest.fixture
async def make_engine() -> AsyncIterator[MakeEngine]:
    """Make and start engines on the tiny model; settings by their names without `personaplex_`."""
    made: list[PersonaPlexEngine] = []

    async def make(**settings: Any) -> PersonaPlexEngine:
        named = {f"personaplex_{name}": value for name, value in {"model": "tiny", "slots": 2, **settings}.items()}
        engine = build_engine(VoiceSettings(**named))
        made.append(engine)
        await engine.start()
        return engine

    yield make
    for engine in made:
        await engine.aclose()
