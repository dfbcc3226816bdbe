"""WAV in every common form comes out as the same sound; what is no WAV is refused with its reason."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from services.command_line.wav import parse_wav, read_wav, resample, to_int16, write_wav
from shared.errors import BadInput


def tone(rate: int, seconds: float = 0.5, channels: int = 1) -> np.ndarray:
    t = np.arange(int(rate * seconds)) / rate
    mono = 0.5 * np.sin(2 * np.pi * 440 * t)
    return np.stack([mono] * channels, axis=1)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
@pytest.mark.parametrize("channels", [1, 2])
def test_reads_what_recorders_write(tmp_path: Path, subtype: str, container: str, channels: int) -> None:
    path = tmp_path / "in.wav"
    soundfile.write(path, tone(24_000, channels=channels), 24_000, subtype=subtype, format=container)
    got = read_wav(path)
    assert got.dtype == np.float32
    limit = 1e-2 if subtype == "PCM_U8" else 1e-4
    assert np.max(np.abs(got - tone(24_000)[:, 0])) < limit


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_brings_every_rate_to_24_khz(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "in.wav"
    soundfile.write(path, tone(rate), rate, subtype="PCM_16")
    got = read_wav(path)
    assert abs(len(got) - 12_000) <= 2
    spectrum = np.abs(np.fft.rfft(got * np.hanning(len(got))))
    assert abs(np.argmax(spectrum) * 24_000 / len(got) - 440) < 3


def test_channels_are_averaged() -> None:
    body = np.array([[1000, 3000], [-2000, 0]], dtype="<i2").tobytes()
    header = struct.pack("<HHIIHH", 1, 2, 24_000, 96_000, 4, 16)
    data = b"RIFF" + bytes(4) + b"WAVE" + b"fmt " + struct.pack("<I", 16) + header
    samples, rate = parse_wav(data + b"data" + struct.pack("<I", len(body)) + body)
    assert rate == 24_000
    assert np.allclose(samples * 32768, [2000, -1000])


def test_a_file_that_was_cut_off_gives_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    soundfile.write(path, tone(24_000), 24_000, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:-1001])
    assert len(read_wav(path)) == 12_000 - 501


def test_two_channels_are_written_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    write_wav(path, np.array([1, 2, 3], dtype=np.int16), np.array([-5], dtype=np.int16))
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == 24_000
    assert samples.tolist() == [[1, -5], [2, 0], [3, 0]]


def test_clipping_and_empty_sound() -> None:
    assert to_int16(np.array([2.0, -2.0, 0.0], dtype=np.float32)).tolist() == [32767, -32767, 0]
    assert len(resample(np.zeros(0, dtype=np.float32), 8_000)) == 0


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_wav"),
        (b"OggS" + bytes(40), "not_wav"),
        (b"RIFF" + bytes(4) + b"WAVE", "bad_wav"),
        (b"RIFF" + bytes(4) + b"WAVEdata" + struct.pack("<I", 4) + bytes(4), "bad_wav"),
        (b"RIFF" + bytes(4) + b"WAVEfmt " + struct.pack("<I", 4) + bytes(4) + b"data" + bytes(4), "bad_wav"),
        (
            b"RIFF" + bytes(4) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 7, 1, 8000, 8000, 1, 8) + b"data" + bytes(4),
            "bad_wav",
        ),
    ],
)
def test_what_is_no_sound_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_wav(data)
    assert caught.value.code == code


@given(st.binary(max_size=200))
def test_any_bytes_are_a_sound_or_bad_input(tail: bytes) -> None:
    try:
        samples, rate = parse_wav(b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + tail)
    except BadInput:
        return
    assert samples.ndim == 1
    assert rate >= 1000


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.wav cannot be read"):
        read_wav(tmp_path / "none.wav")
