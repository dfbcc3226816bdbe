"""A session on the tiny model moves to another worker: the new slot knows what was said, and no frame is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import numpy as np
import pytest

from services.voice_worker.engines.personaplex.build import build_engine
from services.voice_worker.engines.personaplex.engine import PersonaPlexEngine
from services.voice_worker.settings import VoiceSettings
from services.voice_worker.worker import VoiceWorker, WorkerLimits
from shared.audio import FRAME_SAMPLES
from shared.audio.opus import OpusEncoder
from shared.broker import Broker
from shared.broker.reader import Entries
from shared.events import Body, CoachToVoice, EngineState, Event, SessionStarted, Spoken
from shared.leases import RequestQueue
from shared.streams import new_session_id, request_stream
from shared.testing.brokers import running, twin
from shared.wire import AudioFrame, decode_audio, decode_event

STREAM = request_stream("voice", "personaplex")
LIMITS = WorkerLimits(lease_s=0.5, step_s=0.05)


class Call:
    """The edge's part of one session."""

    def __init__(self, broker: Broker) -> None:
        self.session_id = new_session_id(1)
        self.frames: list[AudioFrame] = []
        self.events: list[Event] = []
        self._broker = broker
        self._keys = broker.keys(self.session_id)
        self._changed = asyncio.Event()
        self._encoder = OpusEncoder()
        self._rng = np.random.default_rng(0)
        self._n = 0
        broker.reader.subscribe(self._keys.audio_out, "0", self._on_audio)
        broker.reader.subscribe(self._keys.events, "0", self._on_events)

    async def begin(self) -> None:
        self.publish(SessionStarted("personaplex", "en", mode="scripted", seed=4), "edge:session_started")
        await self._broker.writer.drain()
        queue = RequestQueue(self._broker)
        async with asyncio.timeout(20):
            while (await queue.admit(STREAM, self.session_id, {}, by_slots=True)).outcome != "admitted":
                pass

    def publish(self, body: Body, event_id: str) -> None:
        self._broker.publish_event(self._keys, Event(event_id, self.session_id, "coach", 0, 0, 0, body))

    def send(self, n_frames: int) -> None:
        for _ in range(n_frames):
            pcm = self._rng.normal(0, 0.1, FRAME_SAMPLES).astype(np.float32)
            frame = AudioFrame(self._n, FRAME_SAMPLES, self._encoder.encode(pcm))
            self._broker.publish_audio(self._keys.audio_in, frame)
            self._n += 1

    async def until(self, is_there: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not is_there():
                self._changed.clear()
                await self._changed.wait()

    def of(self, kind: type) -> list[object]:
        return [event.body for event in self.events if isinstance(event.body, kind)]

    def _on_audio(self, key: str, entries: Entries) -> None:
        self.frames.extend(decode_audio(data) for _, data in entries)
        self._changed.set()

    def _on_events(self, key: str, entries: Entries) -> None:
        self.events.extend(decode_event(data) for _, data in entries)
        self._changed.set()


@pytest.fixture
async def engines() -> AsyncIterator[list[PersonaPlexEngine]]:
    made = [build_engine(VoiceSettings(personaplex_model="tiny", personaplex_slots=1)) for _ in range(2)]
    for engine in made:
        await engine.start()
    yield made
    for engine in made:
        await engine.aclose()


async def test_another_worker_goes_on_with_what_was_said(real_broker: Broker, engines: list[PersonaPlexEngine]) -> None:
    async with AsyncExitStack() as stack:
        brokers = [await stack.enter_async_context(running(twin(real_broker))) for _ in range(2)]
        workers = [
            VoiceWorker(broker, [engine], None, consumer=name, limits=LIMITS)
            for broker, engine, name in zip(brokers, engines, "ab", strict=True)
        ]
        stopping = [asyncio.Event(), asyncio.Event()]
        first = asyncio.create_task(workers[0].run(stopping[0]))
        call = Call(real_broker)
        await call.begin()
        call.publish(CoachToVoice("", "Hello there, how are you today?"), "coach::0")
        call.send(40)
        await call.until(lambda: len(call.frames) == 40 and call.of(Spoken))
        first.cancel()  # dies without a word
        await asyncio.gather(first, return_exceptions=True)
        for session in workers[0]._sessions.values():
            await session.close(lost=True)
        call.send(20)
        second = asyncio.create_task(workers[1].run(stopping[1]))
        await call.until(lambda: len(call.frames) == 60)
        assert [frame.seq for frame in call.frames] == list(range(60))
        assert [frame.epoch for frame in call.frames] == [1] * 40 + [2] * 20
        states = [body.state for body in call.of(EngineState) if isinstance(body, EngineState)]
        assert states == ["starting", "ready", "migrating", "resumed", "ready"]
        (session,) = engines[1]._sessions
        assert session.seat.talk.n_history == 60
        said = [word for word in session.seat.talk.history[:40, 0].tolist() if word > 3]
        assert len(said) >= 3
        stopping[1].set()
        async with asyncio.timeout(20):
            await second
