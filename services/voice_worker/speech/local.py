"""Speech on this machine: which host serves which language, and what to do when one is absent or dies.

Owns no process handling (`host_process`) and no model (`hosts`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from services.voice_worker.speech import clauses, frames, models
from services.voice_worker.speech.frames import Message
from services.voice_worker.speech.host_life import HostSpec
from services.voice_worker.speech.host_process import HostProcess
from services.voice_worker.speech.interfaces import Pcm, RecognisedWord, Recognition
from services.voice_worker.speech.words import spread
from shared.clock import Clock, SystemClock
from shared.errors import SpeechError, SpeechHostDied

MAX_AUDIO_S: Final = 120.0
RETRY_S: Final = 30.0
MOONSHINE: Final = HostSpec("stt_moonshine", models=("moonshine-tiny-en",), parallel=1)
WHISPER: Final = HostSpec("stt_whisper", models=("whisper-base",), threads=2, parallel=1)
PIPER: Final = HostSpec("tts_piper", models=("piper-joe",), threads=2, parallel=8)
KOKORO: Final = HostSpec("tts_kokoro", models=("kokoro",), threads=2, parallel=8)
ESPEAK: Final = HostSpec("tts_espeak", parallel=8)
TURN: Final = HostSpec("turn", models=("smart-turn",), parallel=1)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """Settings of the local providers. `languages` are those to be ready for at start; `threads` 0: as tuned."""

    models_dir: Path | None = None
    languages: tuple[str, ...] = ("en", "nl")
    english: str = "moonshine"
    dutch_voice: str = "auto"
    threads: int = 0
    nice: int = 5
    timeout_s: float = 20.0


class LocalHosts:
    """Starts hosts by need, each once, with their models in place."""

    def __init__(self, options: LocalOptions, clock: Clock | None = None) -> None:
        self.options = options
        self._models_dir = options.models_dir or models.default_models_dir()
        self._hosts: dict[str, HostProcess] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._faults: dict[str, tuple[float, SpeechError]] = {}
        self._clock = clock or SystemClock()

    async def get(self, spec: HostSpec) -> HostProcess:
        """Return the started host of `spec`. ModelMissing, ModelCorrupt, SpeechError when it cannot start.

        A start that failed is not tried again for RETRY_S: callers with another choice get on with it.
        """
        async with self._locks.setdefault(spec.module, asyncio.Lock()):
            host = self._hosts.get(spec.module)
            if host is not None:
                return host
            until, fault = self._faults.get(spec.module, (0.0, None))
            if fault is not None and self._clock.monotonic() < until:
                raise fault
            try:
                host = self._hosts[spec.module] = await self._started(spec)
            except SpeechError as error:
                self._faults[spec.module] = (self._clock.monotonic() + RETRY_S, error)
                raise
            return host

    async def _started(self, spec: HostSpec) -> HostProcess:
        try:
            await asyncio.to_thread(models.ensure, spec.models, self._models_dir)
        except OSError as error:
            raise SpeechError(f"models cannot be put into {self._models_dir}: {error.strerror}") from error
        tuned = replace(spec, nice=self.options.nice, threads=self.options.threads or spec.threads)
        host = HostProcess(tuned, self._models_dir)
        try:
            await host.start()
        except BaseException:
            await host.aclose()
            raise
        return host

    def started(self, spec: HostSpec) -> HostProcess | None:
        """Return the host of `spec` when it was started, else None."""
        return self._hosts.get(spec.module)

    async def aclose(self) -> None:
        """End all hosts."""
        hosts, self._hosts = list(self._hosts.values()), {}
        async with asyncio.TaskGroup() as group:
            for host in hosts:
                group.create_task(host.aclose())


class LocalTranscriber:
    """Moonshine for English, Whisper for the rest and for English where Moonshine is absent."""

    def __init__(self, options: LocalOptions | None = None) -> None:
        self._options = options or LocalOptions()
        self._hosts = LocalHosts(self._options)

    async def start(self) -> None:
        for language in self._options.languages:
            await self._host(language)

    async def transcribe(self, pcm: Pcm, *, language: str, partial: bool) -> Recognition:
        pcm = pcm[-int(MAX_AUDIO_S * 16_000) :]
        host = await self._host(language)
        answer = await host.request(
            "transcribe",
            {"pcm": frames.pcm_bytes(pcm), "language": language, "partial": partial},
            timeout_s=self._options.timeout_s,
            urgent=not partial,
        )
        return _recognition(answer, pcm)

    async def aclose(self) -> None:
        await self._hosts.aclose()

    async def _host(self, language: str) -> HostProcess:
        if language == "en" and self._options.english != "whisper":
            try:
                return await self._hosts.get(MOONSHINE)
            except SpeechError as error:
                log.warning("English is recognised by Whisper, which is slower: %s", error)
        return await self._hosts.get(WHISPER)


def _recognition(answer: Message, pcm: Pcm) -> Recognition:
    """Return a host's answer as a Recognition. SpeechError when it is not of its form."""
    try:
        text = str(answer["text"])
        words = answer["words"]
        confidence = None if answer["confidence"] is None else float(answer["confidence"])
        if words is None:
            return Recognition(text, spread(text, pcm), confidence)
        timed = tuple(RecognisedWord(str(w), float(start), float(end), float(p)) for w, start, end, p in words)
        return Recognition(text, timed, confidence)
    except (KeyError, TypeError, ValueError) as error:
        raise SpeechError(f"the recogniser's answer is not of its form: {error!r}") from error


@dataclass(frozen=True, slots=True)
class _Voice:
    spec: HostSpec
    name: str


ENGLISH_VOICES: Final = (_Voice(PIPER, "joe"), _Voice(ESPEAK, "espeak"))
DUTCH_VOICES: Final = (_Voice(KOKORO, "im_nicola"), _Voice(KOKORO, "if_sara"), _Voice(ESPEAK, "espeak"))
VOICES: Final = {"en": ENGLISH_VOICES, "nl": DUTCH_VOICES}
REAL_TIME: Final = 1.2  # above it the pauses between clauses annoy more than the plainer voice
FIRST_WORDS: Final = {"tts_piper": 6, "tts_kokoro": 4, "tts_espeak": 12}
NEXT_WORDS: Final = {"tts_piper": 18, "tts_kokoro": 9, "tts_espeak": 30}


class LocalSynthesizer:
    """Piper for English, Kokoro for Dutch, espeak-ng where one of them is absent, broken or slower than speech.

    When a host dies in mid-sentence, the sentence goes on in the same voice from the first clause that was not
    delivered, once the host is back; a clause on which it dies twice is spoken by the next voice of the language.
    """

    def __init__(self, options: LocalOptions | None = None) -> None:
        self._options = options or LocalOptions()
        self._hosts = LocalHosts(self._options)

    async def start(self) -> None:
        for language in self._options.languages:
            if language in VOICES:
                await self._first_that_works(self._candidates(language, ""))

    def voices(self, language: str) -> tuple[str, ...]:
        return tuple(voice.name for voice in VOICES.get(language, ()))

    async def synthesize(self, text: str, *, language: str, voice: str, speed: float) -> AsyncIterator[Pcm]:
        if len(text) > clauses.MAX_TEXT_CHARS:
            raise SpeechError(
                f"a text of {len(text)} characters exceeds {clauses.MAX_TEXT_CHARS}; send it in sentences"
            )
        candidates = self._candidates(language, voice)
        chosen, host = await self._first_that_works(candidates)
        limits = {"first_words": FIRST_WORDS[chosen.spec.module], "next_words": NEXT_WORDS[chosen.spec.module]}
        pieces = clauses.clauses(text, language=language, **limits)
        said = _Said()
        while said.clauses < len(pieces):
            fields: Message = {"language": language, "voice": chosen.name, "speed": min(2.0, max(0.5, speed))}
            before = said.clauses
            try:
                async with aclosing(self._speak(host, pieces, fields, said)) as chunks:
                    async for pcm in chunks:
                        yield pcm
                return
            except SpeechError as error:
                again = isinstance(error, SpeechHostDied) and (said.clauses > before or not said.retried)
                said.retried = said.clauses == before
                log.warning("the voice %s failed at clause %d of %d", chosen.name, said.clauses + 1, len(pieces))
                if not again:
                    candidates = tuple(entry for entry in candidates if entry.spec is not chosen.spec)
                    chosen, host = await self._first_that_works(candidates, error)

    async def aclose(self) -> None:
        await self._hosts.aclose()

    async def _speak(
        self, host: HostProcess, pieces: tuple[str, ...], fields: Message, said: _Said
    ) -> AsyncGenerator[Pcm, None]:
        """Yield the clauses that were not yet delivered, and count each as it goes out."""
        rest = {**fields, "clauses": list(pieces[said.clauses :])}
        async with aclosing(host.stream("synthesize", rest, timeout_s=self._options.timeout_s)) as chunks:
            async for chunk in chunks:
                pcm = frames.pcm_array(chunk.get("pcm"))
                said.clauses += 1
                if len(pcm):
                    yield pcm

    def _candidates(self, language: str, voice: str) -> tuple[_Voice, ...]:
        """Return the voices to try in order, the wanted one first. SpeechError for an unknown language or voice."""
        known = VOICES.get(language, ())
        if not known:
            raise SpeechError(f"no local voice speaks {language!r}; local voices: {', '.join(VOICES)}")
        if language == "nl" and self._options.dutch_voice not in ("auto", "") and not voice:
            voice = self._options.dutch_voice
        if not voice:
            return known
        wanted = tuple(entry for entry in known if entry.name == voice)
        if not wanted:
            raise SpeechError(f"no voice {voice!r} for {language!r}; voices: {', '.join(self.voices(language))}")
        return wanted + tuple(entry for entry in known if entry.spec is not wanted[0].spec)

    async def _first_that_works(
        self, candidates: tuple[_Voice, ...], fault: SpeechError | None = None
    ) -> tuple[_Voice, HostProcess]:
        """Return the first voice whose host runs, and faster than speech where a faster one runs too.

        Raises `fault`, or the first reason met, when none runs.
        """
        slow: tuple[_Voice, HostProcess] | None = None
        for voice in candidates:
            try:
                host = await self._hosts.get(voice.spec)
            except SpeechError as error:
                fault = fault or error
                continue
            if float(host.info.get("real_time_factor", 0.0)) <= REAL_TIME:
                return voice, host
            slow = slow or (voice, host)
        if slow is not None:
            return slow
        raise fault or SpeechError("no voice was given")


@dataclass(slots=True)
class _Said:
    """How much of a text a listener has. A clause is one chunk, so after a death nothing is said twice."""

    clauses: int = 0
    retried: bool = False


class LocalTurnPredictor:
    """smart-turn v3.2."""

    def __init__(self, options: LocalOptions | None = None) -> None:
        self._options = options or LocalOptions()
        self._hosts = LocalHosts(self._options)

    async def start(self) -> None:
        await self._hosts.get(TURN)

    async def complete_probability(self, pcm16k: Pcm) -> float:
        host = await self._hosts.get(TURN)
        answer = await host.request(
            "complete", {"pcm": frames.pcm_bytes(pcm16k[-8 * 16_000 :])}, timeout_s=self._options.timeout_s
        )
        return float(answer["probability"])

    async def aclose(self) -> None:
        await self._hosts.aclose()
