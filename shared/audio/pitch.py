"""Pitch and loudness of speech at 16 kHz, two measures per 32 ms window. Pure numpy; knows no session and no turn.

Pitch by the autocorrelation of a Hann-windowed frame divided by that of the window (Boersma 1993, "Accurate
short-term analysis of the fundamental frequency"), so that a tapered frame still peaks at its true period.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LISTEN_HZ: Final = 16_000
"""The rate at which speech is looked at: higher frequencies tell nothing of pitch."""

WINDOW_SAMPLES: Final = 512
"""32 ms: the step in which sound is handed over."""

HOP_MS: Final = 16
HOPS_PER_WINDOW: Final = 2
F0_MIN_HZ: Final = 60.0
F0_MAX_HZ: Final = 400.0
SILENT_DB: Final = -100.0

_FRAME = LISTEN_HZ * 48 // 1000  # three periods of the lowest pitch fit nearly; shorter frames miss men's voices
_FFT = 2048
_LAG_HZ = 8_000  # the autocorrelation is read at this rate: speech above 4 kHz only blurs it
_LAG_FFT = _FFT * _LAG_HZ // LISTEN_HZ
_BAND_HZ = 1_500.0
_MIN_LAG = int(_LAG_HZ / F0_MAX_HZ) - 1
_MAX_LAG = int(_LAG_HZ / F0_MIN_HZ) + 2
_VOICED = 0.5  # share of the frame's energy that repeats after one period
_OCTAVE_COST = 0.02  # a period twice as long repeats just as well: prefer the shorter one
_JUMP_ST = 8.0  # no voice moves this far between two measures 16 ms apart
_LASTING = 5  # measures (80 ms) after which a jump is believed,
_LASTING_ALONE = 3  # and after which one is that leaves no candidate near the old pitch
_CLOSE = 0.15  # how much weaker a candidate may be that continues the voice
_MEMORY = 15  # measures (240 ms) whose median says where the voice is
_QUIET_DB = -60.0

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Hop:
    """16 ms of sound: `loudness_db` re full scale; `f0_hz` 0 where it is unvoiced or was not looked at."""

    loudness_db: float
    f0_hz: float


class PitchTracker:
    """Follows one speaker's pitch through the stream."""

    def __init__(self) -> None:
        self._tail: Floats = np.zeros(_FRAME - WINDOW_SAMPLES // HOPS_PER_WINDOW, dtype=np.float32)
        self._recent: deque[float] = deque(maxlen=_MEMORY)
        self._strays: list[float] = []

    def push(self, window: Floats, may_be_speech: bool) -> tuple[Hop, ...]:
        """Return the two measures of the next window (shape [512]). Pitch only where it `may_be_speech`."""
        sound = np.concatenate((self._tail, window))
        self._tail = sound[-len(self._tail) :]
        levels = _loudness(window)
        if not may_be_speech:
            self._recent.clear()
            self._strays.clear()
            return tuple(Hop(level, 0.0) for level in levels)
        step = WINDOW_SAMPLES // HOPS_PER_WINDOW
        frames = np.lib.stride_tricks.sliding_window_view(sound, _FRAME)[::step]
        candidates = pitch_candidates(frames)
        return tuple(
            Hop(level, self._follow(found) if level > _QUIET_DB else 0.0)
            for level, found in zip(levels, candidates, strict=True)
        )

    def _follow(self, found: list[tuple[float, float]]) -> float:
        """Choose among (Hz, strength), strongest first: the one that continues the voice, if there is a near one."""
        if not found:
            self._strays.clear()
            return 0.0
        best_hz, best_strength = found[0]
        if not self._recent:
            return self._accept(best_hz)
        centre = float(np.median(np.asarray(self._recent)))
        if _apart(best_hz, centre) < _JUMP_ST:
            return self._accept(best_hz)
        # A jump that does not last is an error of the method. A high voice repeats after two of its periods as well,
        # so a weaker candidate near the old pitch proves little: it only asks for more time.
        self._strays.append(best_hz)
        near = [hz for hz, strength in found if strength > best_strength - _CLOSE and _apart(hz, centre) < _JUMP_ST]
        needed = _LASTING if near else _LASTING_ALONE
        lasting = self._strays[-needed:]
        if len(lasting) == needed and _apart(max(lasting), min(lasting)) < _JUMP_ST:
            self._recent.clear()
            return self._accept(best_hz)
        return near[0] if near else 0.0

    def _accept(self, hz: float) -> float:
        self._strays.clear()
        self._recent.append(hz)
        return hz


def pitch_candidates(frames: Floats) -> list[list[tuple[float, float]]]:
    """Return for each row of `frames` (shape [n, 768]) the possible (Hz, strength), strongest first; [] if unvoiced."""
    centred = (frames - frames.mean(axis=1, keepdims=True)) * _HANN
    spectrum = np.fft.rfft(centred, _FFT)[:, : len(_BAND)]
    power = (spectrum.real**2 + spectrum.imag**2) * _BAND
    correlation = np.fft.irfft(power, _LAG_FFT)[:, : _MAX_LAG + 2]
    correlation /= np.maximum(correlation[:, :1], 1e-9)
    correlation /= _WINDOW_CORRELATION
    return [_peaks(row) for row in correlation]


def _peaks(row: Floats) -> list[tuple[float, float]]:
    inner = row[_MIN_LAG : _MAX_LAG + 1]
    is_peak = (inner > row[_MIN_LAG - 1 : _MAX_LAG]) & (inner >= row[_MIN_LAG + 1 : _MAX_LAG + 2])
    lags = np.nonzero(is_peak & (inner > _VOICED))[0] + _MIN_LAG
    found: list[tuple[float, float]] = []
    for lag in lags:
        left, mid, right = float(row[lag - 1]), float(row[lag]), float(row[lag + 1])
        bend = left - 2 * mid + right
        shift = 0.5 * (left - right) / bend if bend < 0 else 0.0  # the parabola through three points
        hz = _LAG_HZ / (float(lag) + shift)
        strength = mid - 0.25 * (left - right) * shift
        if F0_MIN_HZ <= hz <= F0_MAX_HZ:
            found.append((hz, strength + _OCTAVE_COST * float(np.log2(hz / F0_MIN_HZ))))
    return sorted(found, key=lambda pair: -pair[1])


def _loudness(window: Floats) -> list[float]:
    power = np.mean(np.square(window.reshape(HOPS_PER_WINDOW, -1), dtype=np.float64), axis=1)
    return [float(level) for level in np.maximum(10 * np.log10(power + 1e-12), SILENT_DB)]


def _apart(one_hz: float, other_hz: float) -> float:
    """Semitones between two pitches."""
    return abs(12.0 * float(np.log2(one_hz / other_hz)))


def _band() -> Floats:
    """Weights of the spectrum's bins: everything to 1 kHz, nothing from 1.5 kHz on, and no mains hum."""
    hz = np.arange(int(_BAND_HZ * _FFT / LISTEN_HZ) + 1) * LISTEN_HZ / _FFT
    fade = np.clip((_BAND_HZ - hz) / (_BAND_HZ - 1_000.0), 0.0, 1.0)
    return (fade * (hz >= 50.0)).astype(np.float32)


_HANN: Final[Floats] = np.hanning(_FRAME).astype(np.float32)
_BAND: Final[Floats] = _band()
_window_power = np.abs(np.fft.rfft(_HANN, _FFT)) ** 2
_window_lags = np.fft.irfft(_window_power)[: 2 * (_MAX_LAG + 2) : 2]
_WINDOW_CORRELATION: Final[Floats] = (_window_lags / _window_lags[0]).astype(np.float32)
