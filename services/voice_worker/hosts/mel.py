"""Whisper's log-mel features in numpy, for any length of audio. Pure.

Formulas: Radford et al. 2022 (Whisper), 25 ms Hann windows each 10 ms, 80 or 128 Slaney mel bands up to 8 kHz.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from services.voice_worker.speech.interfaces import TRANSCRIBE_HZ, Pcm

N_FFT: Final = 400
HOP: Final = 160


def log_mel(pcm: Pcm, n_mels: int = 80) -> NDArray[np.float32]:
    """Return the features of `pcm` (16 kHz, shape [n], n >= 201) as [n_mels, n // 160], about -1..1."""
    padded = np.pad(pcm.astype(np.float32), N_FFT // 2, mode="reflect")
    windows = sliding_window_view(padded, N_FFT)[::HOP][: len(pcm) // HOP]
    hann = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(windows * hann, axis=-1))).astype(np.float32)
    log_spec = np.log10(np.maximum(power @ _filters(n_mels), 1e-10)).T
    scaled = (np.maximum(log_spec, log_spec.max() - 8.0) + 4.0) / 4.0
    return np.ascontiguousarray(scaled, dtype=np.float32)


@cache
def _filters(n_mels: int) -> NDArray[np.float32]:
    """Return triangular filters of equal area, shape [201, n_mels]."""
    edges = _to_hertz(np.linspace(0.0, float(_to_mel(np.array([TRANSCRIBE_HZ / 2]))[0]), n_mels + 2))
    bins = np.linspace(0, TRANSCRIBE_HZ / 2, N_FFT // 2 + 1)
    ramps = edges[np.newaxis, :] - bins[:, np.newaxis]
    widths = np.diff(edges)
    rising, falling = -ramps[:, :-2] / widths[:-1], ramps[:, 2:] / widths[1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles * (2.0 / (edges[2:] - edges[:-2])), dtype=np.float32)


def _to_mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = 3.0 * hertz / 200.0
    return np.where(hertz >= 1000.0, 15.0 + np.log(np.maximum(hertz, 1.0) / 1000.0) * (27.0 / np.log(6.4)), linear)


def _to_hertz(mels: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.where(mels >= 15.0, 1000.0 * np.exp((np.log(6.4) / 27.0) * (mels - 15.0)), 200.0 * mels / 3.0)
