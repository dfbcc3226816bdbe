"""A speaker's own normal in this session, energy against it, and pace. Pure; gone with the session.

The baseline is a statistic of one session and device, not a voiceprint: nobody is recognised by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from services.voice_worker.listener.prosody import Measures
from shared.events import Language, Pace

READY_VOICED_S: Final = 15.0
"""Voiced speech after which the speaker's own median is used instead of the population's."""

LEARN_VOICED_S: Final = 60.0
"""Voiced speech that the first baseline rests on; after it the baseline follows slowly."""

PRIOR_QUALITY: Final = 0.3
"""No measure against the population's values claims more quality than this."""

FULL_QUALITY_S: Final = 3.0
"""Voiced speech of a stretch that earns full quality."""

_TAU_S = 300.0  # the slow update forgets half of the old in about 3.5 minutes of speech
_NEAR_NEUTRAL = 1.5  # |z| up to which a stretch may move the baseline
_Z_LIMIT = 3.0
_MAD_TO_SD = 1.4826

Locale = Literal["nl-NL", "nl-BE", "en"]


@dataclass(frozen=True, slots=True)
class PaceBand:
    """Below `slow` is slow, above `fast` is fast. Syllables per second of articulation; words per minute."""

    slow_syllables: float
    fast_syllables: float
    slow_words: float
    fast_words: float
    middle_syllables: float


PACE_BANDS: Final[dict[Locale, PaceBand]] = {
    "nl-NL": PaceBand(3.9, 5.9, 130, 190, 5.05),
    "nl-BE": PaceBand(3.4, 5.1, 120, 175, 4.23),
    "en": PaceBand(3.3, 5.2, 130, 190, 4.25),
}

_OWN_PACE_S = 60.0
_OWN_SLOW, _OWN_FAST = 0.85, 1.15
_ENOUGH_S, _ENOUGH_WORDS = 3.0, 8


def locale_of(language: Language, locale: str) -> Locale:
    """Return whose pace bands hold: Belgian Dutch only where the session says so."""
    if language == "en":
        return "en"
    return "nl-BE" if locale.lower().replace("_", "-").endswith("-be") else "nl-NL"


class Normal:
    """Median and spread of one measure: first learnt over LEARN_VOICED_S, then followed slowly."""

    def __init__(self, prior: float | None, prior_spread: float, least_spread: float) -> None:
        """`prior` None: no population value makes sense (pitch), so z is 0 until the speaker is known."""
        self._centre = prior
        self._spread = prior_spread
        self._least = least_spread
        self._learnt: list[float] = []
        self._voiced_s = 0.0

    @property
    def centre(self) -> float | None:
        return self._centre

    def z(self, value: float | None) -> float:
        """Return by how many spreads `value` is off, -3..3; 0 where nothing is known."""
        if value is None or self._centre is None:
            return 0.0
        return max(-_Z_LIMIT, min(_Z_LIMIT, (value - self._centre) / self._spread))

    def learn(self, value: float | None, voiced_s: float) -> None:
        """Take in one stretch's value, resting on `voiced_s` of voiced speech."""
        if value is None:
            return
        if self._voiced_s >= LEARN_VOICED_S:
            self._follow(value, voiced_s)
            return
        self._learnt.append(value)
        self._voiced_s += voiced_s
        if self._voiced_s >= READY_VOICED_S:
            values = np.asarray(self._learnt)
            self._centre = float(np.median(values))
            self._spread = max(self._least, _MAD_TO_SD * float(np.median(np.abs(values - self._centre))))
        if self._voiced_s >= LEARN_VOICED_S:
            self._learnt.clear()

    def _follow(self, value: float, voiced_s: float) -> None:
        if self._centre is None or abs(self.z(value)) > _NEAR_NEUTRAL:
            return
        share = 1.0 - math.exp(-voiced_s / _TAU_S)
        off = abs(value - self._centre)
        self._centre += share * (value - self._centre)
        # For a normal spread the mean distance is 0.8 of it; only near values come here, so 1.6 restores the rest.
        self._spread = max(self._least, self._spread + share * (1.6 * off - self._spread))


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far a stretch is from the speaker's normal, in spreads."""

    loudness: float
    f0_range: float
    rate: float


class Baseline:
    """The speaker's normal loudness, pitch range and syllable rate."""

    def __init__(self, locale: Locale) -> None:
        middle = PACE_BANDS[locale].middle_syllables
        self._loudness = Normal(-26.0, 6.0, 1.5)
        self._f0_range = Normal(5.0, 3.0, 1.0)
        self._rate = Normal(middle, 1.0, 0.8)  # a second holds a whole number of syllables: less means nothing
        self._voiced_s = 0.0

    @property
    def ready(self) -> bool:
        """Whether it is the speaker's own and not the population's."""
        return self._voiced_s >= READY_VOICED_S

    def deviation(self, stretch: Measures) -> Deviation:
        """Return how far `stretch` (about a second) is from normal."""
        return Deviation(
            self._loudness.z(stretch.loudness_db),
            self._f0_range.z(stretch.f0_range_st),
            self._rate.z(stretch.syllables_per_s),
        )

    def learn(self, stretch: Measures) -> None:
        """Take in a stretch of about a second: the same length as those that are compared with it."""
        self._voiced_s += stretch.voiced_s
        self._loudness.learn(stretch.loudness_db, stretch.voiced_s)
        self._f0_range.learn(stretch.f0_range_st, stretch.voiced_s)
        self._rate.learn(stretch.syllables_per_s, stretch.voiced_s)

    def quality(self, voiced_s: float) -> float:
        """Return 0..1: how much speech a measure of `voiced_s` rests on, bounded while the speaker is unknown."""
        own = min(1.0, voiced_s / FULL_QUALITY_S)
        return own if self.ready else PRIOR_QUALITY * own


def energy(deviation: Deviation) -> float:
    """Return the energy of the delivery, 0..1; about 0.5 is the speaker's normal.

    Logistic of 0.9 loudness + 0.4 pitch range + 0.3 rate, each in spreads from normal. Starting weights, not fitted.
    """
    return logistic(0.9 * deviation.loudness + 0.4 * deviation.f0_range + 0.3 * deviation.rate)


def logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


class PaceJudge:
    """Slow, normal or fast: by the locale's bands, and after a minute of speech against the speaker's own rate."""

    def __init__(self, locale: Locale) -> None:
        self._band = PACE_BANDS[locale]
        self._last: Pace = "normal"
        self._speech_s = 0.0
        self._syllables = 0

    @property
    def last(self) -> Pace:
        """The last pace that rested on enough speech."""
        return self._last

    def judge(self, turn: Measures, n_words: int = 0) -> Pace:
        """Return the pace of the turn so far; with less than 3 s and 8 words, the last one that was known."""
        rate = turn.syllables_per_s
        if rate is None or (turn.speech_s < _ENOUGH_S and n_words < _ENOUGH_WORDS):
            return self._last
        self._last = self._pace(rate)
        return self._last

    def learn(self, turn: Measures) -> None:
        """Take a finished turn into the speaker's own rate."""
        self._speech_s += turn.speech_s
        self._syllables += turn.syllables

    def _pace(self, rate: float) -> Pace:
        slow, fast = self._band.slow_syllables, self._band.fast_syllables
        if self._speech_s >= _OWN_PACE_S and self._syllables:
            own = self._syllables / self._speech_s
            slow, fast = _OWN_SLOW * own, _OWN_FAST * own
        if rate < slow:
            return "slow"
        return "fast" if rate > fast else "normal"


def words_per_min(n_words: int, start_ms: int, end_ms: int) -> float | None:
    """Return the speaking rate with pauses; None for fewer than two words or no time."""
    if n_words < 2 or end_ms <= start_ms:
        return None
    return 60_000 * n_words / (end_ms - start_ms)
