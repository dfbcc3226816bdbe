"""One session in a voice worker: what its engine offers reaches its listener."""

from __future__ import annotations

import asyncio

import pytest

from services.voice_worker.engines.base import EngineHost, SessionSpec
from services.voice_worker.engines.echo import EchoEngine, EchoSession
from services.voice_worker.listener.spec import Emit, OnSignal
from services.voice_worker.session import ResumePoint, VoiceSession
from services.voice_worker.speech.interfaces import Recognition, WindowTranscriber
from shared.events import Consent
from shared.leases import Lease
from shared.streams import new_session_id, request_stream
from shared.testing.brokers import fake_broker, running
from shared.wire import AudioFrame


class Ears:
    """A listener that notes whether it was started and closed."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        self.told.append("start")

    def feed(self, frame: AudioFrame) -> None:
        pass

    def set_hugo_speaking(self, speaking: bool, media_ms: int, wants_answer: bool = False) -> None:
        pass

    def set_consent(self, consent: Consent) -> None:
        pass

    async def close(self, *, deliver: bool = True) -> None:
        self.told.append("close")


class Recogniser:
    async def transcribe_window(self, start_ms: int, end_ms: int, *, partial: bool) -> Recognition:
        return Recognition("")


class HearingEcho(EchoEngine):
    """Its sessions have a recogniser, or could have one."""

    def __init__(self, transcriber: WindowTranscriber | None) -> None:
        super().__init__(slots=1)
        self._transcriber = transcriber

    async def open(self, spec: SessionSpec, host: EngineHost) -> EchoSession:
        session = await super().open(spec, host)
        session.transcriber = self._transcriber  # type: ignore[attr-defined]
        return session


RECOGNISER = Recogniser()


@pytest.mark.parametrize(
    ("engine", "own"),
    [(EchoEngine(1), None), (HearingEcho(None), None), (HearingEcho(RECOGNISER), RECOGNISER)],
)
async def test_the_listener_gets_the_recogniser_of_the_engine(engine: EchoEngine, own: Recogniser | None) -> None:
    ears, given = Ears(), list[WindowTranscriber | None]()

    def listener(spec: SessionSpec, emit: Emit, on_signal: OnSignal, transcriber: WindowTranscriber | None) -> Ears:
        given.append(transcriber)
        return ears

    session_id = new_session_id(1)
    async with running(fake_broker()) as broker, asyncio.TaskGroup() as tasks:
        lease = Lease(request_stream("voice", "echo"), "1-1", 1, session_id)
        spec = SessionSpec(session_id, "echo", "en")
        session = VoiceSession(broker, lease, spec, ResumePoint(), lambda session, reason: None)
        await session.start(engine, listener, tasks)
        await session.close()
    assert given == [own]
    assert ears.told == ["start", "close"]
