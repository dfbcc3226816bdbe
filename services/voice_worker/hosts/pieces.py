"""Cuts long audio where it is quiet. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from services.voice_worker.speech.interfaces import TRANSCRIBE_HZ, Pcm

FRAME = TRANSCRIBE_HZ // 50


def pieces(pcm: Pcm, max_s: float) -> Iterator[Pcm]:
    """Yield `pcm` (16 kHz) in pieces of at most `max_s`, cut at the quietest 20 ms of the second half of each."""
    limit = int(max_s * TRANSCRIBE_HZ)
    while len(pcm) > limit:
        window = pcm[limit // 2 : limit]
        energy = np.square(window[: len(window) // FRAME * FRAME].reshape(-1, FRAME)).sum(axis=1)
        cut = limit // 2 + int(energy.argmin()) * FRAME + FRAME // 2
        yield pcm[:cut]
        pcm = pcm[cut:]
    yield pcm
