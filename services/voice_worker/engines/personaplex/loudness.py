"""Integrated loudness of a recording, after ITU-R BS.1770-4. Pure: numpy only; knows nothing of files."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SILENT_LUFS: Final = -math.inf
"""Loudness of a recording in which no block is above the absolute gate."""

HOPS_PER_BLOCK: Final = 4
"""A gating block lasts 400 ms; the next begins 100 ms later (BS.1770-4, annex 1: 75 % overlap)."""

_ABSOLUTE_GATE_LUFS: Final = -70.0
_RELATIVE_GATE: Final = 0.1  # of the mean power: 10 LU below
_OFFSET_DB: Final = -0.691  # makes up for the weighting at 997 Hz, where the loudness of a sine shall be its level

# BS.1770-4, tables 1 and 2: (b0, b1, b2), (a0, a1, a2) of the two stages of the K-weighting at 48 kHz.
_SHELF: Final = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
_HIGH_PASS: Final = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
_TABLE_HZ: Final = 48_000

_RING_OUT_S: Final = 1.0  # the high-pass at 38 Hz has died away long before


def integrated_loudness(sound: NDArray[np.floating[Any]], rate: int) -> float:
    """Return the gated loudness in LUFS of `sound`, shape [n] or [n, channels], at `rate` Hz, full scale 1.0.

    All channels count as front channels (weight 1). SILENT_LUFS if nothing is louder than -70 LUFS or the sound is
    shorter than one block (400 ms). Blocks that the end cuts off do not count.
    """
    channels = sound[:, None] if sound.ndim == 1 else sound
    blocks = _block_powers(k_weighted(channels, rate), rate)
    heard = blocks[blocks > 10 ** ((_ABSOLUTE_GATE_LUFS - _OFFSET_DB) / 10)]
    if not len(heard):
        return SILENT_LUFS
    counted = heard[heard > _RELATIVE_GATE * heard.mean()]
    return _OFFSET_DB + 10 * math.log10(counted.mean())


def k_weighted(channels: NDArray[np.floating[Any]], rate: int) -> Floats:
    """Return `channels` [n, c] as the ear weighs them, same shape.

    The standard gives coefficients for 48 kHz and asks other rates for the same frequency response. Here it is applied
    as one: the tables' response at each frequency, by FFT, behind the sound room for the filters to ring out.
    """
    n = len(channels)
    size = 1 << (n + math.ceil(_RING_OUT_S * rate) - 1).bit_length()
    hz = np.minimum(np.fft.rfftfreq(size, 1 / rate), _TABLE_HZ / 2)
    spectrum = np.fft.rfft(channels, size, axis=0) * _response(hz)[:, None]
    return np.fft.irfft(spectrum, size, axis=0)[:n]


def _response(hz: Floats) -> NDArray[np.complex128]:
    delay = np.exp(-2j * np.pi * hz / _TABLE_HZ)  # z^-1
    powers = np.stack((np.ones_like(delay), delay, delay**2))
    response: NDArray[np.complex128] = np.ones_like(delay)
    for numerator, denominator in (_SHELF, _HIGH_PASS):
        response *= (np.array(numerator) @ powers) / (np.array(denominator) @ powers)
    return response


def _block_powers(weighted: Floats, rate: int) -> Floats:
    """Return the mean square of each whole gating block, summed over the channels."""
    hop = round(rate / 10)
    n_hops = len(weighted) // hop
    if n_hops < HOPS_PER_BLOCK:
        return np.empty(0)
    hops = np.square(weighted[: n_hops * hop]).sum(axis=1).reshape(n_hops, hop).mean(axis=1)
    blocks: Floats = np.lib.stride_tricks.sliding_window_view(hops, HOPS_PER_BLOCK).mean(axis=1)
    return blocks
