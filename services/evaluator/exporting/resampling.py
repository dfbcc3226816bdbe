"""Sound at the rate that others want, as WAV files. Pure but for numpy and soxr."""

from __future__ import annotations

import io
import wave

import numpy as np
import soxr
from numpy.typing import NDArray

from shared.audio import SAMPLE_RATE

Floats = NDArray[np.float32]


def wav_bytes(sound: Floats, rate: int, n_samples: int) -> bytes:
    """Return sound (24 kHz mono) as a mono 16-bit WAV file at `rate` of exactly `n_samples`: cut off, or silence added.

    Peaks beyond full scale are limited, never wrapped.
    """
    heard = np.asarray(soxr.resample(sound, SAMPLE_RATE, rate), dtype=np.float32) if len(sound) else sound
    exact = np.zeros(n_samples, dtype=np.float32)
    exact[: min(n_samples, len(heard))] = heard[:n_samples]
    pcm = np.rint(np.clip(exact, -1.0, 1.0) * 32_767).astype("<i2")
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())
    return data.getvalue()
