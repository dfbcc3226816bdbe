"""Opus packets to 24 kHz mono float32 PCM and back, over libopus. Owns the codec's state; knows no container.

One object per stream and direction: the codec predicts from packet to packet. Not safe for two threads at
once; moving an object from one thread to another is fine. libopus releases the interpreter lock while it works.
"""

from __future__ import annotations

import ctypes
from types import TracebackType
from typing import Any, Self

import numpy as np
import opuslib_next
from numpy.typing import NDArray
from opuslib_next.api import decoder as _libdecoder

from shared.audio import FRAME_SAMPLES, SAMPLE_RATE
from shared.audio.opus_toc import MAX_PACKET_SAMPLES
from shared.errors import AudioError

PACKET_SAMPLES = SAMPLE_RATE * 20 // 1000
"""Samples in a 20 ms packet (480): four of them make one frame."""

BITRATE = 32_000
"""Bits per second. Speech, 27 s of five clips: log-spectral distance 4.8 dB; 5.6 at 24,000; 3.8 at 48,000."""

COMPLEXITY = 5
"""0..10. At 32 kbit/s an 80 ms frame costs 158 us at 0, 240 us at 5, 960 us at 10, which is no closer (5.4 dB)."""

_STEP = SAMPLE_RATE // 400  # libopus conceals in steps of 2.5 ms

Pcm = NDArray[np.float32]


class OpusDecoder:
    """Packets of any Opus rate, mode and channel count to 24 kHz mono."""

    def __init__(self) -> None:
        self._decoder: Any = opuslib_next.Decoder(SAMPLE_RATE, 1)
        self._out = np.empty(MAX_PACKET_SAMPLES, dtype=np.float32)
        self._out_pointer = self._out.ctypes.data_as(ctypes.POINTER(ctypes.c_float))

    def decode(self, packet: bytes) -> Pcm:
        """Return the packet's samples, shape [60..2880], mostly within -1..1.

        Raises AudioError if libopus refuses the packet; the stream can go on: conceal what is missing.
        """
        if not packet:
            raise AudioError("an Opus packet has at least one byte; conceal a lost one instead")
        return self._run(packet, MAX_PACKET_SAMPLES)

    def conceal(self, n_samples: int) -> Pcm:
        """Return `n_samples` that continue the stream over a loss; they fade out within about 100 ms."""
        parts: list[Pcm] = []
        missing = n_samples
        while missing > 0:
            wanted = min(missing, MAX_PACKET_SAMPLES)
            parts.append(self._run(b"", -(-wanted // _STEP) * _STEP)[:wanted])
            missing -= wanted
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)

    def close(self) -> None:
        """Free libopus' state. Any later call raises AudioError. Idempotent."""
        self._decoder = None

    def _run(self, packet: bytes, room: int) -> Pcm:
        if self._decoder is None:
            raise AudioError("this Opus decoder is closed")
        # The wrapper's own call goes through a Python list of floats (4x the time); this writes into our array.
        count: int = _libdecoder.libopus_decode_float(
            self._decoder.decoder_state, packet or None, len(packet), self._out_pointer, room, 0
        )
        if count < 0:
            raise AudioError(f"libopus refuses a packet of {len(packet)} bytes: {opuslib_next.OpusError(count)}")
        return self._out[:count].copy()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class OpusEncoder:
    """24 kHz mono to packets of a fixed duration."""

    def __init__(
        self, packet_samples: int = PACKET_SAMPLES, bitrate: int = BITRATE, complexity: int = COMPLEXITY
    ) -> None:
        """Prepare for packets of `packet_samples` (480: 20 ms; 1,920: a whole frame in one)."""
        if FRAME_SAMPLES % packet_samples:
            raise ValueError(f"packets of {packet_samples} samples do not fill a frame of {FRAME_SAMPLES}")
        # "audio" and not "voip": at this rate the transform coder is closer to the sound and four times cheaper.
        encoder = opuslib_next.Encoder(SAMPLE_RATE, 1, "audio")
        encoder.bitrate = bitrate
        encoder.complexity = complexity
        self._packet_samples = packet_samples
        self._encoder: Any = encoder

    @property
    def lookahead_samples(self) -> int:
        """By how many samples the decoded sound is later than what went in."""
        return int(self._open().lookahead)

    def encode(self, pcm: Pcm) -> tuple[bytes, ...]:
        """Return the packets of one frame (shape [1920]) in order. Raises AudioError for another shape."""
        encoder = self._open()
        if pcm.shape != (FRAME_SAMPLES,):
            raise AudioError(f"a frame has shape ({FRAME_SAMPLES},), this has {pcm.shape}")
        clean = np.clip(np.nan_to_num(pcm, nan=0.0), -1.0, 1.0).astype(np.float32, copy=False)
        return tuple(
            self._packet(encoder, clean[start : start + self._packet_samples].tobytes())
            for start in range(0, FRAME_SAMPLES, self._packet_samples)
        )

    def close(self) -> None:
        """Free libopus' state. Any later call raises AudioError. Idempotent."""
        self._encoder = None

    def _packet(self, encoder: Any, samples: bytes) -> bytes:
        try:
            # The wrapper takes the room for the packet from its input: 4 bytes a sample, 1,920 or more.
            packet: bytes = encoder.encode_float(samples, self._packet_samples)
        except opuslib_next.OpusError as error:
            raise AudioError(f"libopus cannot encode: {error}") from error
        return packet

    def _open(self) -> Any:
        if self._encoder is None:
            raise AudioError("this Opus encoder is closed")
        return self._encoder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
