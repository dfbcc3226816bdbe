"""How long an Opus packet is, from its first bytes (RFC 6716, section 3). Pure: knows no codec library."""

from __future__ import annotations

from shared.audio import SAMPLE_RATE
from shared.errors import AudioError

MAX_PACKET_SAMPLES = SAMPLE_RATE * 120 // 1000
"""The longest packet that Opus allows: 120 ms (2,880 samples at 24 kHz)."""

MAX_FRAME_BYTES = 1275
"""The longest single frame in a packet (RFC 6716, section 3.4, R2)."""

_UNIT = SAMPLE_RATE // 400  # 2.5 ms, the length of the shortest frame
_SILK = (4, 8, 16, 24)  # configurations 0..11: 10, 20, 40, 60 ms
_HYBRID = (4, 8)  # 12..15: 10, 20 ms
_CELT = (1, 2, 4, 8)  # 16..31: 2.5, 5, 10, 20 ms


def packet_samples(packet: bytes) -> int:
    """Return the packet's length in samples at 24 kHz. Raises AudioError if its framing breaks RFC 6716, 3.4."""
    if not packet:
        raise AudioError("an Opus packet has at least one byte")
    frame = _frame_samples(packet[0] >> 3)
    code = packet[0] & 3
    if code == 0:
        _check(len(packet) - 1 <= MAX_FRAME_BYTES, "its frame is longer than 1,275 bytes")
        return frame
    if code == 1:
        _check(len(packet) % 2 == 1, "two frames of equal size cannot share an odd number of bytes")
        _check(len(packet) - 1 <= 2 * MAX_FRAME_BYTES, "its frames are longer than 1,275 bytes")
        return 2 * frame
    if code == 2:
        _check_two_sizes(packet)
        return 2 * frame
    return _counted_frames(packet) * frame


def _frame_samples(config: int) -> int:
    """Return the samples of one frame of this configuration number, 0..31 (RFC 6716, table 2)."""
    if config < 12:
        return _UNIT * _SILK[config & 3]
    if config < 16:
        return _UNIT * _HYBRID[config & 1]
    return _UNIT * _CELT[config & 3]


def _check_two_sizes(packet: bytes) -> None:
    """Two frames of different size: the first one's length is given and must fit (R4)."""
    _check(len(packet) >= 2, "the length of its first frame is missing")
    first, used = packet[1], 1
    if first >= 252:
        _check(len(packet) >= 3, "the length of its first frame is cut off")
        first, used = first + 4 * packet[2], 2
    rest = len(packet) - 1 - used - first
    _check(0 <= rest <= MAX_FRAME_BYTES, "its first frame's length does not fit the packet")


def _counted_frames(packet: bytes) -> int:
    """Any number of frames: the count is in the second byte, and all of them last at most 120 ms (R5)."""
    _check(len(packet) >= 2, "its frame count is missing")
    count = packet[1] & 0x3F
    _check(count > 0, "its frame count is 0")
    _check(count * _frame_samples(packet[0] >> 3) <= MAX_PACKET_SAMPLES, "it lasts more than 120 ms")
    return count


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise AudioError(f"not an Opus packet: {what}")
