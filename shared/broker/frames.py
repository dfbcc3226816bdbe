"""Which frames of an audio stream count, whatever an older owner wrote behind a newer one; and the newest of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from shared import metrics
from shared.broker.append import FIELD
from shared.broker.connection import RedisClient
from shared.broker.entries import readable
from shared.wire import AudioFrame, decode_audio

LAST_FRAMES: Final = 256
"""Frames at a stream's end among which the newest is looked for: an owner, or an edge, that froze may have written
behind its successor, at most what one read or its own buffer gave it."""


def fence(epoch: int) -> AudioFrame:
    """Return the entry that makes void whatever older owners write behind it.

    A new owner writes it before it looks where the stream ends. Without it, an older
    one that wakes between that look and the first new frame adds frames with the same numbers.
    """
    return AudioFrame(0, 0, (), epoch=epoch)


class FrameFilter:
    """Leaves out fences, what an older owner wrote behind a newer one or its fence, and numbers that came before.

    Numbers count within an epoch. `last` is the frame that was taken in before the first one here.
    """

    def __init__(self, last: AudioFrame | None = None) -> None:
        self._epoch, self._seq = (last.epoch, last.seq) if last else (0, -1)

    def accepts(self, frame: AudioFrame) -> bool:
        """True if the frame is to be taken in. Frames come in stream order."""
        if frame.epoch < self._epoch:
            metrics.STALE_EPOCH.inc()
            return False
        if frame.epoch > self._epoch:
            self._epoch, self._seq = frame.epoch, -1
        if not frame.packets:
            return False
        if frame.seq <= self._seq:
            metrics.DUPLICATE_FRAMES.inc()
            return False
        self._seq = frame.seq
        return True


def frames_that_count(frames: Iterable[AudioFrame]) -> list[AudioFrame]:
    """Return those of a stretch of a stream, oldest first, that its readers take in."""
    accepts = FrameFilter().accepts
    return [frame for frame in frames if accepts(frame)]


async def newest_frame(client: RedisClient, key: str, kind: str) -> AudioFrame | None:
    """Return the newest frame of `key` that counts; None if there is none. Raises what Redis raises.

    `kind` names the stream in the metric of entries that cannot be read.
    """
    entries = await client.xrevrange(key, count=LAST_FRAMES)
    named = [(entry_id, fields[FIELD]) for entry_id, fields in reversed(entries) if FIELD in fields]
    counting = frames_that_count(frame for _, frame in readable(named, decode_audio, kind))
    return counting[-1] if counting else None
