"""How a stretch of speech sounds: pitch, loudness, syllable rate, pauses. Pure numpy, no inference about the person."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.audio.pitch import HOP_MS, Hop

PAUSE_MS: Final = 250
"""Silences shorter than this belong to the articulation (stop consonants)."""

_DIP_DB = 2.0
_BELOW_LOUDEST_DB = 25.0
_FIRST_HOPS = 512  # 8 s
_MIN_VOICED_HOPS = 6  # about 0.1 s: fewer say nothing of a voice's pitch

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Track:
    """The measures of a stretch, one row per 16 ms hop; `peaks_db`: loudness of the syllable peaks in it."""

    start_ms: int
    loudness_db: Floats
    f0_hz: Floats
    speech: NDArray[np.bool_]
    peaks_db: Floats

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


class SyllablePeaks:
    """Finds syllable nuclei as the sound comes: voiced peaks of the loudness with a dip of 2 dB on both sides.

    After de Jong & Wempe (2009), "Praat script to detect syllable nuclei and measure speech rate automatically".
    """

    def __init__(self) -> None:
        self.found: list[tuple[int, float]] = []
        """(hop at which the dip after the peak was there, loudness of the peak)."""
        self._powers = (0.0, 0.0)
        self._voiced = (False, False)
        self._hops = 0
        self._rising = True
        self._peak, self._peak_voiced = -math.inf, False
        self._valley = math.inf

    def push(self, loudness_db: float, is_voiced: bool) -> None:
        """Take the next hop. Works on power averaged over three hops: a pitch period must not look like a syllable."""
        power = 10.0 ** (loudness_db / 10)
        level = 10 * math.log10(0.25 * self._powers[0] + 0.5 * self._powers[1] + 0.25 * power + 1e-12)
        near_voice = self._voiced[0] or self._voiced[1] or is_voiced
        self._powers, self._voiced = (self._powers[1], power), (self._voiced[1], is_voiced)
        self._hops += 1
        if self._rising:
            if level > self._peak:
                self._peak, self._peak_voiced = level, near_voice
            elif level < self._peak - _DIP_DB:
                if self._peak_voiced:
                    self.found.append((self._hops, self._peak))
                self._rising, self._valley = False, level
        elif level < self._valley:
            self._valley = level
        elif level > self._valley + _DIP_DB:
            self._rising, self._peak, self._peak_voiced = True, level, near_voice


class ProsodyTrack:
    """The measures of the turn that is being spoken. Grows with the turn, whose length is bounded."""

    def __init__(self, start_ms: int) -> None:
        self.start_ms = start_ms
        self._rows: Floats = np.zeros((3, _FIRST_HOPS), dtype=np.float64)  # loudness, pitch, speech
        self._used = 0
        self._speech_hops = 0
        self._peaks = SyllablePeaks()

    @property
    def end_ms(self) -> int:
        return self.start_ms + HOP_MS * self._used

    @property
    def speech_ms(self) -> int:
        """Speech so far, silences left out."""
        return HOP_MS * self._speech_hops

    def add(self, hops: tuple[Hop, ...], is_speech: bool) -> None:
        """Append a window's measures; windows must come in order and without a gap."""
        if self._used + len(hops) > self._rows.shape[1]:
            self._rows = np.concatenate((self._rows, np.zeros_like(self._rows)), axis=1)
        for hop in hops:
            self._rows[:, self._used] = (hop.loudness_db, hop.f0_hz, is_speech)
            self._used += 1
            self._peaks.push(hop.loudness_db, hop.f0_hz > 0)
        self._speech_hops += len(hops) if is_speech else 0

    def between(self, start_ms: int, end_ms: int, peaks_until_ms: int | None = None) -> Track:
        """Return the part from `start_ms` to `end_ms`, cut to what there is.

        A peak belongs where the dip after it is; `peaks_until_ms` takes in those whose dip comes after the end.
        """
        first = min(self._used, max(0, (start_ms - self.start_ms) // HOP_MS))
        last = max(first, min(self._used, -(-(end_ms - self.start_ms) // HOP_MS)))
        until = last if peaks_until_ms is None else (peaks_until_ms - self.start_ms) // HOP_MS
        rows = self._rows[:, first:last]
        return Track(
            self.start_ms + first * HOP_MS,
            rows[0],
            rows[1],
            rows[2] > 0,
            np.array([level for at, level in self._peaks.found if first < at <= until]),
        )


def measure(track: Track) -> Measures:
    """Return the measures of the stretch."""
    pauses = pause_mask(track.speech)
    speech_s = HOP_MS / 1000 * float(np.count_nonzero(~pauses))
    voiced = track.f0_hz[track.speech & (track.f0_hz > 0)]
    median, spread, deviation = _pitch(voiced)
    level, variation, syllables = _level(track.loudness_db[track.speech], track.peaks_db)
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


def _pitch(voiced: Floats) -> tuple[float | None, float | None, float | None]:
    """Return median (Hz), 10th to 90th percentile and standard deviation (semitones)."""
    if len(voiced) < _MIN_VOICED_HOPS:
        return None, None, None
    semitones = np.sort(12 * np.log2(voiced))
    spread = share_below(semitones, 0.9) - share_below(semitones, 0.1)
    return 2.0 ** (share_below(semitones, 0.5) / 12), spread, float(np.std(semitones))


def _level(levels: Floats, peaks_db: Floats) -> tuple[float | None, float | None, int]:
    """Return median and standard deviation of the loudness, and how many peaks are loud enough for a syllable."""
    if not len(levels):
        return None, None, 0
    ordered = np.sort(levels)
    floor = share_below(ordered, 0.99) - _BELOW_LOUDEST_DB
    return share_below(ordered, 0.5), float(np.std(ordered)), int(np.count_nonzero(peaks_db > floor))


def share_below(ordered: Floats, share: float) -> float:
    """Return the value that `share` of the ascending values lie below, between two values if need be.

    As numpy's percentile, at a tenth of its cost on the few values of a second.
    """
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))
