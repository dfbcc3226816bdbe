"""WAV files at another rate: format, length to the sample, no wrap beyond full scale."""

from __future__ import annotations

import io
import wave

import numpy as np

from services.evaluator.exporting.resampling import Floats, wav_bytes


def read(data: bytes) -> np.ndarray:
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


def tone(level: float) -> Floats:
    return (level * np.sin(2 * np.pi * 500 * np.arange(24_000) / 24_000)).astype(np.float32)


def test_a_tone_keeps_pitch_and_length() -> None:
    pcm = read(wav_bytes(tone(0.5), 16_000, 16_000)) / 32_767
    assert len(pcm) == 16_000
    assert int(np.argmax(np.abs(np.fft.rfft(pcm)))) == 500
    assert abs(np.max(pcm) - 0.5) < 0.01


def test_the_length_is_what_is_asked_for() -> None:
    assert len(read(wav_bytes(tone(0.5), 16_000, 20_000))) == 20_000
    assert len(read(wav_bytes(tone(0.5), 16_000, 9))) == 9
    assert not read(wav_bytes(np.zeros(0, dtype=np.float32), 16_000, 5)).any()


def test_beyond_full_scale_is_limited() -> None:
    pcm = read(wav_bytes(tone(1.5), 16_000, 16_000))
    assert pcm.max() == 32_767
    assert np.all(np.abs(np.diff(pcm.astype(int))) < 20_000)
