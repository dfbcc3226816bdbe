"""All services in one process, on a real Redis and on the fake: a spoken turn goes in, an answer and a score come out.

Real here: the edge and its protocol, broker, leases, Opus, voice activity and turn detection on real speech, the
coach's policy, the evaluator. Doubles: recogniser and voice (their real ones are in test_real_stack.py).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from services.coach_worker.policy import PolicyBrain
from services.coach_worker.session import CoachParts, CoachSession
from services.command_line.wav import read_wav
from services.edge.settings import EdgeSettings
from services.evaluator.session import EvaluatorSession
from services.voice_worker.engines.base import SessionSpec
from services.voice_worker.engines.cascade.engine import CascadeEngine, CascadeSettings
from services.voice_worker.listener.listener import Listener
from services.voice_worker.listener.spec import Emit, ListenerTools, OnSignal, listener_spec
from services.voice_worker.listener.vad import SileroPool
from services.voice_worker.media_thread import MediaThread
from services.voice_worker.speech.interfaces import Pcm, Recognition, WindowTranscriber
from services.voice_worker.speech.words import spread
from services.voice_worker.worker import VoiceWorker, WorkerLimits
from shared.audio import FRAME_SAMPLES
from shared.audio.ogg import OggOpusDemuxer, OggOpusMuxer
from shared.audio.opus import OpusDecoder, OpusEncoder
from shared.broker import Broker
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from shared.session_worker import SessionWorker
from shared.testing.brokers import running, twin
from shared.testing.tones import ToneSynthesizer
from tests.pipeline.serving import serving_edge

SPEECH = Path(__file__).parents[1] / "fixtures" / "audio" / "en_human"
SAID = "How many people are planning the routes today?"


class ScriptedTranscriber:
    """Hears the same sentence in whatever is said."""

    async def start(self) -> None:
        """Nothing to load."""

    async def transcribe(self, pcm: Pcm, *, language: str, partial: bool) -> Recognition:
        return Recognition(SAID, spread(SAID, pcm), 0.9)

    async def aclose(self) -> None:
        """Nothing to free."""


@dataclass
class Heard:
    """What a client got."""

    kinds: list[int] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    sound: list[Pcm] = field(default_factory=list)

    @property
    def n_samples(self) -> int:
        return sum(len(pcm) for pcm in self.sound)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event["body"] for event in self.events if event.get("body", {}).get("kind") == kind]


@pytest.fixture
async def address(broker: Broker) -> AsyncIterator[str]:
    """The edge's address, with one voice worker, one coach and one evaluator behind it."""
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(running(twin(broker))) for _ in range(3)]
        stopping = asyncio.Event()
        tasks = [
            asyncio.create_task((await _voice(others[0], stack)).run(stopping)),
            asyncio.create_task(_coach(others[1]).run(stopping)),
            asyncio.create_task(_evaluator(others[2]).run(stopping)),
        ]
        settings = EdgeSettings(port=0, engines="cascade", idle_s=30, input_burst_s=600)
        async with serving_edge(broker, settings) as address:
            yield address
        stopping.set()
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks)


async def _voice(
    broker: Broker, stack: AsyncExitStack, *, consumer: str = "voice", lease_s: float = 1.5
) -> VoiceWorker:
    media = await stack.enter_async_context(MediaThread(asyncio.get_running_loop()))
    tools = ListenerTools(media, SileroPool(), ScriptedTranscriber(), None, broker.clock)

    def listener(
        spec: SessionSpec, emit: Emit, on_signal: OnSignal, transcriber: WindowTranscriber | None = None
    ) -> Listener:
        return Listener(listener_spec(spec), tools, emit, on_signal)

    engine = CascadeEngine(ToneSynthesizer(), CascadeSettings(slots=2, warm_languages=()))
    await engine.start()
    stack.push_async_callback(engine.aclose)
    return VoiceWorker(broker, [engine], listener, consumer=consumer, limits=WorkerLimits(lease_s))


def _coach(broker: Broker) -> SessionWorker:
    policy = PolicyBrain()
    parts = CoachParts(load_knowledge(), default_detector(), policy, policy, broker.clock)
    return SessionWorker(
        broker,
        "coach",
        lambda session_id, publisher: CoachSession(session_id, publisher, parts),
        consumer="coach",
        capacity=10,
        lease_s=1.5,
    )


def _evaluator(broker: Broker) -> SessionWorker:
    async def no_job(session_id: str) -> None:
        return None

    detector = default_detector()
    return SessionWorker(
        broker,
        "evaluator",
        lambda session_id, publisher: EvaluatorSession(session_id, publisher, detector, no_job),
        consumer="evaluator",
        capacity=10,
        lease_s=1.5,
    )


async def test_a_spoken_turn_is_answered_and_scored(address: str) -> None:
    clip = read_wav(sorted(SPEECH.glob("*0880.wav"))[0])
    heard = Heard()
    async with aiohttp.ClientSession() as web, web.ws_connect(f"{address}/api/chat?events=1&language=en") as ws:
        reader = asyncio.create_task(_read(ws, heard))
        microphone = Microphone(ws, heard)
        async with asyncio.timeout(40):
            await _until(lambda: 0 in heard.kinds)
            await microphone.speak(np.concatenate([clip, np.zeros(FRAME_SAMPLES * 15, np.float32)]))
            await _until(lambda: any(body["turn"] == "u1" for body in heard.of("coach_to_voice")))
            while not any(b["turn"] == "h2" and b["reason"] == "complete" for b in heard.of("turn_ended")):
                await microphone.speak(np.zeros(FRAME_SAMPLES * 10, np.float32))
            await ws.send_bytes(b"\x04" + json.dumps({"type": "end"}).encode())
            await _until(lambda: heard.of("scorecard"))
        await ws.close()
        await reader
    (said,) = [body for body in heard.of("transcript") if body["final"] and body["speaker"] == "user"]
    assert said["text"] == SAID
    (message,) = heard.of("voice_to_coach")
    assert message["transcript"] == SAID
    assert message["prosody"]["emotion"] is None
    assert any(np.abs(frame).max() > 0.1 for frame in heard.sound), "Hugo is heard"
    assert heard.of("metrics")
    assert [turn["turn"] for turn in heard.of("scorecard")[0]["scorecard"]["turns"]] == ["u1"]
    ids = [event["id"] for event in heard.events if "body" in event]
    assert len(set(ids)) == len(ids)


class Microphone:
    """Sends sound as fast as it comes back: media time, not the clock, decides what happens."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, heard: Heard) -> None:
        self._ws = ws
        self._heard = heard
        self._muxer = OggOpusMuxer(1)
        self._encoder = OpusEncoder()
        self._sent = 0

    async def speak(self, pcm: Pcm) -> None:
        if not self._sent:
            await self._ws.send_bytes(b"\x01" + self._muxer.head())
        for start in range(0, len(pcm) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
            packets = self._encoder.encode(pcm[start : start + FRAME_SAMPLES])
            await self._ws.send_bytes(b"\x01" + self._muxer.pages(packets, FRAME_SAMPLES))
            self._sent += 1
            await _until(lambda: self._heard.n_samples >= self._sent * FRAME_SAMPLES)


async def _read(ws: aiohttp.ClientWebSocketResponse, heard: Heard) -> None:
    demuxer, decoder = OggOpusDemuxer(), OpusDecoder()
    async for message in ws:
        kind, payload = message.data[0], message.data[1:]
        heard.kinds.append(kind)
        if kind == 1:
            packets = [decoder.decode(packet) for packet in demuxer.feed(payload)]
            if packets:
                heard.sound.append(np.concatenate(packets))
        elif kind == 4:
            heard.events.append(json.loads(payload))


async def _until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.001)  # looks again; nothing depends on how long this is
