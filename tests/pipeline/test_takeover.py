"""A voice worker dies in the middle of a conversation: another goes on, and no word is lost or said twice.

Edge, broker, coach, listener and cascade are the real ones; recogniser and voice are doubles that never vary.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import numpy as np
import pytest

from services.command_line.wav import read_wav
from services.edge.settings import EdgeSettings
from services.voice_worker.worker import VoiceWorker
from shared.audio import FRAME_SAMPLES
from shared.broker import Broker
from shared.testing.brokers import running, twin
from tests.pipeline.serving import serving_edge
from tests.pipeline.test_in_process import SAID, SPEECH, Heard, Microphone, _coach, _read, _until, _voice

CLIP = read_wav(sorted(SPEECH.glob("*0880.wav"))[0])
SILENCE = np.zeros(FRAME_SAMPLES, np.float32)
LEASE_S = 0.3


class Voices:
    """Voice workers, one at a time, each with connections of its own."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._running: AsyncExitStack | None = None
        self._worker: VoiceWorker
        self._task: asyncio.Task[None]
        self._stopping: asyncio.Event
        self._n = 0

    async def start(self) -> None:
        self._n += 1
        self._running = AsyncExitStack()
        own = await self._running.enter_async_context(running(twin(self._broker)))
        self._worker = await _voice(own, self._running, consumer=f"voice{self._n}", lease_s=LEASE_S)
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._worker.run(self._stopping))

    async def stop(self) -> None:
        self._stopping.set()
        await self._task
        assert self._running is not None
        await self._running.aclose()

    async def die(self) -> None:
        """End without a word: nothing is handed over, nothing more is written."""
        assert self._running is not None
        self._task.cancel()
        for session in list(self._worker._sessions.values()):
            session._publisher.active = False
        await asyncio.gather(self._task, return_exceptions=True)
        for session in list(self._worker._sessions.values()):
            await session.close(lost=True)
        await self._running.aclose()


@asynccontextmanager
async def talking(broker: Broker) -> AsyncIterator[tuple[Microphone, Heard, Voices]]:
    async with AsyncExitStack() as stack:
        coach_broker = await stack.enter_async_context(running(twin(broker)))
        stopping = asyncio.Event()
        coach = asyncio.create_task(_coach(coach_broker).run(stopping))
        voices = Voices(broker)
        await voices.start()
        address = await stack.enter_async_context(
            serving_edge(broker, EdgeSettings(port=0, engines="cascade", idle_s=30, input_burst_s=600))
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        ws = await http.ws_connect(f"{address}/api/chat?events=1&language=en")
        heard = Heard()
        reader = asyncio.create_task(_read(ws, heard))
        async with asyncio.timeout(40):
            await _until(lambda: 0 in heard.kinds)
            yield Microphone(ws, heard), heard, voices
        await ws.send_bytes(b"\x04" + json.dumps({"type": "end"}).encode())
        await ws.close()
        await reader
        await voices.stop()
        stopping.set()
        await coach


def finals(heard: Heard, speaker: str) -> list[tuple[str, str]]:
    said = [body for body in heard.of("transcript") if body["final"] and body["speaker"] == speaker]
    return [(body["turn"], body["text"]) for body in said]


async def silent_until(microphone: Microphone, condition: object) -> None:
    while not condition():  # type: ignore[operator]
        await microphone.speak(SILENCE)


@pytest.mark.parametrize("at", [0.5, 0.9])
async def test_words_that_were_spoken_before_the_crash_are_in_the_transcript(real_broker: Broker, at: float) -> None:
    """Killed while the user speaks: the whole turn is heard again, once."""
    cut = int(len(CLIP) * at) // FRAME_SAMPLES * FRAME_SAMPLES
    async with talking(real_broker) as (microphone, heard, voices):
        await silent_until(microphone, lambda: any(body["turn"] == "h1" for body in heard.of("turn_ended")))
        await microphone.speak(CLIP[:cut])
        assert [body["turn"] for body in heard.of("turn_started") if body["speaker"] == "user"] == ["u1"]
        assert finals(heard, "user") == []
        await voices.die()
        await voices.start()
        await microphone.speak(CLIP[cut:])
        await silent_until(microphone, lambda: finals(heard, "user"))
        await silent_until(microphone, lambda: any(body["turn"] == "h2" for body in heard.of("turn_ended")))
    assert finals(heard, "user") == [("u1", SAID)]
    (message,) = heard.of("voice_to_coach")
    n_words, seconds = len(SAID.split()), len(CLIP) / 24_000
    assert message["timing"]["wordTimestamps"][-1]["endMs"] - message["timing"]["wordTimestamps"][0]["startMs"] > (
        seconds * 1000 * 0.8
    ), f"{n_words} words over the whole of what was said"


async def test_hugo_goes_on_in_the_middle_of_his_answer(real_broker: Broker) -> None:
    async with talking(real_broker) as (microphone, heard, voices):
        await silent_until(microphone, lambda: len(heard.of("spoken")) >= 2)
        answer = " ".join(body["responseText"] for body in heard.of("coach_to_voice"))
        before = "".join(body["text"] for body in heard.of("spoken")).split()
        assert len(before) < len(answer.split()), "it is in the middle"
        await voices.die()
        await voices.start()
        await silent_until(microphone, lambda: heard.of("turn_ended"))
    said = "".join(body["text"] for body in heard.of("spoken")).split()
    assert said == answer.split()
    assert finals(heard, "hugo") == [("h1", answer)]
    assert [body["turn"] for body in heard.of("turn_started")] == ["h1"]
    assert [body["reason"] for body in heard.of("turn_ended")] == ["complete"]
    states = [body["state"] for body in heard.of("engine_state")]
    assert states[-3:] == ["migrating", "resumed", "ready"]
