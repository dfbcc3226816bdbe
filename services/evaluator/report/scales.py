"""On which scale a figure is drawn, and where its good zone lies: the metrics' own bands as numbers. Pure.

A metric that stands here must have its band in `services/evaluator/metrics/` too; a test holds the two together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from shared.events import MetricValue

GROUPS: dict[str, tuple[str, ...]] = {
    "floor": (
        "talk_share",
        "longest_monologue",
        "longest_customer_story",
        "interruptions_by_user",
        "interruptions_by_hugo",
        "overlap_share",
        "backchannels_by_user",
        "backchannels_by_hugo",
    ),
    "asking": (
        "question_rate",
        "question_share",
        "open_question_share",
        "leading_question_share",
        "turns_with_several_questions",
        "customer_words_used",
        "you_to_i",
    ),
    "timing": ("patience", "interactivity", "silence_share", "long_pauses", "dead_air", "pauses_in_user_turns"),
    "words": ("filled_pauses", "discourse_fillers", "hedges"),
    "voice": (
        "pace_words",
        "pace_syllables",
        "pace_spread",
        "pace_to_baseline",
        "voice_energy",
        "pitch_variation",
        "pitch_range",
        "loudness_variation",
    ),
}
"""Figures of the seller by what they are about, in the order in which they are shown."""

MAIN = (
    "talk_share",
    "question_rate",
    "open_question_share",
    "patience",
    "longest_monologue",
    "interactivity",
    "overlap_share",
    "filled_pauses",
    "pace_words",
    "you_to_i",
)
"""The figures that are compared over many recordings."""

_PACE_WORDS = {"nl-BE": (120.0, 175.0)}
_PACE_SYLLABLES = {"nl": (3.9, 5.9), "nl-BE": (3.4, 5.1), "en": (3.3, 5.2)}


@dataclass(frozen=True, slots=True)
class Scale:
    """From `low` to `high`; `good` is the good zone within it, None where the metric has no such band."""

    low: float
    high: float
    good: tuple[float, float] | None = None

    def reaching(self, value: float) -> Scale:
        """Return the scale, longer where `value` lies beyond its end."""
        if value <= self.high:
            return self
        high = _round_up(value)
        good = self.good and (self.good[0], high if self.good[1] == self.high else self.good[1])
        return Scale(self.low, high, good)


_SCALES: dict[str, Scale] = {
    "talk_share": Scale(0, 1, (0.35, 0.50)),
    "longest_monologue": Scale(0, 180, (0, 120)),
    "longest_customer_story": Scale(0, 120, (60, 120)),
    "overlap_share": Scale(0, 0.2, (0, 0.05)),
    "patience": Scale(0, 4, (0.6, 1.5)),
    "question_rate": Scale(0, 30, (11, 14)),
    "open_question_share": Scale(0, 1, (0.6, 1)),
    "turns_with_several_questions": Scale(0, 6, (0, 0)),
    "interactivity": Scale(0, 16, (2, 10)),
    "filled_pauses": Scale(0, 8, (0, 2)),
    "hedges": Scale(0, 8, (0, 4)),
    "pitch_variation": Scale(0, 6, (2, 4)),
    "you_to_i": Scale(0, 4, (1.5, 4)),
    "customer_words_used": Scale(0, 12, (5, 12)),
}


def scale_of(name: str, language: str, locale: str = "") -> Scale | None:
    """Return the scale of a metric; None where it is only a number. Pace depends on the variety of the language."""
    if name == "pace_words":
        return Scale(60, 260, _PACE_WORDS.get(locale, (130.0, 190.0)))
    if name == "pace_syllables":
        return Scale(2, 8, _PACE_SYLLABLES.get(locale, _PACE_SYLLABLES[language]))
    return _SCALES.get(name)


def group_of(name: str) -> str:
    """Return the group that a figure is shown in; what concerns the system's own conduct is "hugo"."""
    for group, names in GROUPS.items():
        if name in names:
            return group
    if name.startswith("talk_share"):
        return "floor"
    return "hugo" if name.startswith("hugo_") else "words"


def shown(metric: MetricValue | dict[str, object], language: str) -> str:
    """Return a value as people read it: shares in per cent, a decimal comma in Dutch; "–" where there is none."""
    value, unit = (metric["value"], metric["unit"]) if isinstance(metric, dict) else (metric.value, metric.unit)
    if not isinstance(value, int | float):
        return "–"
    return number(value * 100 if unit == "ratio" and _is_share(metric) else value, language) + (
        " %" if unit == "ratio" and _is_share(metric) else ""
    )


def number(value: float, language: str) -> str:
    """Return a number with as many decimals as it needs: 0.83, 1.4, 12, 143."""
    size = abs(value)
    n_decimals = 0 if size >= 20 or value == int(value) else 1 if size >= 3 else 2
    text = f"{value:.{n_decimals}f}"
    return text.replace(".", ",") if language == "nl" else text


def _is_share(metric: MetricValue | dict[str, object]) -> bool:
    name = metric["name"] if isinstance(metric, dict) else metric.name
    return is_share(str(name))


def is_share(name: str) -> bool:
    """Tell a share of a whole, shown in per cent, from a ratio of two things."""
    return "share" in name


def _round_up(value: float) -> float:
    step = float(10 ** math.floor(math.log10(value))) / 2
    return math.ceil(value * 1.05 / step) * step
