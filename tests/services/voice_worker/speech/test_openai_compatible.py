"""The OpenAI-compatible provider against a real HTTP server that speaks the protocol."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from services.voice_worker.speech.openai_compatible import OpenAiOptions, OpenAiSynthesizer, OpenAiTranscriber
from shared.errors import Overloaded, SpeechError


def options(url: str, timeout_s: float = 5.0) -> OpenAiOptions:
    return OpenAiOptions(base_url=url, api_key="k", timeout_s=timeout_s, voices=("ash", "nova"))


SECOND = np.zeros(16_000, np.float32)


async def test_words_come_with_their_times(double: tuple[Any, str]) -> None:
    behaviour, url = double
    transcriber = OpenAiTranscriber(options(url))
    heard = await transcriber.transcribe(SECOND, language="nl", partial=False)
    assert heard.text == "hello world"
    assert [(word.text, word.start_s, word.end_s) for word in heard.words] == [("hello", 0.1, 0.4), ("world", 0.5, 0.9)]
    assert behaviour.asked[0]["language"] == "nl"
    assert behaviour.asked[0]["seconds"] == "1.0"
    assert behaviour.asked[0]["key"] == "Bearer k"
    await transcriber.aclose()


async def test_a_server_without_word_times_is_asked_once_only(double: tuple[Any, str]) -> None:
    behaviour, url = double
    behaviour.verbose = False
    transcriber = OpenAiTranscriber(options(url))
    for _ in range(2):
        heard = await transcriber.transcribe(SECOND, language="en", partial=False)
        assert [word.text for word in heard.words] == ["hello", "world"]
    assert [asked["response_format"] for asked in behaviour.asked] == ["verbose_json", "json", "json"]
    await transcriber.aclose()


async def test_partials_take_the_cheap_form_and_silence_no_request(double: tuple[Any, str]) -> None:
    behaviour, url = double
    transcriber = OpenAiTranscriber(options(url))
    await transcriber.transcribe(SECOND, language="en", partial=True)
    assert (await transcriber.transcribe(SECOND[:0], language="en", partial=True)).text == ""
    assert [asked["response_format"] for asked in behaviour.asked] == ["json"]
    await transcriber.aclose()


async def test_speech_arrives_while_it_is_made(double: tuple[Any, str]) -> None:
    behaviour, url = double
    behaviour.stall = asyncio.Event()
    synthesizer = OpenAiSynthesizer(options(url))
    got = []
    async for pcm in synthesizer.synthesize("Hello.", language="en", voice="", speed=9.0):
        assert pcm.dtype == np.float32
        got.append(pcm)
        behaviour.stall.set()  # the rest is sent only once the first chunk was seen here
    assert np.array_equal((np.concatenate(got) * 32768).astype("<i2").tobytes(), behaviour.tone)
    assert behaviour.asked[0]["response_format"] == "pcm"
    assert behaviour.asked[0]["speed"] == "2.0"
    assert behaviour.asked[0]["voice"] == "ash"
    await synthesizer.aclose()


async def test_speech_can_be_left_early(double: tuple[Any, str]) -> None:
    behaviour, url = double
    behaviour.stall = asyncio.Event()
    synthesizer = OpenAiSynthesizer(options(url))
    async with aclosing(synthesizer.synthesize("Hello.", language="en", voice="nova", speed=1.0)) as chunks:
        await anext(chunks)
    behaviour.stall.set()
    await synthesizer.aclose()


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, SpeechError, "API key"),
        (404, SpeechError, "base URL"),
        (500, SpeechError, "500"),
        (429, Overloaded, "rate"),
    ],
)
async def test_refusals_say_what_to_do_and_not_what_was_said(
    double: tuple[Any, str], status: int, kind: type[Exception], words: str
) -> None:
    behaviour, url = double
    behaviour.status = status
    transcriber, synthesizer = OpenAiTranscriber(options(url)), OpenAiSynthesizer(options(url))
    with pytest.raises(kind, match=words) as caught:
        await transcriber.transcribe(SECOND, language="en", partial=False)
    assert "secret" not in str(caught.value)
    with pytest.raises(kind, match=words):
        await anext(synthesizer.synthesize("Hello.", language="en", voice="", speed=1.0))
    await transcriber.aclose()
    await synthesizer.aclose()


async def test_a_server_that_stalls_is_given_up(double: tuple[Any, str]) -> None:
    behaviour, url = double
    behaviour.stall = asyncio.Event()
    synthesizer = OpenAiSynthesizer(options(url, timeout_s=0.3))
    with pytest.raises(SpeechError):
        async for _ in synthesizer.synthesize("Hello.", language="en", voice="", speed=1.0):
            pass
    behaviour.stall.set()
    await synthesizer.aclose()


async def test_no_server_at_all() -> None:
    transcriber = OpenAiTranscriber(options("http://127.0.0.1:9/v1"))
    with pytest.raises(SpeechError, match="cannot be reached"):
        await transcriber.transcribe(SECOND, language="en", partial=True)
    await transcriber.aclose()


async def test_an_unknown_voice_is_answered_with_the_known_ones() -> None:
    synthesizer = OpenAiSynthesizer(options("http://127.0.0.1:9/v1"))
    with pytest.raises(SpeechError, match="ash, nova"):
        await anext(synthesizer.synthesize("Hello.", language="en", voice="joe", speed=1.0))
    await synthesizer.aclose()
