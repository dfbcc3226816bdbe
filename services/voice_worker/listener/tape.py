"""The last minute of 16 kHz sound by media time. Pure; bounded."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.voice_worker.listener.vad import LISTEN_HZ

Pcm = NDArray[np.float32]

_PER_MS: Final = LISTEN_HZ // 1000
_FIRST_CAPACITY: Final = 8 * LISTEN_HZ


class Tape:
    """Grows at its end; `forget_before` frees its start. Slices are views that stay valid and never change."""

    def __init__(self, start_ms: int, limit_ms: int) -> None:
        """Beyond `limit_ms` of sound the oldest tenth is forgotten."""
        self._start_ms = start_ms
        self._limit = limit_ms * _PER_MS
        self._data = np.empty(min(_FIRST_CAPACITY, self._limit), dtype=np.float32)
        self._used = 0

    @property
    def start_ms(self) -> int:
        """Media time of the oldest sound that is kept."""
        return self._start_ms

    @property
    def end_ms(self) -> int:
        return self._start_ms + self._used // _PER_MS

    def append(self, pcm: Pcm) -> None:
        """Add the sound that follows."""
        if self._used + len(pcm) > self._limit:
            self.forget_before(self._start_ms + self._limit // 10 // _PER_MS)
        if self._used + len(pcm) > len(self._data):
            self._move(0, max(2 * len(self._data), self._used + len(pcm)))
        self._data[self._used : self._used + len(pcm)] = pcm
        self._used += len(pcm)

    def restart(self, start_ms: int) -> None:
        """Drop everything; the next sound begins at `start_ms`."""
        self._start_ms = start_ms
        self._data = np.empty(len(self._data), dtype=np.float32)
        self._used = 0

    def forget_before(self, ms: int) -> None:
        """Drop what is older than `ms`. The rest moves to new memory, so that earlier slices keep theirs."""
        first = min(self._used, max(0, (ms - self._start_ms) * _PER_MS))
        if first == 0:
            return
        self._move(first, max(_FIRST_CAPACITY, 2 * (self._used - first)))
        self._start_ms += first // _PER_MS

    def since(self, ms: int, until_ms: int | None = None) -> tuple[int, Pcm]:
        """Return (its true start in media ms, sound from `ms` to `until_ms`, or to the end), read-only."""
        start = max(ms, self._start_ms)
        first = min(self._used, (start - self._start_ms) * _PER_MS)
        last = self._used if until_ms is None else min(self._used, max(first, (until_ms - self._start_ms) * _PER_MS))
        view = self._data[first:last]
        view.flags.writeable = False
        return start, view

    def _move(self, first: int, capacity: int) -> None:
        data = np.empty(capacity, dtype=np.float32)
        data[: self._used - first] = self._data[first : self._used]
        self._data = data
        self._used -= first
