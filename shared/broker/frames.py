"""The newest frame of an audio stream, whatever an older owner wrote behind it."""

from __future__ import annotations

from typing import Final

from shared.broker.append import FIELD
from shared.broker.connection import RedisClient
from shared.broker.entries import readable
from shared.wire import AudioFrame, decode_audio

LAST_FRAMES: Final = 256
"""Frames at a stream's end among which the newest is looked for: an owner, or an edge, that froze may have written
behind its successor, at most what one read or its own buffer gave it."""


async def newest_frame(client: RedisClient, key: str, kind: str) -> AudioFrame | None:
    """Return the frame of `key` with the highest epoch and number; None if none can be read. Raises what Redis raises.

    `kind` names the stream in the metric of entries that cannot be read.
    """
    entries = await client.xrevrange(key, count=LAST_FRAMES)
    named = [(entry_id, fields[FIELD]) for entry_id, fields in entries if FIELD in fields]
    frames = [frame for _, frame in readable(named, decode_audio, kind)]
    return max(frames, key=lambda frame: (frame.epoch, frame.seq), default=None)
