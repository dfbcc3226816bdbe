"""Silence as Opus packets, of any length that Opus can say. Pure: encodes nothing.

CELT, full band, mono, with the silence flag set (RFC 6716, 4.3): the decoder gives zeros whatever came before.
"""

from __future__ import annotations

from shared.audio import SAMPLE_RATE
from shared.audio.opus_toc import packet_samples

STEP_SAMPLES = SAMPLE_RATE // 400
"""2.5 ms: every Opus packet is a multiple of it."""

_SILENCE_FLAG = b"\xff\xfe"
_PACKETS = tuple(bytes([config << 3]) + _SILENCE_FLAG for config in (31, 30, 29, 28))  # 20, 10, 5 and 2.5 ms
_SIZES = tuple((packet, packet_samples(packet)) for packet in _PACKETS)

SILENT_PACKETS = (_PACKETS[0],) * 4
"""80 ms of digital silence: one frame."""


def silent_packets(n_samples: int) -> list[bytes]:
    """Return packets of `n_samples` at 24 kHz of silence, rounded down to 2.5 ms."""
    packets: list[bytes] = []
    for packet, size in _SIZES:
        count, n_samples = divmod(n_samples, size)
        packets += [packet] * count
    return packets
