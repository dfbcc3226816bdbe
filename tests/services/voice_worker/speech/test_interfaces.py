"""What holds for every provider, run over all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from services.voice_worker.speech import providers
from services.voice_worker.speech.interfaces import Synthesizer, Transcriber
from services.voice_worker.speech.local import LocalOptions
from services.voice_worker.speech.openai_compatible import OpenAiOptions
from services.voice_worker.speech.providers import SpeechOptions
from shared.errors import SpeechError

pytestmark = [pytest.mark.models, pytest.mark.timeout(120)]


def options(url: str) -> SpeechOptions:
    return SpeechOptions(LocalOptions(languages=("en",), nice=0), OpenAiOptions(base_url=url, timeout_s=5.0))


@pytest.fixture(params=list(providers.TRANSCRIBERS))
async def transcriber(request: pytest.FixtureRequest, double: tuple[Any, str]) -> AsyncIterator[Transcriber]:
    made = providers.transcriber(request.param, options(double[1]))
    await made.start()
    yield made
    await made.aclose()


@pytest.fixture(params=list(providers.SYNTHESIZERS))
async def synthesizer(request: pytest.FixtureRequest, double: tuple[Any, str]) -> AsyncIterator[Synthesizer]:
    made = providers.synthesizer(request.param, options(double[1]))
    await made.start()
    yield made
    await made.aclose()


async def test_a_transcriber_keeps_its_contract(transcriber: Transcriber, clips: tuple) -> None:
    assert isinstance(transcriber, Transcriber)
    await transcriber.start()  # idempotent
    pcm = clips[1].pcm
    heard = await transcriber.transcribe(pcm, language="en", partial=False)
    assert heard.text
    assert heard.text == heard.text.strip()
    assert [word.text for word in heard.words] == heard.text.split()
    for word in heard.words:
        assert 0.0 <= word.start_s <= word.end_s <= len(pcm) / 16_000 + 0.05
        assert word.confidence is None or 0.0 <= word.confidence <= 1.0
    # Many at once, and one that is cancelled takes nothing from the others.
    calls = [asyncio.create_task(transcriber.transcribe(pcm, language="en", partial=False)) for _ in range(4)]
    await asyncio.sleep(0)
    calls[1].cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[1], asyncio.CancelledError)
    assert all(not isinstance(result, BaseException) for n, result in enumerate(results) if n != 1)
    await transcriber.aclose()
    await transcriber.aclose()


async def test_a_synthesizer_keeps_its_contract(synthesizer: Synthesizer) -> None:
    assert isinstance(synthesizer, Synthesizer)
    await synthesizer.start()
    voice = synthesizer.voices("en")[0]
    n_samples = 0
    async for pcm in synthesizer.synthesize("Hello there. How are you?", language="en", voice=voice, speed=1.0):
        assert pcm.dtype == np.float32
        assert pcm.ndim == 1
        assert len(pcm) > 0
        assert float(np.abs(pcm).max()) <= 1.0
        n_samples += len(pcm)
    assert n_samples > 12_000
    async with aclosing(synthesizer.synthesize("One. Two. Three.", language="en", voice="", speed=1.0)) as left:
        await anext(left)
    with pytest.raises(SpeechError, match="no voice"):
        await anext(synthesizer.synthesize("Hello", language="en", voice="nobody", speed=1.0))
    assert [pcm async for pcm in synthesizer.synthesize("", language="en", voice="", speed=1.0)] == []
    await synthesizer.aclose()
    await synthesizer.aclose()
