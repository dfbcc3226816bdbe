"""A call through edge, broker and echo engine is archived at its end: both tracks are what was sent, byte by byte."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import numpy as np

from services.edge.settings import EdgeSettings
from services.evaluator.evaluation import scorecard_bytes
from services.evaluator.jobs import JobContext, final_scorecard
from services.evaluator.recording.reader import read_recording
from services.evaluator.recording.store import RecordingStore
from services.evaluator.recording_job import archive_recording
from services.voice_worker.engines.echo import EchoEngine
from services.voice_worker.worker import VoiceWorker, WorkerLimits
from shared.audio import FRAME_SAMPLES
from shared.audio.ogg import OggOpusMuxer
from shared.audio.opus import OpusEncoder, Pcm
from shared.broker import Broker
from shared.coaching.detector import default_detector
from shared.ended_sessions import EndedSessions
from shared.events import ScorecardReady
from shared.retention import Retention
from shared.streams import ENDED_DUE_KEY, ENDED_KEY
from shared.testing.brokers import running, twin
from tests.pipeline.serving import serving_edge
from tests.pipeline.test_in_process import Heard, _evaluator, _read, _until

N_FRAMES = 30
LIMIT_S = 30


async def test_an_echoed_call_is_archived_byte_by_byte(broker: Broker, tmp_path: Path) -> None:
    store = RecordingStore(str(tmp_path))
    sound = tone()
    sent, session_id = await call(broker, sound)
    job = JobContext(broker.client, default_detector(), broker.n_shards, Retention(60, 20), 3, recordings=store)
    assert await final_scorecard({"job": job, "job_try": 3}, session_id) == "equal"
    ended = EndedSessions(broker.client)
    await broker.client.zadd(ENDED_DUE_KEY, {session_id: 0})  # the wait of 4 s is over
    (due,) = await ended.claim(10)
    assert await archive_recording({"job": job}, due.session_id, due.age_ms, due.tries) == "archived"
    assert await broker.client.zcard(ENDED_KEY) == 0

    recording = read_recording(store, session_id)
    assert recording.packets["input"] == recording.packets["output"] == tuple(sent)
    assert recording.manifest.left_out == ()
    assert {track.n_samples for track in recording.manifest.tracks.values()} == {N_FRAMES * FRAME_SAMPLES}
    for side in ("input", "output"):
        heard = recording.track(side)
        assert heard is not None
        assert np.corrcoef(heard[156:], sound[:-156])[0, 1] > 0.95  # 156 samples: the codec's look-ahead
    live = next(event.body for event in recording.events if isinstance(event.body, ScorecardReady))
    assert recording.scorecard == scorecard_bytes(recording.events)
    assert json.loads(recording.scorecard) == live.scorecard


async def call(broker: Broker, sound: Pcm) -> tuple[list[bytes], str]:
    """Hold a call that gives all its consent; return the packets that were sent, and the session's id."""
    stopping = asyncio.Event()
    async with running(twin(broker)) as voices, running(twin(broker)) as evaluators:
        worker = VoiceWorker(voices, [EchoEngine(2)], None, consumer="voice", limits=WorkerLimits(1.5))
        served = [
            asyncio.create_task(worker.run(stopping)),
            asyncio.create_task(_evaluator(evaluators).run(stopping)),
        ]
        settings = EdgeSettings(port=0, engines="echo", input_burst_s=600)
        async with serving_edge(broker, settings) as address, asyncio.timeout(LIMIT_S):
            heard = Heard()
            sent = await _talk(address, sound, heard)
        stopping.set()
        await asyncio.gather(*served)
    return sent, next(event["sessionId"] for event in heard.events if "sessionId" in event)


async def _talk(address: str, sound: Pcm, heard: Heard) -> list[bytes]:
    consent = "consent_store_audio=1&consent_store_transcript=1&consent_emotion=1"
    sent: list[bytes] = []
    muxer = OggOpusMuxer(1)
    url = f"{address}/api/chat?events=1&language=en&engine=echo&{consent}"
    async with aiohttp.ClientSession() as web, web.ws_connect(url) as ws:
        reader = asyncio.create_task(_read(ws, heard))
        await _until(lambda: 0 in heard.kinds)
        await ws.send_bytes(b"\x01" + muxer.head())
        with OpusEncoder() as encoder:
            for part in sound.reshape(-1, FRAME_SAMPLES):
                packets = encoder.encode(part)
                sent += packets
                await ws.send_bytes(b"\x01" + muxer.pages(packets, FRAME_SAMPLES))
        await _until(lambda: heard.n_samples >= len(sound))
        await ws.send_bytes(b"\x04" + json.dumps({"type": "end"}).encode())
        await _until(lambda: heard.of("scorecard"))
        await ws.close()
        await reader
    return sent


def tone() -> Pcm:
    """Return a tone that rises, so that each place in it sounds different."""
    t = np.arange(N_FRAMES * FRAME_SAMPLES) / 24_000
    return (0.4 * np.sin(2 * np.pi * (200 + 150 * t) * t)).astype(np.float32)
