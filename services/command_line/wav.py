"""WAV files to and from 24 kHz mono float32. Reads integer and float PCM of any rate and channel count.

The standard library's reader knows neither float samples nor the extensible header that many recorders write.
"""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.audio import SAMPLE_RATE
from shared.errors import BadInput

MAX_WAV_BYTES = 1 << 30
"""A larger file is refused: an hour of 48 kHz stereo float is 1.4 GB and no single speaker's turn."""

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE

Pcm = NDArray[np.float32]


def read_wav(path: Path) -> Pcm:
    """Return the file's sound at 24 kHz, channels averaged. Raises BadInput that says what is wrong with it."""
    try:
        if path.stat().st_size > MAX_WAV_BYTES:
            raise BadInput("wav_too_large", f"{path} is larger than {MAX_WAV_BYTES >> 20} MiB: cut it into turns")
        data = path.read_bytes()
    except OSError as error:
        raise BadInput("wav_unreadable", f"{path} cannot be read: {error.strerror}") from error
    try:
        samples, rate = parse_wav(data)
    except BadInput as error:
        raise BadInput(error.code, f"{path}: {error}") from error
    return resample(samples, rate)


def parse_wav(data: bytes) -> tuple[Pcm, int]:
    """Return (mono samples -1..1, rate in Hz) of a RIFF/WAVE file's bytes. Raises BadInput."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise BadInput("not_wav", "this is no WAV file (no RIFF/WAVE header)")
    header: bytes | None = None
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + size]  # a recorder that was cut off leaves a size that is too large
        if name == b"fmt ":
            header = body
        elif name == b"data":
            if header is None:
                raise BadInput("bad_wav", "its sound comes before its format")
            return _decode(header, body)
        at += 8 + size + (size & 1)
    raise BadInput("bad_wav", "it holds no sound (no 'data' chunk)")


def resample(samples: Pcm, rate: int) -> Pcm:
    """Return `samples` at 24 kHz."""
    if rate == SAMPLE_RATE or not len(samples):
        return samples
    import soxr

    return np.asarray(soxr.resample(samples, rate, SAMPLE_RATE), dtype=np.float32)


def write_wav(path: Path, *channels: NDArray[np.int16]) -> None:
    """Write 24 kHz 16-bit PCM, one channel for each argument; shorter ones are filled with silence."""
    length = max((len(channel) for channel in channels), default=0)
    frames = np.zeros((length, len(channels)), dtype="<i2")
    for column, channel in enumerate(channels):
        frames[: len(channel), column] = channel
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(frames.tobytes())


def to_int16(samples: Pcm) -> NDArray[np.int16]:
    """Return samples of -1..1 as 16-bit integers; what is beyond is clipped."""
    return np.asarray(np.rint(np.clip(samples, -1.0, 1.0) * 32767.0), dtype=np.int16)


def _decode(header: bytes, body: bytes) -> tuple[Pcm, int]:
    if len(header) < 16:
        raise BadInput("bad_wav", "its format chunk is cut off")
    code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", header)
    if code == _EXTENSIBLE and len(header) >= 26:
        code = int.from_bytes(header[24:26], "little")  # the first two bytes of the sub-format's GUID
    if not 1 <= channels <= 32 or not 1_000 <= rate <= 768_000:
        raise BadInput("bad_wav", f"{channels} channels at {rate} Hz is no sound")
    width = bits // 8 * channels
    body = body[: len(body) // width * width] if width else b""
    samples = _samples(code, bits, body)
    return np.ascontiguousarray(samples.reshape(-1, channels).mean(axis=1), dtype=np.float32), rate


def _samples(code: int, bits: int, body: bytes) -> Pcm:
    if code == _FLOAT and bits in (32, 64):
        return np.nan_to_num(np.frombuffer(body, dtype=f"<f{bits // 8}").astype(np.float32))
    if code == _PCM and bits == 8:
        return (np.frombuffer(body, dtype=np.uint8).astype(np.float32) - 128.0) / 128.0
    if code == _PCM and bits in (16, 32):
        return (np.frombuffer(body, dtype=f"<i{bits // 8}") / float(1 << (bits - 1))).astype(np.float32)
    if code == _PCM and bits == 24:
        wide = np.zeros((len(body) // 3, 4), dtype=np.uint8)
        wide[:, 1:] = np.frombuffer(body, dtype=np.uint8).reshape(-1, 3)
        return (wide.view("<i4").reshape(-1) / float(1 << 31)).astype(np.float32)
    raise BadInput("bad_wav", f"format {code} with {bits} bits is not read: save it as 16-bit PCM")
