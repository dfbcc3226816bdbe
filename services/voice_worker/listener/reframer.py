"""Stream entries with packets of any length to exact 80 ms frames. Pure: the codec comes in as a protocol.

Frame `index` covers media time 80 * index .. 80 * index + 80 ms. What was lost is concealed up to a bound, then
silence, so that media time goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shared.audio import FRAME_SAMPLES
from shared.audio.opus_toc import packet_samples
from shared.errors import AudioError
from shared.wire import AudioFrame

Pcm = NDArray[np.float32]

MAX_CONCEALED = 2 * FRAME_SAMPLES
"""Samples of one loss that the codec fills (160 ms): its concealment has faded by then."""

MAX_SILENT_FRAMES = 25
"""Frames of one loss that are filled with silence (2 s). Beyond it the index jumps: the work stays bounded."""

MAX_ENTRY_SAMPLES = 5 * FRAME_SAMPLES
"""Samples taken from one entry (400 ms); what an entry carries beyond that is dropped and counted."""


class Decoder(Protocol):
    """The codec as the reframer needs it."""

    def decode(self, packet: bytes) -> Pcm:
        """Return the packet's samples at 24 kHz. Raises AudioError."""
        ...

    def conceal(self, n_samples: int) -> Pcm:
        """Return samples that continue the stream over a loss."""
        ...


@dataclass(frozen=True, slots=True)
class Reframed:
    """One frame: `pcm` has shape [1920], finite, within -1..1."""

    index: int
    pcm: Pcm


@dataclass(slots=True)
class ReframerCounts:
    """What went wrong so far."""

    lost_frames: int = 0
    bad_packets: int = 0
    stale_entries: int = 0
    dropped_samples: int = 0


class Reframer:
    """Takes entries in stream order; gives whole frames as soon as they are full."""

    def __init__(self, decoder: Decoder, first_index: int = 0) -> None:
        """`first_index` is the index of the first frame that comes out (a takeover goes on at a later one)."""
        self._decoder = decoder
        self._index = first_index
        self._next_seq: int | None = None
        self._parts: list[Pcm] = []
        self._held = 0
        self.counts = ReframerCounts()

    @property
    def held_samples(self) -> int:
        """Samples that wait for their frame to fill, 0..1919."""
        return self._held

    def push(self, entry: AudioFrame) -> list[Reframed]:
        """Return the frames that `entry` completes, after those that fill a loss before it.

        An entry that was seen already (a re-read after a crash) gives nothing.
        """
        if self._next_seq is not None and entry.seq < self._next_seq:
            self.counts.stale_entries += 1
            return []
        lost = 0 if self._next_seq is None else entry.seq - self._next_seq
        self._next_seq = entry.seq + 1
        frames: list[Reframed] = []
        if lost:
            frames += self._fill(lost)
        for samples in self._samples(entry):
            frames += self._add(samples)
        return frames

    def _fill(self, lost: int) -> list[Reframed]:
        self.counts.lost_frames += lost
        filled = min(lost, MAX_SILENT_FRAMES)
        concealed = min(filled * FRAME_SAMPLES, MAX_CONCEALED)
        frames = self._add(self._decoder.conceal(concealed))
        frames += self._add(np.zeros(filled * FRAME_SAMPLES - concealed, dtype=np.float32))
        self._index += lost - filled
        return frames

    def _samples(self, entry: AudioFrame) -> Iterator[Pcm]:
        """Yield the entry's sound; a bad packet is concealed over its own length, missing sound to `n_samples`."""
        taken = 0
        for packet in entry.packets:
            samples = self._decode(packet)
            if taken + len(samples) > MAX_ENTRY_SAMPLES:
                self.counts.dropped_samples += len(samples)
                return
            taken += len(samples)
            yield samples
        missing = min(entry.n_samples, MAX_ENTRY_SAMPLES) - taken
        if missing > 0:
            yield self._decoder.conceal(missing)

    def _decode(self, packet: bytes) -> Pcm:
        try:
            return self._decoder.decode(packet)
        except AudioError:
            self.counts.bad_packets += 1
        try:
            return self._decoder.conceal(packet_samples(packet))
        except AudioError:  # not even its length is known: the entry's n_samples makes up for it
            return np.empty(0, dtype=np.float32)

    def _add(self, samples: Pcm) -> list[Reframed]:
        self._parts.append(samples)
        self._held += len(samples)
        if self._held < FRAME_SAMPLES:
            return []
        whole = _clean(np.concatenate(self._parts))
        n_frames = self._held // FRAME_SAMPLES
        self._held -= n_frames * FRAME_SAMPLES
        self._parts = [whole[n_frames * FRAME_SAMPLES :]]
        first, self._index = self._index, self._index + n_frames
        return [Reframed(first + i, whole[i * FRAME_SAMPLES : (i + 1) * FRAME_SAMPLES]) for i in range(n_frames)]


def _clean(pcm: Pcm) -> Pcm:
    return np.clip(np.nan_to_num(pcm, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
