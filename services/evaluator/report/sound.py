"""What a report shows and plays of the sound: loudness and pitch over time, and each track as a data URI. Pure.

Numpy and soxr are needed for the curves only; a recording without sound never comes here.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from services.evaluator.intervals import Interval
from services.evaluator.recording.manifest import Side
from services.evaluator.recording.reader import Recording
from services.evaluator.recording.tracks import Track, to_ogg
from shared.audio import SAMPLE_RATE
from shared.audio.pitch import HOP_MS, HOPS_PER_WINDOW, LISTEN_HZ, WINDOW_SAMPLES, PitchTracker

MAX_POINTS = 4_000
"""Points of a curve: more than a screen has, and an hour's page stays small."""

LOUDNESS_STEP_MS = 100
PITCH_STEP_MS = 48
FLOOR_DB = -60.0
"""Quieter is drawn as silence: room noise of a usual headset lies below."""

_MARGIN_MS = 120
_MIN_HOPS = 2
_NEAR = 8
_STRAY_ST = 7.0
_WINDOW_MS = HOP_MS * HOPS_PER_WINDOW

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Curve:
    """A measure every `step_ms`, the first at 0; None where there is none (no voice)."""

    step_ms: int
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Voice:
    """One speaker's sound: loudness in dB re full scale, pitch in Hz."""

    loudness: Curve
    pitch: Curve


def measure(sound: Floats, speech: Sequence[Interval]) -> Voice:
    """Return the curves of a track (24 kHz). Pitch is looked for within `speech` only: elsewhere is no voice."""
    return Voice(loudness_curve(sound), pitch_curve(sound, speech))


def loudness_curve(sound: Floats) -> Curve:
    """Return the root mean square of each step in dB re full scale, at least FLOOR_DB."""
    step_ms = _step(len(sound), LOUDNESS_STEP_MS)
    size = SAMPLE_RATE * step_ms // 1000
    n_steps = -(-len(sound) // size)
    padded = np.zeros(n_steps * size, dtype=np.float32)
    padded[: len(sound)] = sound
    power = np.mean(np.square(padded.reshape(n_steps, size)), axis=1, dtype=np.float64)
    levels = np.maximum(10 * np.log10(power + 1e-12), FLOOR_DB)
    return Curve(step_ms, tuple(round(float(level), 1) for level in levels))


def pitch_curve(sound: Floats, speech: Sequence[Interval]) -> Curve:
    """Return the median pitch of each step in Hz, None where the voice has none."""
    step_ms = _step(len(sound), PITCH_STEP_MS)
    n_steps = -(-len(sound) * 1000 // (SAMPLE_RATE * step_ms))
    found: list[list[float]] = [[] for _ in range(n_steps)]
    for part in speech:
        start_ms = max(0, part.start_ms - _MARGIN_MS)
        clip = sound[start_ms * SAMPLE_RATE // 1000 : (part.end_ms + _MARGIN_MS) * SAMPLE_RATE // 1000]
        for at_ms, hz in _voiced(clip):
            index = (start_ms + at_ms) // step_ms
            if index < n_steps:
                found[index].append(hz)
    return Curve(step_ms, _without_strays([float(np.median(hz)) if len(hz) >= _MIN_HOPS else None for hz in found]))


def _without_strays(values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Leave out what lies far from the median around it: octave errors at the edge of a voice."""
    kept: list[float | None] = []
    for index, hz in enumerate(values):
        near = [v for v in values[max(0, index - _NEAR) : index + _NEAR + 1] if v is not None]
        is_stray = hz is not None and abs(12 * np.log2(hz / float(np.median(near)))) > _STRAY_ST
        kept.append(None if hz is None or is_stray else round(hz, 1))
    return tuple(kept)


def _voiced(clip: Floats) -> list[tuple[int, float]]:
    """Return (ms within the clip, Hz) of each voiced hop."""
    if len(clip) < SAMPLE_RATE * _WINDOW_MS // 1000:
        return []
    heard = np.asarray(soxr.resample(clip, SAMPLE_RATE, LISTEN_HZ), dtype=np.float32)
    tracker = PitchTracker()
    hops = [
        hop
        for at in range(0, len(heard) - WINDOW_SAMPLES + 1, WINDOW_SAMPLES)
        for hop in tracker.push(heard[at : at + WINDOW_SAMPLES], True)
    ]
    # A hop's measure is of the 48 ms that end with it: their middle is 8 ms before its begin.
    return [(max(0, index * HOP_MS - 8), hop.f0_hz) for index, hop in enumerate(hops) if hop.f0_hz > 0]


def _step(n_samples: int, least_ms: int) -> int:
    """Return a step that gives at most MAX_POINTS, a multiple of the least one."""
    length_ms = n_samples * 1000 // SAMPLE_RATE
    return least_ms * max(1, -(-length_ms // (least_ms * MAX_POINTS)))


def track_uri(recording: Recording, side: Side) -> str:
    """Return a track as it was recorded as a data URI (Ogg Opus); "" if there is none."""
    if side not in recording.packets:
        return ""
    track = Track(list(recording.packets[side]), recording.manifest.tracks[side].n_samples)
    ogg = to_ogg(track, zlib.crc32(f"{recording.manifest.id}:{side}".encode()))
    return f"data:audio/ogg;base64,{base64.b64encode(ogg).decode()}"
