"""How a stretch of speech sounds: pitch, loudness, syllable rate, pauses. Pure numpy, no inference about the person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.voice_worker.listener.pitch import HOP_MS, Hop

PAUSE_MS: Final = 250
"""Silences shorter than this belong to the articulation (stop consonants)."""

_DIP_DB = 2.0
_BELOW_LOUDEST_DB = 25.0
_MIN_VOICED_HOPS = 6  # about 0.1 s: fewer say nothing of a voice's pitch

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Track:
    """The measures of a stretch, one row per 16 ms hop."""

    start_ms: int
    loudness_db: Floats
    f0_hz: Floats
    speech: NDArray[np.bool_]

    @property
    def end_ms(self) -> int:
        return self.start_ms + HOP_MS * len(self.speech)


@dataclass(frozen=True, slots=True)
class Measures:
    """Acoustic measures of one stretch; None where it holds too little speech to tell.

    `speech_s` is speech with its short gaps, without pauses of 0.25 s or more; `voiced_s` is the part with a pitch.
    """

    start_ms: int
    end_ms: int
    speech_s: float
    voiced_s: float
    f0_median_hz: float | None
    f0_range_st: float | None
    f0_sd_st: float | None
    loudness_db: float | None
    loudness_sd_db: float | None
    syllables: int
    syllables_per_s: float | None
    pause_share: float | None


class ProsodyTrack:
    """The measures of the turn that is being spoken. Grows with the turn, whose length is bounded."""

    def __init__(self, start_ms: int) -> None:
        self.start_ms = start_ms
        self._loudness: list[float] = []
        self._f0: list[float] = []
        self._speech: list[bool] = []
        self._speech_hops = 0

    @property
    def end_ms(self) -> int:
        return self.start_ms + HOP_MS * len(self._speech)

    @property
    def speech_ms(self) -> int:
        """Speech so far, silences left out."""
        return HOP_MS * self._speech_hops

    def add(self, hops: tuple[Hop, ...], is_speech: bool) -> None:
        """Append a window's measures; windows must come in order and without a gap."""
        for hop in hops:
            self._loudness.append(hop.loudness_db)
            self._f0.append(hop.f0_hz)
            self._speech.append(is_speech)
        self._speech_hops += len(hops) if is_speech else 0

    def between(self, start_ms: int, end_ms: int) -> Track:
        """Return the part from `start_ms` to `end_ms`, cut to what there is."""
        first = max(0, (start_ms - self.start_ms) // HOP_MS)
        last = max(first, -(-(end_ms - self.start_ms) // HOP_MS))
        return Track(
            self.start_ms + first * HOP_MS,
            np.asarray(self._loudness[first:last], dtype=np.float64),
            np.asarray(self._f0[first:last], dtype=np.float64),
            np.asarray(self._speech[first:last], dtype=np.bool_),
        )


def measure(track: Track) -> Measures:
    """Return the measures of the stretch."""
    pauses = pause_mask(track.speech)
    speech_s = HOP_MS / 1000 * float(np.count_nonzero(~pauses))
    voiced = track.f0_hz[track.speech & (track.f0_hz > 0)]
    median, spread, deviation = _pitch(voiced)
    level, variation = _level(track.loudness_db[track.speech])
    syllables = count_syllables(track)
    return Measures(
        start_ms=track.start_ms,
        end_ms=track.end_ms,
        speech_s=speech_s,
        voiced_s=HOP_MS / 1000 * len(voiced),
        f0_median_hz=median,
        f0_range_st=spread,
        f0_sd_st=deviation,
        loudness_db=level,
        loudness_sd_db=variation,
        syllables=syllables,
        syllables_per_s=syllables / speech_s if speech_s >= 0.5 else None,
        pause_share=float(np.mean(pauses)) if len(pauses) else None,
    )


def pause_mask(speech: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which hops lie in a silence of at least 0.25 s."""
    edges = np.flatnonzero(np.diff(np.concatenate(([True], speech, [True])).astype(np.int8)))
    mask = np.zeros(len(speech), dtype=np.bool_)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        mask[start:end] = (end - start) * HOP_MS >= PAUSE_MS
    return mask


def count_syllables(track: Track) -> int:
    """Count syllable nuclei: voiced peaks of the loudness with a dip of 2 dB on both sides.

    After de Jong & Wempe (2009), "Praat script to detect syllable nuclei and measure speech rate automatically".
    """
    if not track.speech.any():
        return 0
    level = _smooth(track.loudness_db)
    loudest = float(np.percentile(level[track.speech], 99))
    voiced = _near_voice(track.f0_hz > 0)
    count = 0
    peak, peak_at, valley = -np.inf, -1, np.inf
    rising = True
    for at, value in enumerate(level.tolist()):
        if rising:
            if value > peak:
                peak, peak_at = value, at
            elif value < peak - _DIP_DB:
                count += int(voiced[peak_at] and peak > loudest - _BELOW_LOUDEST_DB)
                rising, valley = False, value
        elif value < valley:
            valley = value
        elif value > valley + _DIP_DB:
            rising, peak, peak_at = True, value, at
    if rising and peak_at >= 0 and voiced[peak_at] and peak > loudest - _BELOW_LOUDEST_DB:
        count += 1  # speech that ends in mid-syllable
    return count


def _smooth(level: Floats) -> Floats:
    """Average of power over 48 ms: a pitch period must not look like a syllable."""
    power = np.power(10.0, level / 10)
    kernel = np.array([0.25, 0.5, 0.25])
    padded = np.pad(power, 1, mode="edge")
    smooth: Floats = 10 * np.log10(np.convolve(padded, kernel, mode="valid") + 1e-12)
    return smooth


def _near_voice(voiced: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Widen by one hop either side: the peak may lie on the edge of the voiced part."""
    padded = np.pad(voiced, 1)
    return np.asarray(padded[:-2] | padded[1:-1] | padded[2:], dtype=np.bool_)


def _pitch(voiced: Floats) -> tuple[float | None, float | None, float | None]:
    """Return median (Hz), 10th to 90th percentile and standard deviation (semitones)."""
    if len(voiced) < _MIN_VOICED_HOPS:
        return None, None, None
    semitones = 12 * np.log2(voiced)
    low, high = np.percentile(semitones, [10, 90])
    return float(np.median(voiced)), float(high - low), float(np.std(semitones))


def _level(loudness: Floats) -> tuple[float | None, float | None]:
    if not len(loudness):
        return None, None
    return float(np.median(loudness)), float(np.std(loudness))
