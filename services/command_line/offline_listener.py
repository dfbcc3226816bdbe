"""What was said in two recorded voices: the voice worker's listener over each of them, on media time.

The customer is heard first, so that the seller's listener knows when somebody else has the floor. Each frame waits
until the recogniser is done with the ones before: a slow machine takes longer and hears the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from services.evaluator.recording.importing import Said
from services.voice_worker.listener.listener import Listener
from services.voice_worker.listener.spec import ListenerSettings, ListenerSpec, ListenerTools
from services.voice_worker.listener.vad import SileroPool
from services.voice_worker.media_thread import MediaThread
from services.voice_worker.speech import providers
from services.voice_worker.speech.interfaces import Recognition, Transcriber
from services.voice_worker.speech.local import LocalOptions
from services.voice_worker.speech.providers import SpeechOptions
from shared.audio import FRAME_MS, FRAME_SAMPLES
from shared.audio.opus import OpusEncoder
from shared.clock import SystemClock
from shared.events import (
    Backchannel,
    Body,
    Language,
    ProsodyMeasured,
    Transcript,
    TurnEnded,
    TurnStarted,
    VoiceToCoach,
)
from shared.wire import AudioFrame

Pcm = NDArray[np.float32]
Floor = Sequence[tuple[int, int]]
"""Stretches of media time (ms) in which the other one speaks."""

SETTINGS = ListenerSettings(partial_every_ms=10**9, recognition_timeout_s=300.0, close_timeout_s=600.0)
_TURNS_OF_THE_LOOP = 4
"""From a frame's result to the recogniser's call, and from its answer to the event."""


async def listen(
    voices: tuple[Pcm, Pcm], language: Language, locale: str = "", transcriber: Transcriber | None = None
) -> list[Said]:
    """Return what was said by (seller, customer), each 24 kHz and a whole number of frames. Raises SpeechError.

    Without a `transcriber` the local one of the language is started, and ended.
    """
    seller, customer = voices
    async with _started(transcriber, language) as recogniser, MediaThread(asyncio.get_running_loop()) as media:
        tools = ListenerTools(media, SileroPool(), recogniser, None, SystemClock())
        spec = ListenerSpec(language, locale, settings=SETTINGS)
        heard = await _hear(customer, spec, tools, recogniser, ())
        theirs = [said for each in heard if (said := as_customer(each)) is not None]
        floor = [(s.body.start_ms, s.body.end_ms) for s in theirs if isinstance(s.body, TurnEnded)]
        ours = await _hear(seller, spec, tools, recogniser, floor)
    return sorted([*ours, *theirs], key=lambda said: said.media_ms)


def as_customer(said: Said) -> Said | None:
    """Return what the customer's listener told, as Hugo's side; None for what only a user's turn has. Pure."""
    body: Body = said.body
    if isinstance(body, TurnStarted | TurnEnded | Transcript):
        return Said(replace(body, turn=body.turn.replace("u", "h", 1), speaker="hugo"), said.media_ms)
    if isinstance(body, Backchannel):
        return Said(replace(body, speaker="hugo"), said.media_ms)
    if isinstance(body, ProsodyMeasured | VoiceToCoach):
        return None
    return said


class _Waited:
    """A recogniser of which one can wait until nothing runs."""

    def __init__(self, inner: Transcriber) -> None:
        self._inner = inner
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self) -> None:
        await self._inner.start()

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def transcribe(self, pcm: Pcm, *, language: str, partial: bool) -> Recognition:
        self._running += 1
        self._idle.clear()
        try:
            return await self._inner.transcribe(pcm, language=language, partial=partial)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def settled(self) -> None:
        """Return when nothing runs, and what came of it has been taken in."""
        for _ in range(_TURNS_OF_THE_LOOP):
            await asyncio.sleep(0)
            await self._idle.wait()


@asynccontextmanager
async def _started(transcriber: Transcriber | None, language: Language) -> AsyncIterator[_Waited]:
    local = SpeechOptions(LocalOptions(languages=(language,)))
    recogniser = _Waited(transcriber or providers.transcriber("local", local))
    try:
        await recogniser.start()
        yield recogniser
    finally:
        await recogniser.aclose()


async def _hear(voice: Pcm, spec: ListenerSpec, tools: ListenerTools, recogniser: _Waited, floor: Floor) -> list[Said]:
    """Return what a listener tells of one voice."""
    said: list[Said] = []

    def emit(body: Body, event_id: str, media_ms: int) -> None:
        said.append(Said(body, media_ms))

    listener = Listener(spec, tools, emit, lambda signal: None)
    changes = sorted([(start, True) for start, _ in floor] + [(end, False) for _, end in floor])
    async with asyncio.TaskGroup() as tasks:
        await listener.start(tasks)
        with OpusEncoder() as encoder:
            for number, pcm in enumerate(voice.reshape(-1, FRAME_SAMPLES)):
                while changes and changes[0][0] <= number * FRAME_MS:
                    at_ms, speaking = changes.pop(0)
                    listener.set_hugo_speaking(speaking, at_ms)
                listener.feed(AudioFrame(number, FRAME_SAMPLES, encoder.encode(pcm)))
                await tools.media_thread.drained()
                await recogniser.settled()
        await listener.close()
    return said
