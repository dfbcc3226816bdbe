"""Eight callers talk with the tiny model at once: edge, Redis, engine and back. One is cut off; its place is free."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import numpy as np
import pytest

from services.edge.settings import EdgeSettings
from services.voice_worker.engines.personaplex.build import build_engine
from services.voice_worker.engines.personaplex.engine import PersonaPlexEngine
from services.voice_worker.settings import VoiceSettings
from services.voice_worker.worker import VoiceWorker, WorkerLimits
from shared.audio import FRAME_SAMPLES
from shared.audio.ogg import OggOpusDemuxer, OggOpusMuxer
from shared.audio.opus import OpusDecoder, OpusEncoder
from shared.broker import Broker
from shared.testing.brokers import running, twin
from tests.pipeline.serving import serving_edge

CLIENTS = 8
FRAMES = 25


@pytest.fixture
async def engine() -> AsyncIterator[PersonaPlexEngine]:
    made = build_engine(
        VoiceSettings(personaplex_model="tiny", personaplex_slots=CLIENTS, personaplex_padding_bonus=0.0)
    )
    await made.start()
    yield made
    await made.aclose()


@pytest.fixture
async def address(real_broker: Broker, engine: PersonaPlexEngine) -> AsyncIterator[str]:
    """The edge's address, with one voice worker behind it. No listener: this is about frames."""
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(running(twin(real_broker)))
        stopping = asyncio.Event()
        worker = VoiceWorker(broker, [engine], None, consumer="gpu", limits=WorkerLimits(step_s=0.05))
        task = asyncio.create_task(worker.run(stopping))
        settings = EdgeSettings(
            port=0, engines="personaplex", resume_s=0, default_language="en", max_per_user=20, new_per_minute=600
        )
        async with serving_edge(real_broker, settings) as address:
            yield address
        stopping.set()
        async with asyncio.timeout(20):
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def calling(http: aiohttp.ClientSession, address: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Call as soon as the worker has announced its slots; yields after the handshake."""
    async with asyncio.timeout(20):
        while True:
            socket = await http.ws_connect(f"{address}/api/chat?engine=personaplex&seed=3")
            first = await socket.receive()
            if first.type is aiohttp.WSMsgType.BINARY and first.data[:1] == b"\0":
                break
            await socket.close()
    try:
        yield socket
    finally:
        await socket.close()


async def hold(socket: aiohttp.ClientWebSocketResponse, n_frames: int, hz: float) -> float:
    """Send `n_frames` of a tone and return the loudness of what came back: as many frames."""
    encoder, muxer = OpusEncoder(), OggOpusMuxer(1)
    demuxer, decoder = OggOpusDemuxer(), OpusDecoder()
    at = np.arange(FRAME_SAMPLES) / 24_000
    tone = (0.3 * np.sin(2 * np.pi * hz * at)).astype(np.float32)
    await socket.send_bytes(b"\1" + muxer.head())
    for _ in range(n_frames):
        await socket.send_bytes(b"\1" + muxer.pages(encoder.encode(tone), FRAME_SAMPLES))
    heard: list[np.ndarray] = []
    async with asyncio.timeout(30):
        while sum(map(len, heard)) < n_frames * FRAME_SAMPLES:
            message = await socket.receive()
            assert message.type is aiohttp.WSMsgType.BINARY, message
            if message.data[:1] == b"\1":
                heard += [decoder.decode(packet) for packet in demuxer.feed(message.data[1:])]
    assert sum(map(len, heard)) == n_frames * FRAME_SAMPLES
    return float(np.sqrt(np.mean(np.concatenate(heard) ** 2)))


async def test_each_of_eight_callers_gets_as_many_frames_as_it_sent(address: str, engine: PersonaPlexEngine) -> None:
    async with aiohttp.ClientSession() as http, AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(calling(http, address)) for _ in range(CLIENTS)]
        assert engine._free == []
        loudness = await asyncio.gather(
            *(hold(socket, FRAMES, 200.0 + 50 * number) for number, socket in enumerate(sockets))
        )
        assert min(loudness) > 0.001
        # One caller vanishes without a word; the next one gets the place while the others talk on.
        connection = sockets[3]._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()
        async with asyncio.timeout(10):
            while not engine._free:
                await asyncio.sleep(0.01)  # looks again; nothing depends on how long this is
        newcomer = await stack.enter_async_context(calling(http, address))
        await hold(newcomer, 5, 300.0)
