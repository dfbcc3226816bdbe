"""The wire between a service and a model host: u32 little-endian length, then one msgpack map. Pure; no I/O.

A message is a map with the version `v`, the request's number `id`, and one of

    to the host     op: name of an operation, "cancel" or "ping", and its fields
    from the host   kind: "ready" (id 0, once), "refused" (id 0: cannot start), "chunk", "end", "error", "pong"

PCM travels as raw float32 little-endian bytes. Used by both sides, so it imports neither.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import msgpack
import numpy as np

from services.voice_worker.speech.interfaces import Pcm
from shared.errors import SpeechError

VERSION: Final = 1
MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
HEADER: Final = struct.Struct("<I")

Message = dict[str, Any]


class FrameError(SpeechError):
    """The bytes are not of this protocol: another version, too large, or not a map. The process is to be ended."""


def encode(message: Message) -> bytes:
    """Return `message` with version and length prefix. FrameError when it is larger than MAX_FRAME_BYTES."""
    body: bytes = msgpack.packb({"v": VERSION, **message}, use_bin_type=True)
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"a message of {len(body)} bytes exceeds {MAX_FRAME_BYTES}; send shorter audio or text")
    return HEADER.pack(len(body)) + body


def body_length(header: bytes) -> int:
    """Return the length that a 4-byte header announces. FrameError when it is zero or above MAX_FRAME_BYTES."""
    length = int(HEADER.unpack(header)[0])
    if not 0 < length <= MAX_FRAME_BYTES:
        raise FrameError(f"a frame announces {length} bytes; allowed are 1..{MAX_FRAME_BYTES}")
    return length


def decode(body: bytes) -> Message:
    """Return the map in `body`. FrameError when it is not a map, of another version, or has no integer id."""
    try:
        message = msgpack.unpackb(body, raw=False, strict_map_key=True)
    except (ValueError, msgpack.UnpackException) as error:
        raise FrameError(f"a frame is not msgpack: {error}") from error
    if not isinstance(message, dict):
        raise FrameError(f"a frame holds {type(message).__name__}, not a map")
    if message.get("v") != VERSION:
        raise FrameError(f"a frame has version {message.get('v')!r}; this side speaks {VERSION}")
    if not isinstance(message.get("id"), int):
        raise FrameError("a frame has no integer id")
    return message


def pcm_bytes(pcm: Pcm) -> bytes:
    """Return samples of shape [n] as float32 little-endian bytes."""
    return np.ascontiguousarray(pcm, dtype="<f4").tobytes()


def pcm_array(data: object) -> Pcm:
    """Return a copy of bytes from `pcm_bytes` as shape [n]. FrameError when they are not whole, finite floats."""
    if not isinstance(data, bytes) or len(data) % 4:
        raise FrameError("audio must be float32 bytes")
    pcm = np.frombuffer(data, dtype="<f4").astype(np.float32)
    if not bool(np.isfinite(pcm).all()):
        raise FrameError("audio has samples that are not finite numbers")
    return pcm
