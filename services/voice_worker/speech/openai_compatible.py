"""Speech through any server with OpenAI's `/v1/audio/transcriptions` and `/v1/audio/speech`. Owns that HTTP only."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import openai
from openai import AsyncOpenAI

from services.voice_worker.speech.interfaces import (
    TRANSCRIBE_HZ,
    Pcm,
    RecognisedWord,
    Recognition,
)
from services.voice_worker.speech.words import spread
from shared.errors import Overloaded, SpeechError

CHUNK_BYTES: Final = 9_600  # 200 ms of 24 kHz 16-bit
VOICES: Final = ("ash", "alloy", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse")


@dataclass(frozen=True, slots=True)
class OpenAiOptions:
    """Where the server is and which models it has. `voices` are offered for each language; the first is the default.

    `word_times` asks for times of words (`verbose_json`); a server that refuses that is not asked again.
    """

    base_url: str | None = None
    api_key: str = ""
    transcribe_model: str = "whisper-1"
    speech_model: str = "gpt-4o-mini-tts"
    voices: tuple[str, ...] = VOICES
    word_times: bool = True
    timeout_s: float = 15.0


def _client(options: OpenAiOptions) -> AsyncOpenAI:
    # A server of one's own often wants no key; the library wants one that is not empty.
    return AsyncOpenAI(
        base_url=options.base_url, api_key=options.api_key or "none", timeout=options.timeout_s, max_retries=0
    )


class OpenAiTranscriber:
    """Speech to text over HTTP, one request a call."""

    def __init__(self, options: OpenAiOptions) -> None:
        self._options = options
        self._client = _client(options)
        self._word_times = options.word_times

    async def start(self) -> None:
        """Nothing to load: the server answers when it is asked."""

    async def transcribe(self, pcm: Pcm, *, language: str, partial: bool) -> Recognition:
        if not len(pcm):
            return Recognition("")
        wav = wav_bytes(pcm)
        if self._word_times and not partial:
            try:
                return await self._verbose(wav, language, pcm)
            except openai.BadRequestError:
                self._word_times = False  # this model has no word times: go on without
        with _mapped("transcription"):
            answer = await self._client.audio.transcriptions.create(
                file=("speech.wav", wav, "audio/wav"),
                model=self._options.transcribe_model,
                language=language,
                response_format="json",
                temperature=0.0,
            )
        text = answer.text.strip()
        return Recognition(text, spread(text, pcm))

    async def _verbose(self, wav: bytes, language: str, pcm: Pcm) -> Recognition:
        with _mapped("transcription", let_through=openai.BadRequestError):
            answer = await self._client.audio.transcriptions.create(
                file=("speech.wav", wav, "audio/wav"),
                model=self._options.transcribe_model,
                language=language,
                response_format="verbose_json",
                timestamp_granularities=["word"],
                temperature=0.0,
            )
        text = answer.text.strip()
        if not answer.words:
            return Recognition(text, spread(text, pcm))
        words = tuple(RecognisedWord(word.word.strip(), word.start, word.end) for word in answer.words)
        return Recognition(text, words)

    async def aclose(self) -> None:
        await self._client.close()


class OpenAiSynthesizer:
    """Text to speech over HTTP; audio is handed on as it arrives."""

    def __init__(self, options: OpenAiOptions) -> None:
        self._options = options
        self._client = _client(options)

    async def start(self) -> None:
        """Nothing to load: the server answers when it is asked."""

    def voices(self, language: str) -> tuple[str, ...]:
        return self._options.voices if len(language) in (2, 3) else ()

    async def synthesize(self, text: str, *, language: str, voice: str, speed: float) -> AsyncIterator[Pcm]:
        chosen = voice or self._options.voices[0]
        if chosen not in self.voices(language):
            raise SpeechError(f"no voice {chosen!r} for {language!r}; voices: {', '.join(self.voices(language))}")
        if not text.strip():
            return
        with _mapped("speech"):
            async with self._client.audio.speech.with_streaming_response.create(
                input=text,
                model=self._options.speech_model,
                voice=chosen,
                response_format="pcm",
                speed=min(2.0, max(0.5, speed)),
            ) as response:
                async for pcm in whole_samples(response.iter_bytes(CHUNK_BYTES)):
                    yield pcm

    async def aclose(self) -> None:
        await self._client.close()


async def whole_samples(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Pcm, None]:
    """Yield 16-bit little-endian bytes, cut anywhere, as float32 of shape [n], n >= 1. A last odd byte is dropped."""
    held = b""
    async for chunk in chunks:
        held += chunk
        whole = len(held) // 2 * 2
        if whole:
            yield np.frombuffer(held[:whole], dtype="<i2").astype(np.float32) / np.float32(32768.0)
            held = held[whole:]


def wav_bytes(pcm: Pcm) -> bytes:
    """Return `pcm` (16 kHz, [n]) as a 16-bit mono WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sink:
        sink.setnchannels(1)
        sink.setsampwidth(2)
        sink.setframerate(TRANSCRIBE_HZ)
        sink.writeframes((np.clip(pcm, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
    return buffer.getvalue()


@contextmanager
def _mapped(what: str, let_through: type[Exception] | tuple[type[Any], ...] = ()) -> Iterator[None]:
    """Turn the library's errors into ours. Messages of the server are left out: they may quote what was said."""
    try:
        yield
    except openai.APIError as error:
        if let_through and isinstance(error, let_through):
            raise
        raise _error(what, error) from error
    except Exception as error:
        # While a body streams, errors of the HTTP library come through bare: httpx's or, in newer ones, httpx2's.
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2"):
            raise
        raise SpeechError(f"the {what} server stopped answering ({type(error).__name__}); try again") from error


def _error(what: str, error: openai.APIError) -> SpeechError | Overloaded:
    if isinstance(error, openai.RateLimitError):
        return Overloaded(f"the {what} server limits the rate; raise the limit or use local speech", 5.0)
    if isinstance(error, openai.APITimeoutError):
        return SpeechError(f"the {what} server did not answer in time; check its base URL and the time limit")
    if isinstance(error, openai.APIStatusError):
        hint = "check the API key" if error.status_code in (401, 403) else "check the model's name and the base URL"
        return SpeechError(f"the {what} server answered {error.status_code}; {hint}")
    return SpeechError(f"the {what} server cannot be reached ({type(error).__name__}); check the base URL")
