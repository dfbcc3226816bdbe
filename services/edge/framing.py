"""Opus packets -> 80 ms frames on media time, and how far ahead of the wall a client may run. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from shared.audio import FRAME_MS, FRAME_SAMPLES
from shared.audio.opus_toc import packet_samples
from shared.errors import AudioError
from shared.wire import AudioFrame

_FRAME_S = FRAME_MS / 1000
_ROUNDING_S = 1e-6


class PaceGuard:
    """A leaky bucket of media time: it may be filled `burst_s` ahead and drains as the wall clock goes.

    A pause does not earn the right to send faster later: the bucket never goes below empty.
    """

    def __init__(self, burst_s: float) -> None:
        self._burst_s = burst_s
        self._ahead_s = 0.0
        self._seen_s: float | None = None

    def admits(self, now_s: float) -> bool:
        """Count one frame that came at `now_s` (monotonic); false if it is too far ahead and must be dropped."""
        if self._seen_s is not None:
            self._ahead_s = max(0.0, self._ahead_s - (now_s - self._seen_s))
        self._seen_s = now_s
        if self._ahead_s + _FRAME_S > self._burst_s + _ROUNDING_S:
            return False
        self._ahead_s += _FRAME_S
        return True


class FrameAssembler:
    """Groups packets as they came into frames, so that frame n ends at or after 80 * (n + 1) ms of audio.

    Packets are never cut: with 60 ms packets a frame holds one or two. A packet longer than a frame
    gives a frame that holds it and, when its time is up, a frame without packets, so that media time stays
    80 ms times the number of frames whatever the packets' length.
    """

    def __init__(self, pace: PaceGuard, first_seq: int = 0, epoch: int = 0) -> None:
        """`epoch` goes into each frame: the number of the client's connection. Readers fence off older ones by it."""
        self.dropped = 0
        self.bad_packets = 0
        self._pace = pace
        self._seq = first_seq
        self._epoch = epoch
        self._packets: list[bytes] = []
        self._n_samples = 0
        self._missing = FRAME_SAMPLES

    @property
    def media_ms(self) -> int:
        """Media time of the frames made so far."""
        return self._seq * FRAME_MS

    def add(self, packets: Iterable[bytes], now_s: float, wall_ms: int) -> list[AudioFrame]:
        """Return the frames that `packets` complete. Too fast ones are left out and counted in `dropped`.

        Packets that are no Opus are left out and counted in `bad_packets`.
        """
        frames: list[AudioFrame] = []
        for packet in packets:
            try:
                n_samples = packet_samples(packet)
            except AudioError:
                self.bad_packets += 1
                continue
            self._packets.append(packet)
            self._n_samples += n_samples
            self._missing -= n_samples
            while self._missing <= 0:
                self._missing += FRAME_SAMPLES
                if self._pace.admits(now_s):
                    frames.append(AudioFrame(self._seq, self._n_samples, tuple(self._packets), wall_ms, self._epoch))
                    self._seq += 1
                else:
                    self.dropped += 1
                self._packets.clear()
                self._n_samples = 0
        return frames
