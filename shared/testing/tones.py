"""A synthesizer without a model: each word is a short tone. Deterministic, fast, and audible to a detector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
from numpy.typing import NDArray

from shared.errors import SpeechError

WORD_SAMPLES = 4_800
"""Each word lasts 200 ms at 24 kHz."""


class ToneSynthesizer:
    """Speech provider double. `gate` holds synthesis back until it is set; texts in `failing` raise SpeechError."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failing: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()

    async def start(self) -> None:
        """Nothing to load."""

    def voices(self, language: str) -> tuple[str, ...]:
        return {"en": ("tone", "tone2"), "nl": ("toon",)}.get(language, ())

    async def synthesize(
        self, text: str, *, language: str, voice: str, speed: float
    ) -> AsyncIterator[NDArray[np.float32]]:
        self.asked.append(text)
        await self.gate.wait()
        if text in self.failing:
            raise SpeechError("this text fails")
        for index, _ in enumerate(text.split()):
            n = int(WORD_SAMPLES / speed)
            hz = 200 + 40 * (index % 5)
            yield (0.3 * np.sin(2 * np.pi * hz * np.arange(n) / 24_000)).astype(np.float32)
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Nothing to free."""
