"""The OpenAI-compatible provider against a real HTTP server that speaks the protocol."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.voice_worker.speech.openai_compatible import OpenAiOptions, OpenAiSynthesizer, OpenAiTranscriber
from shared.errors import Overloaded, SpeechError

TONE = (np.sin(np.arange(24_000) * 0.1) * 8_000).astype("<i2").tobytes()


@dataclass
class Double:
    """What the server was asked, and how it shall answer."""

    asked: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    verbose: bool = True
    stall: asyncio.Event | None = None

    async def transcriptions(self, request: web.Request) -> web.Response:
        form = await request.post()
        upload = form["file"]
        assert isinstance(upload, web.FileField)
        with wave.open(io.BytesIO(upload.file.read())) as sound:
            seconds = sound.getnframes() / sound.getframerate()
        asked = {key: str(value) for key, value in form.items() if key != "file"}
        self.asked.append({**asked, "seconds": str(seconds), "key": request.headers["Authorization"]})
        if self.status != 200:
            return web.json_response({"error": {"message": "you said: a secret"}}, status=self.status)
        if form["response_format"] != "verbose_json":
            return web.json_response({"text": " hello world "})
        if not self.verbose:
            return web.json_response({"error": {"message": "response_format verbose_json"}}, status=400)
        words = [{"word": "hello", "start": 0.1, "end": 0.4}, {"word": " world", "start": 0.5, "end": 0.9}]
        return web.json_response(
            {"text": "hello world", "language": "english", "duration": seconds, "words": words, "segments": []}
        )

    async def speech(self, request: web.Request) -> web.StreamResponse:
        self.asked.append({key: str(value) for key, value in (await request.json()).items()})
        if self.status != 200:
            return web.json_response({"error": {"message": "no"}}, status=self.status)
        response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        await response.prepare(request)
        await response.write(TONE[:9_601])  # in the middle of a sample
        if self.stall is not None:
            await self.stall.wait()
        await response.write(TONE[9_601:])
        return response


@pytest.fixture
async def double() -> AsyncIterator[tuple[Double, str]]:
    behaviour = Double()
    app = web.Application(client_max_size=8_000_000)
    app.router.add_post("/v1/audio/transcriptions", behaviour.transcriptions)
    app.router.add_post("/v1/audio/speech", behaviour.speech)
    async with TestServer(app) as server:
        yield behaviour, str(server.make_url("/v1"))


def options(url: str, timeout_s: float = 5.0) -> OpenAiOptions:
    return OpenAiOptions(base_url=url, api_key="k", timeout_s=timeout_s, voices=("ash", "nova"))


SECOND = np.zeros(16_000, np.float32)


async def test_words_come_with_their_times(double: tuple[Double, str]) -> None:
    behaviour, url = double
    transcriber = OpenAiTranscriber(options(url))
    heard = await transcriber.transcribe(SECOND, language="nl", partial=False)
    assert heard.text == "hello world"
    assert [(word.text, word.start_s, word.end_s) for word in heard.words] == [("hello", 0.1, 0.4), ("world", 0.5, 0.9)]
    assert behaviour.asked[0]["language"] == "nl"
    assert behaviour.asked[0]["seconds"] == "1.0"
    assert behaviour.asked[0]["key"] == "Bearer k"
    await transcriber.aclose()


async def test_a_server_without_word_times_is_asked_once_only(double: tuple[Double, str]) -> None:
    behaviour, url = double
    behaviour.verbose = False
    transcriber = OpenAiTranscriber(options(url))
    for _ in range(2):
        heard = await transcriber.transcribe(SECOND, language="en", partial=False)
        assert [word.text for word in heard.words] == ["hello", "world"]
    assert [asked["response_format"] for asked in behaviour.asked] == ["verbose_json", "json", "json"]
    await transcriber.aclose()


async def test_partials_take_the_cheap_form_and_silence_no_request(double: tuple[Double, str]) -> None:
    behaviour, url = double
    transcriber = OpenAiTranscriber(options(url))
    await transcriber.transcribe(SECOND, language="en", partial=True)
    assert (await transcriber.transcribe(SECOND[:0], language="en", partial=True)).text == ""
    assert [asked["response_format"] for asked in behaviour.asked] == ["json"]
    await transcriber.aclose()


async def test_speech_arrives_while_it_is_made(double: tuple[Double, str]) -> None:
    behaviour, url = double
    behaviour.stall = asyncio.Event()
    synthesizer = OpenAiSynthesizer(options(url))
    got = []
    async for pcm in synthesizer.synthesize("Hello.", language="en", voice="", speed=9.0):
        assert pcm.dtype == np.float32
        got.append(pcm)
        behaviour.stall.set()  # the rest is sent only once the first chunk was seen here
    assert np.array_equal((np.concatenate(got) * 32768).astype("<i2").tobytes(), TONE)
    assert behaviour.asked[0]["response_format"] == "pcm"
    assert behaviour.asked[0]["speed"] == "2.0"
    assert behaviour.asked[0]["voice"] == "ash"
    await synthesizer.aclose()


async def test_speech_can_be_left_early(double: tuple[Double, str]) -> None:
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
    double: tuple[Double, str], status: int, kind: type[Exception], words: str
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


async def test_a_server_that_stalls_is_given_up(double: tuple[Double, str]) -> None:
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
