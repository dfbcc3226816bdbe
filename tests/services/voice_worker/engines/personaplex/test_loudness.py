"""Loudness against published values: BS.1770-4's own, EBU Tech 3341's test signals, and its filters run in time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from services.voice_worker.engines.personaplex.loudness import SILENT_LUFS, integrated_loudness, k_weighted

Floats = NDArray[np.float64]
TOLERANCE_LU = 0.1
"""What Tech 3341 allows."""


def sine(rate: int, *parts: tuple[float, float], hz: float = 1_000.0) -> Floats:
    """Return a sine whose peak is at (dBFS, seconds), one part after the other."""
    levels = np.concatenate([np.full(round(seconds * rate), 10 ** (dbfs / 20)) for dbfs, seconds in parts])
    return levels * np.sin(2 * np.pi * hz * np.arange(len(levels)) / rate)


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100, 48_000, 96_000])
def test_full_scale_sine_in_one_channel_reads_minus_3_01(rate: int) -> None:
    # BS.1770-4, annex 1: a full-scale sine of 997 Hz in one front channel reads -3.01 LKFS
    assert integrated_loudness(sine(rate, (0.0, 3.0), hz=997.0), rate) == pytest.approx(-3.01, abs=0.02)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [  # Tech 3341, table 1, cases 1 to 5: stereo sine, 1 kHz
        ([(-23.0, 20.0)], -23.0),
        ([(-33.0, 20.0)], -33.0),
        ([(-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0)], -23.0),
        ([(-72.0, 10.0), (-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0), (-72.0, 10.0)], -23.0),
        ([(-26.0, 20.0), (-20.0, 20.1), (-26.0, 20.0)], -23.0),
    ],
)
def test_ebu_test_signals(parts: list[tuple[float, float]], expected: float) -> None:
    left = sine(24_000, *parts)
    assert integrated_loudness(np.stack((left, left), axis=1), 24_000) == pytest.approx(expected, abs=TOLERANCE_LU)


def test_one_channel_is_3_lu_below_two() -> None:
    mono = sine(48_000, (-23.0, 5.0))
    both = integrated_loudness(np.stack((mono, mono), axis=1), 48_000)
    assert both == pytest.approx(-23.0, abs=TOLERANCE_LU)
    assert both - integrated_loudness(mono, 48_000) == pytest.approx(10 * math.log10(2), abs=1e-9)


def test_weighting_equals_the_standards_filters_run_sample_by_sample() -> None:
    x = np.random.default_rng(1).normal(0.0, 0.1, 48_000)
    expected = x
    for (b0, b1, b2), (a1, a2) in (
        ((1.53512485958697, -2.69169618940638, 1.19839281085285), (-1.69065929318241, 0.73248077421585)),
        ((1.0, -2.0, 1.0), (-1.99004745483398, 0.99007225036621)),
    ):
        out, s1, s2 = np.empty_like(x), 0.0, 0.0
        for i, value in enumerate(expected):
            y = b0 * value + s1
            s1, s2 = b1 * value - a1 * y + s2, b2 * value - a2 * y
            out[i] = y
        expected = out
    np.testing.assert_allclose(k_weighted(x[:, None], 48_000)[:, 0], expected, atol=1e-9)


@pytest.mark.parametrize(
    "sound",
    [np.zeros(48_000), sine(24_000, (-75.0, 3.0)), sine(24_000, (-3.0, 0.39)), np.zeros(0)],
    ids=["zeros", "below the gate", "shorter than a block", "empty"],
)
def test_nothing_above_the_gate_is_silent(sound: Floats) -> None:
    assert integrated_loudness(sound, 24_000) == SILENT_LUFS


def test_gain_moves_loudness_by_as_much() -> None:
    noise = np.random.default_rng(2).normal(0.0, 0.05, 72_000)
    change = integrated_loudness(2 * noise, 24_000) - integrated_loudness(noise.astype(np.float32), 24_000)
    assert change == pytest.approx(20 * math.log10(2), abs=1e-4)
