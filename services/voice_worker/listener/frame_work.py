"""The sound work on one session's frames: decode, resample, voice activity, pitch. Runs on the media thread only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.voice_worker.listener.reframer import Decoder, Reframed, Reframer, ReframerCounts
from services.voice_worker.listener.vad import WINDOW_MS, WINDOW_SAMPLES, ListenResampler, VoiceActivity
from shared.audio import FRAME_MS
from shared.audio.pitch import Hop, PitchTracker
from shared.wire import AudioFrame

Pcm = NDArray[np.float32]

PITCH_FROM: Final = 0.3
"""Probability of speech from which pitch is worth its cost (a half of the frame's work)."""


@dataclass(frozen=True, slots=True)
class Window:
    """32 ms of 16 kHz sound from `start_ms` of media time, and what it is like."""

    start_ms: int
    probability: float
    pcm: Pcm
    hops: tuple[Hop, ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """What one stream entry gave. `media_ms`: the sound is known up to here.

    `jumped`: media time went on over a loss too long to fill, so `windows` do not join those before.
    """

    media_ms: int
    windows: tuple[Window, ...]
    jumped: bool = False


class FrameWork:
    """Turns entries into windows. Holds the codec, resampler, voice activity and pitch state of one session."""

    def __init__(self, decoder: Decoder, activity: VoiceActivity, start_ms: int) -> None:
        """`start_ms`: media time of the first frame (a takeover goes on in the middle)."""
        self._reframer = Reframer(decoder, start_ms // FRAME_MS)
        self._activity = activity
        self._index = start_ms // FRAME_MS
        self._restart(self._index)

    @property
    def counts(self) -> ReframerCounts:
        return self._reframer.counts

    def process(self, entry: AudioFrame) -> Heard:
        """Return the windows that `entry` completes."""
        windows: list[Window] = []
        jumped = False
        for frame in self._reframer.push(entry):
            if frame.index != self._index:
                self._activity.reset()
                self._restart(frame.index)
                windows.clear()
                jumped = True
            self._index = frame.index + 1
            windows += self._listen(frame)
        return Heard(self._index * FRAME_MS, tuple(windows), jumped)

    def _restart(self, index: int) -> None:
        self._resampler = ListenResampler()
        self._pitch = PitchTracker()
        self._rest: Pcm = np.empty(0, dtype=np.float32)
        self._window_ms = index * FRAME_MS

    def _listen(self, frame: Reframed) -> list[Window]:
        sound = np.concatenate((self._rest, self._resampler.push(frame.pcm)))
        n_windows = len(sound) // WINDOW_SAMPLES
        self._rest = sound[n_windows * WINDOW_SAMPLES :]
        return [self._window(sound[i * WINDOW_SAMPLES : (i + 1) * WINDOW_SAMPLES]) for i in range(n_windows)]

    def _window(self, pcm: Pcm) -> Window:
        probability = self._activity.probability(pcm)
        window = Window(self._window_ms, probability, pcm, self._pitch.push(pcm, probability >= PITCH_FROM))
        self._window_ms += WINDOW_MS
        return window
