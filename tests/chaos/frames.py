"""Frames that can be told apart: real Opus packets, made once, with the frame's number inside the first of them.

An echo gives packets back untouched, so that each byte can be compared. Nothing here decodes a numbered packet.
"""

from __future__ import annotations

import struct
from functools import lru_cache

import numpy as np

from shared.audio import FRAME_SAMPLES, SAMPLE_RATE
from shared.audio.opus import OpusEncoder

_MARK = b"cHaOs"
_HEADER = struct.Struct("<5sI")

Packets = tuple[bytes, ...]


@lru_cache(maxsize=1)
def _spoken() -> Packets:
    """Return the packets of 80 ms of a tone behind the encoder's start."""
    wave = 0.3 * np.sin(2 * np.pi * 220 * np.arange(2 * FRAME_SAMPLES) / SAMPLE_RATE)
    with OpusEncoder() as encoder:
        encoder.encode(wave[:FRAME_SAMPLES].astype(np.float32))
        packets = tuple(encoder.encode(wave[FRAME_SAMPLES:].astype(np.float32)))
    if any(len(packet) <= _HEADER.size for packet in packets) or packets[0][0] & 3:
        raise ValueError("the encoder's packets have no room for a number")
    return packets


def frame(number: int, more_bytes: int = 0) -> Packets:
    """Return the packets of frame `number` (0 .. 2**32 - 1), each with `more_bytes` more, as at a higher bit rate."""
    first, *rest = _spoken()
    marked = first[:1] + _HEADER.pack(_MARK, number)
    packets = (marked + first[len(marked) :], *rest)
    return tuple(packet + bytes([number & 255]) * more_bytes for packet in packets) if more_bytes else packets


def number_of(packets: Packets) -> int:
    """Return the number inside, -1 where there is none."""
    if not packets or len(packets[0]) <= _HEADER.size:
        return -1
    mark, number = _HEADER.unpack_from(packets[0], 1)
    return int(number) if mark == _MARK else -1


def is_intact(packets: Packets) -> bool:
    """True if every byte is as it was sent."""
    number = number_of(packets)
    return number >= 0 and packets == frame(number, max(0, len(packets[0]) - len(_spoken()[0])))
