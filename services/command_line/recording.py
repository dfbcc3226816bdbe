"""Both directions of a call on media time, and when each frame went out or came in. Pure; bounded."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.command_line.wav import Pcm, to_int16
from shared.audio import FRAME_MS, SAMPLE_RATE

MAX_KEPT_S = 3600
"""Sound kept of each direction; what comes later is measured and not kept."""

LOUD_DB = -45.0
"""Root mean square re full scale from which a piece of the answer counts as sound: room noise is below."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A piece of the answer: when it came (caller's clock), where it belongs, how loud it is (dB re full scale)."""

    at_s: float
    media_ms: float
    level_db: float


class CallRecording:
    """What was sent and heard. The answer's n-th sample belongs to the n-th sample sent: one frame out per frame in."""

    def __init__(self, *, keep: bool = True) -> None:
        self.sent_frames = 0
        self.arrivals: list[Arrival] = []
        self.loud_ms = -1.0
        self._keep = keep
        self._sent_at_s: list[float] = []
        self._sent: list[NDArray[np.int16]] = []
        self._heard: list[NDArray[np.int16]] = []
        self._heard_samples = 0

    @property
    def heard_ms(self) -> float:
        """Length of the answer so far, silence included."""
        return self._heard_samples * 1000 / SAMPLE_RATE

    def add_sent(self, pcm: Pcm, at_s: float) -> None:
        """Take in a frame that went out at `at_s`."""
        self.sent_frames += 1
        if self.sent_frames * FRAME_MS <= MAX_KEPT_S * 1000:
            self._sent_at_s.append(at_s)
            if self._keep:
                self._sent.append(to_int16(pcm))

    def add_heard(self, pcm: Pcm, at_s: float) -> Arrival:
        """Take in a piece of the answer that came at `at_s`."""
        arrival = Arrival(at_s, self.heard_ms, level_db(pcm))
        if arrival.level_db > LOUD_DB:
            self.loud_ms = arrival.media_ms
        self._heard_samples += len(pcm)
        if self.heard_ms <= MAX_KEPT_S * 1000:
            self.arrivals.append(arrival)
            if self._keep:
                self._heard.append(to_int16(pcm))
        return arrival

    def sent(self) -> NDArray[np.int16]:
        """Return what was sent, 24 kHz mono."""
        return _joined(self._sent)

    def heard(self) -> NDArray[np.int16]:
        """Return the answer, 24 kHz mono, aligned with `sent`."""
        return _joined(self._heard)

    def said_at_s(self, media_ms: float) -> float | None:
        """Return when the caller's sound at `media_ms` was spoken: a frame goes out when its last sample is."""
        frame = int(media_ms // FRAME_MS)
        if not 0 <= frame < len(self._sent_at_s):
            return None
        return self._sent_at_s[frame] - ((frame + 1) * FRAME_MS - media_ms) / 1000

    def first_sound(self, from_ms: float) -> Arrival | None:
        """Return the first piece at or after `from_ms` that is not silence."""
        return next((a for a in self.arrivals if a.media_ms >= from_ms and a.level_db > LOUD_DB), None)


def level_db(pcm: Pcm) -> float:
    """Return the root mean square in dB re full scale; -120 for silence."""
    power = float(np.mean(np.square(pcm, dtype=np.float64))) if len(pcm) else 0.0
    return 10 * math.log10(power) if power > 1e-12 else -120.0


def _joined(pieces: list[NDArray[np.int16]]) -> NDArray[np.int16]:
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int16)
