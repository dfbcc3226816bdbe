"""What a speech provider is. Owns the types and protocols; knows no provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Pcm: TypeAlias = NDArray[np.float32]

TRANSCRIBE_HZ = 16_000
SYNTHESIS_HZ = 24_000


@dataclass(frozen=True, slots=True)
class RecognisedWord:
    """One word as it is written, with its place in the audio that was given (seconds from its first sample).

    `confidence` is 0..1 where the recogniser aligned this word with the sound; None where the times are estimated
    from the voiced parts of the audio and the length of the words.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a recogniser heard. Empty text and no words: it heard no speech. `confidence` is 0..1, or None: unknown."""

    text: str
    words: tuple[RecognisedWord, ...] = ()
    confidence: float | None = None


@runtime_checkable
class Transcriber(Protocol):
    """Speech to text. Safe to call from many sessions at once; cancelling a call frees its place."""

    async def start(self) -> None:
        """Load what is needed, so that the first call is as fast as the next.

        Raises ModelMissing, ModelCorrupt, or another SpeechError; then nothing is left running after `aclose`.
        """
        ...

    async def transcribe(self, pcm: Pcm, *, language: str, partial: bool) -> Recognition:
        """Return the words in `pcm` (shape [n], float32 in -1..1, 16 kHz mono).

        `language` is an ISO 639-1 code and is never guessed. `partial` asks for the cheapest path: the text may be
        worse and the words may be absent. Raises SpeechError (failed or timed out), SpeechHostDied (died twice on
        this audio), Overloaded (too many calls are waiting; partial calls are refused first).
        """
        ...

    async def aclose(self) -> None:
        """Free everything. Calls that are under way fail with SpeechError. Idempotent."""
        ...


@runtime_checkable
class WindowTranscriber(Protocol):
    """Speech to text that hears one session's sound by itself, and is asked by media time only."""

    async def transcribe_window(self, start_ms: int, end_ms: int, *, partial: bool) -> Recognition:
        """Return what was said from `start_ms` to `end_ms` of media time; word times count from `start_ms`.

        Waits, for a bounded time, until the words up to `end_ms` are known; `partial` takes what is known now.
        Raises SpeechError.
        """
        ...


@runtime_checkable
class Synthesizer(Protocol):
    """Text to speech. Safe to call from many sessions at once."""

    async def start(self) -> None:
        """Load what is needed, so that the first call is as fast as the next.

        Raises ModelMissing, ModelCorrupt, or another SpeechError; then nothing is left running after `aclose`.
        """
        ...

    def voices(self, language: str) -> tuple[str, ...]:
        """Voices for an ISO 639-1 language, best first. Empty: this provider does not speak it."""
        ...

    def synthesize(self, text: str, *, language: str, voice: str, speed: float) -> AsyncIterator[Pcm]:
        """Yield `text` as speech: arrays of shape [n] (n >= 1), float32 in -1..1, 24 kHz mono, first one early.

        An empty `voice` means the best one of the language. `speed` 1.0 is the voice's own pace, 0.5..2.0.
        Closing the iterator (`aclose`, or cancelling its task) stops the work. Raises SpeechError, SpeechHostDied,
        Overloaded; what was yielded before an error is good speech.
        """
        ...

    async def aclose(self) -> None:
        """Free everything. Calls that are under way fail with SpeechError. Idempotent."""
        ...


@runtime_checkable
class TurnPredictor(Protocol):
    """Judges by the sound alone whether a speaker has finished."""

    async def start(self) -> None:
        """Load what is needed. ModelMissing, ModelCorrupt, SpeechError."""
        ...

    async def complete_probability(self, pcm16k: Pcm) -> float:
        """Probability 0..1 that the turn in `pcm16k` (shape [n], 16 kHz mono; the last 8 s count) is complete.

        A hint, to be used together with silence: it errs towards "complete". Raises SpeechError, Overloaded.
        """
        ...

    async def aclose(self) -> None:
        """Free everything. Idempotent."""
        ...
