"""How fast the user speaks: words a minute for display, syllables a second as the base."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from services.evaluator.metric import UNBOUNDED, Band, Metric, measured, unavailable
from services.evaluator.timeline import Timeline
from services.evaluator.turns import Turn
from shared.events import MetricValue

_MIN_WORDS = 8
_MIN_SPEECH_MS = 3_000
_WPM = {"nl-NL": (130.0, 190.0), "nl-BE": (120.0, 175.0), "en": (130.0, 190.0)}
_SYLLABLES = {"nl-NL": (3.9, 5.9), "nl-BE": (3.4, 5.1), "en": (3.3, 5.2)}
_TOO_LITTLE = f"fewer than {_MIN_WORDS} words or {_MIN_SPEECH_MS // 1000} s of the user's speech"


@dataclass(frozen=True, slots=True)
class RateOfTurn:
    """Syllables a second over a stretch of speech, and how much that is worth."""

    rate: float
    speech_ms: int
    weight: float


class WordsPerMinute:
    """The user's speaking rate, pauses within turns included.

    Formula: words of the user's closed turns with their final text / minutes of those turns. Source: Verhoeven,
    De Pauw & Kloots 2004 (160 speakers; 4.23 and 4.00 syllables a second with pauses in NL and BE) over 1.60 syllables
    a Dutch word; English sales talk about 173. Unit: words_per_min. Bands: (source +/- 20 %) good nl-NL
    130-190, nl-BE 120-175, en 130-190, else warn. Not available under 8 words or 3 s.
    """

    name = "pace_words"
    unit = "words_per_min"
    bounds = UNBOUNDED

    def compute(self, timeline: Timeline) -> MetricValue:
        turns = _heard(timeline)
        words = sum(turn.said.n_words for turn in turns)
        length_ms = sum(turn.end_ms - turn.start_ms for turn in turns)
        if words < _MIN_WORDS or length_ms < _MIN_SPEECH_MS:
            return unavailable(self, _TOO_LITTLE)
        rate = words / (length_ms / 60_000)
        return measured(self, rate, _band(rate, _WPM[_variety(timeline)]))


class SyllablesPerSecond:
    """The user's articulation rate, pauses left out.

    Formula: median of the measured syllable rates, weighted by length x quality; where no prosody was
    measured, vowel groups of the text / seconds of speech with gaps of 0.25 s and more out, from word times.
    Source: Verhoeven, De Pauw & Kloots 2004: 5.05 in the Netherlands, 4.23 in Belgium; Quene: listeners notice
    5-15 %. Unit: syllables_per_s. Bands: (source +/- 20 %) good nl-NL 3.9-5.9, nl-BE 3.4-5.1, en 3.3-5.2, else
    warn. Not available under 8 words or 3 s, or with neither prosody nor word times.
    """

    name = "pace_syllables"
    unit = "syllables_per_s"
    bounds = UNBOUNDED

    def compute(self, timeline: Timeline) -> MetricValue:
        turns = _heard(timeline)
        if sum(turn.said.n_words for turn in turns) < _MIN_WORDS:
            return unavailable(self, _TOO_LITTLE)
        bounds = _SYLLABLES[_variety(timeline)]
        heard = rates_from_sound(timeline)
        if heard:
            rate = weighted_median([(item.rate, item.weight) for item in heard])
            return measured(self, rate, _band(rate, bounds), "from the sound")
        read = rates_from_text(timeline)
        speech_ms = sum(item.speech_ms for item in read)
        if speech_ms < _MIN_SPEECH_MS:
            return unavailable(self, "no prosody was measured and the words carry no times")
        rate = sum(item.rate * item.speech_ms for item in read) / speech_ms
        return measured(self, rate, _band(rate, bounds), "estimated from the text")


class PaceSpread:
    """How evenly the user keeps the pace from turn to turn.

    Formula: median absolute deviation of the turns' words a minute / their median, closed turns with a final text
    of 8 words and more. Source: own measure over Quene's finding that a change of 5-15 % is heard. Unit: ratio.
    Bands: none. Not available under three such turns.
    """

    name = "pace_spread"
    unit = "ratio"
    bounds = UNBOUNDED

    def compute(self, timeline: Timeline) -> MetricValue:
        rates = [
            turn.said.n_words / ((turn.end_ms - turn.start_ms) / 60_000)
            for turn in _heard(timeline)
            if turn.said.n_words >= _MIN_WORDS
        ]
        if len(rates) < 3:
            return unavailable(self, f"fewer than three user turns of {_MIN_WORDS} words")
        middle = median(rates)
        return measured(self, median(abs(rate - middle) for rate in rates) / middle)


def rates_from_sound(timeline: Timeline) -> list[RateOfTurn]:
    """Return the measured syllable rates in order of time, weighted by length x quality; without quality, none."""
    return [
        RateOfTurn(item.syllables_per_s, length_ms, length_ms * item.quality)
        for item in timeline.prosody
        if item.syllables_per_s is not None and (length_ms := item.end_ms - item.start_ms) > 0 and item.quality > 0
    ]


def rates_from_text(timeline: Timeline) -> list[RateOfTurn]:
    """Return the rates of the user's turns with word times: vowel groups / speech without pauses of 0.25 s."""
    found = []
    for turn in _heard(timeline):
        speech_ms = sum(part.length_ms for part in turn.speech)
        if turn.words and speech_ms:
            found.append(RateOfTurn(turn.said.n_syllables / (speech_ms / 1000), speech_ms, speech_ms))
    return found


def weighted_median(pairs: list[tuple[float, float]]) -> float:
    """Return the value at half the total weight; weights are above 0."""
    half = sum(weight for _, weight in pairs) / 2
    passed = 0.0
    for value, weight in sorted(pairs):
        passed += weight
        if passed >= half:
            return value
    return max(value for value, _ in pairs)


def _heard(timeline: Timeline) -> list[Turn]:
    """Return the user's closed turns with their final text: words heard halfway do not fit a turn's whole length."""
    return [turn for turn in timeline.turns_of("user") if turn.text and turn.is_final and not turn.is_open]


def _variety(timeline: Timeline) -> str:
    if timeline.language == "en":
        return "en"
    return "nl-BE" if timeline.belgian else "nl-NL"


def _band(rate: float, bounds: tuple[float, float]) -> Band:
    return "good" if bounds[0] <= rate <= bounds[1] else "warn"


METRICS: tuple[Metric, ...] = (WordsPerMinute(), SyllablesPerSecond(), PaceSpread())
