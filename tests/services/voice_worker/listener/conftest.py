"""A listener with its surroundings: real sound and voice activity, a recogniser that answers what it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import soxr

from services.voice_worker.listener.listener import Listener
from services.voice_worker.listener.spec import ListenerSpec, ListenerTools
from services.voice_worker.listener.vad import Pcm, SileroPool
from services.voice_worker.media_thread import MediaThread
from services.voice_worker.signals import (
    Signal,
)
from services.voice_worker.speech.interfaces import RecognisedWord, Recognition
from shared.audio import FRAME_SAMPLES
from shared.audio.opus import OpusEncoder
from shared.clock import SystemClock
from shared.events import (
    Body,
)
from shared.wire import AudioFrame

CLIPS = Path(__file__).parents[3] / "fixtures" / "audio" / "en_human"
POOL = SileroPool()


def clip(number: int) -> tuple[Pcm, str]:
    """Return (24 kHz sound, its text) of a recording of a man reading."""
    about = json.loads((CLIPS / "manifest.json").read_text())[number]
    sound, rate = sf.read(CLIPS / about["file"], dtype="float32")
    return soxr.resample(sound, rate, 24_000).astype(np.float32), about["text"]


def silence(ms: int) -> Pcm:
    return (1e-4 * np.random.default_rng(ms).standard_normal(24 * ms)).astype(np.float32)


def entries(sound: Pcm, first_seq: int = 0) -> list[AudioFrame]:
    whole = np.pad(sound, (0, -len(sound) % FRAME_SAMPLES))
    with OpusEncoder() as encoder:
        return [
            AudioFrame(first_seq + i, FRAME_SAMPLES, encoder.encode(frame))
            for i, frame in enumerate(whole.reshape(-1, FRAME_SAMPLES))
        ]


class Scripted:
    """A recogniser that answers what it is told to; it keeps what it was asked."""

    def __init__(self, answer: Callable[[Pcm, bool], Recognition]) -> None:
        self.answer = answer
        self.asked: list[tuple[float, bool]] = []
        self.sounds: list[Pcm] = []
        self.running = 0
        self.most_running = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def start(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    async def transcribe(self, pcm: Pcm, *, language: str, partial: bool) -> Recognition:
        self.asked.append((len(pcm) / 16_000, partial))
        self.sounds.append(pcm.copy())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.may_answer.wait()
            return self.answer(pcm, partial)
        finally:
            self.running -= 1


class Predictor:
    def __init__(self, probability: float | Exception) -> None:
        self.probability = probability

    async def start(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    async def complete_probability(self, pcm16k: Pcm) -> float:
        if isinstance(self.probability, Exception):
            raise self.probability
        return self.probability


def saying(text: str) -> Callable[[Pcm, bool], Recognition]:
    """Return an answer whose words share the sound evenly."""

    def answer(pcm: Pcm, partial: bool) -> Recognition:
        words = text.split()
        each = len(pcm) / 16_000 / max(1, len(words))
        placed = tuple(RecognisedWord(word, i * each, (i + 1) * each, 0.9) for i, word in enumerate(words))
        return Recognition(text, placed, 0.8)

    return answer


class Bench:
    """A listener with its surroundings."""

    def __init__(self, listener: Listener, media: MediaThread, scripted: Scripted) -> None:
        self.listener = listener
        self.media = media
        self.scripted = scripted
        self.events: list[tuple[Body, str, int]] = []
        self.signals: list[Signal] = []
        self.seq = 0
        self.changed = asyncio.Event()

    def emit(self, body: Body, event_id: str, media_ms: int) -> None:
        self.events.append((body, event_id, media_ms))
        self.changed.set()

    async def until(self, kind: type[Any]) -> None:
        """Return when an event of this kind is there."""
        while not self.bodies(kind):
            self.changed.clear()
            await self.changed.wait()

    async def hear(self, sound: Pcm) -> None:
        """Feed sound frame by frame, letting everything that follows from a frame happen before the next."""
        for frame in entries(sound, self.seq):
            self.seq = frame.seq + 1
            self.listener.feed(frame)
            await self.media.drained()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    def bodies(self, kind: type[Any]) -> list[Any]:
        return [body for body, _, _ in self.events if isinstance(body, kind)]

    def signal_kinds(self) -> list[type[Signal]]:
        return [type(signal) for signal in self.signals]

    def kinds(self) -> list[str]:
        return [body.kind for body, _, _ in self.events]


@asynccontextmanager
async def bench(
    answer: Callable[[Pcm, bool], Recognition],
    *,
    hint: float | Exception | None = None,
    limit: int = 512,
    **facts: Any,
) -> AsyncIterator[Bench]:
    spec = ListenerSpec(language=facts.pop("language", "en"), **facts)
    media = MediaThread(asyncio.get_running_loop(), limit=limit)
    scripted = Scripted(answer)
    predictor = None if hint is None else Predictor(hint)
    tools = ListenerTools(media, POOL, scripted, predictor, SystemClock())
    holder: list[Bench] = []
    listener = Listener(
        spec,
        tools,
        lambda body, event_id, media_ms: holder[0].emit(body, event_id, media_ms),
        lambda signal: holder[0].signals.append(signal),
    )
    holder.append(Bench(listener, media, scripted))
    try:
        async with asyncio.TaskGroup() as tasks:
            await listener.start(tasks)
            yield holder[0]
            await listener.close()
    finally:
        await media.close()


class Lab:
    """What the tests of this folder work with."""

    bench = staticmethod(bench)
    clip = staticmethod(clip)
    silence = staticmethod(silence)
    entries = staticmethod(entries)
    saying = staticmethod(saying)
    Scripted = Scripted
    Predictor = Predictor
    pool = POOL


@pytest.fixture
def lab() -> type[Lab]:
    return Lab
