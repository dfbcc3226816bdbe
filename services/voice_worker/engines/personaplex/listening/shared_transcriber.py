"""One session's transcriber that costs no extra call: it reads what the engine's recogniser heard anyway.

Fed with frames as they come back from the model. Knows neither the model nor the listener.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from services.voice_worker.engines.personaplex.listening.hearing import HeardWord, Hearing, WordTimes
from services.voice_worker.speech.interfaces import RecognisedWord, Recognition

WAIT_BEYOND_DELAY_S: Final = 1.0
"""How much longer than the recogniser's delay a window's text is waited for: frames in flight, a busy model."""

MAX_FRAMES: Final = 4_096
"""Frames between coming in and being heard. More than that are not on their way any more."""


class SharedTranscriber:
    """A `WindowTranscriber`. `fed` may come from another thread, all else on the event loop.

    Media time begins at `start_frame`, in frames of 80 ms.
    """

    def __init__(self, hearing: Hearing, start_frame: int = 0) -> None:
        self._times = WordTimes(hearing.tokenizer.id_to_piece, hearing.config, start_frame)
        self._wait_s = hearing.config.audio_delay_s + WAIT_BEYOND_DELAY_S
        self._start_frame = start_frame
        self._frame = start_frame - 1
        self._coming: deque[int] = deque(maxlen=MAX_FRAMES)
        self._moved = asyncio.Event()

    @property
    def pause_probability(self) -> float:
        """How likely it is (0..1) that the user has stopped for a while."""
        return self._times.pause_probability

    def fed(self, index: int) -> None:
        """Frame `index` of the user's sound, counted from the start, goes to the model. An index may be left out."""
        self._coming.append(index)

    def heard(self, token: int, pause: float, before: Sequence[int] = ()) -> None:
        """Take in the text token (-1: not heard) of the next frame that was fed.

        `before` are tokens of silence that the model heard in addition while it waited for this frame.
        """
        self._frame = self._start_frame + self._coming.popleft() if self._coming else self._frame + 1
        for number, extra in enumerate(before):
            self._times.advance(self._frame + number, extra)
        self._times.advance(self._frame, token, pause)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def transcribe_window(self, start_ms: int, end_ms: int, *, partial: bool) -> Recognition:
        """Return the words that begin in a window of media time, once all are known; what is known if that takes long.

        A partial does not wait at all.
        """
        if not partial:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._wait_s):
                    while self._times.heard_until_ms < end_ms:
                        await self._moved.wait()
        words = self._times.words_between(start_ms, end_ms)
        return Recognition(
            " ".join(word.text for word in words), tuple(_relative(word, start_ms, end_ms) for word in words)
        )


def _relative(word: HeardWord, start_ms: int, end_ms: int) -> RecognisedWord:
    return RecognisedWord(word.text, (word.start_ms - start_ms) / 1000, (min(word.end_ms, end_ms) - start_ms) / 1000)
