"""The user's questions: how many, how many of them open or leading, how often several at once."""

from __future__ import annotations

from services.evaluator.metric import SHARE, UNBOUNDED, Band, Metric, measured, unavailable
from services.evaluator.timeline import Timeline
from services.evaluator.words import Question
from shared.events import MetricValue

_RATE_FROM_MS = 60_000


class QuestionRate:
    """How many questions the user asks, brought to the length of a discovery call.

    Formula: questions / T x 30 min, T from the first speech to the last. Source: Gong: 11-14 questions per
    discovery call do best, more become an interrogation. Unit: per_30_min. Bands: good 11-14, warn < 7 (thin)
    or > 18, else none; none either under five minutes of talk, where a few questions swing it. Not available
    under one minute or before the user has spoken.
    """

    name = "question_rate"
    unit = "per_30_min"
    bounds = UNBOUNDED

    def compute(self, timeline: Timeline) -> MetricValue:
        if not timeline.turns_of("user"):
            return unavailable(self, "the user has not spoken")
        span_ms = timeline.span.length_ms
        if span_ms < _RATE_FROM_MS:
            return unavailable(self, "less than a minute of talk")
        rate = len(_asked(timeline)) / (span_ms / 1_800_000)
        return measured(self, rate, _rate_band(rate) if span_ms >= 5 * _RATE_FROM_MS else "")


def _rate_band(rate: float) -> Band:
    if rate < 7 or rate > 18:
        return "warn"
    return "good" if 11 <= rate <= 14 else ""


class QuestionShare:
    """How many of the user's sentences are questions.

    Formula: questions / sentences of the user's turns. Source: companion of question_rate that does not
    depend on the length of the talk. Unit: ratio. Bands: none. Not available before the user's first words.
    """

    name = "question_share"
    unit = "ratio"
    bounds = SHARE

    def compute(self, timeline: Timeline) -> MetricValue:
        n_sentences = sum(turn.said.n_sentences for turn in timeline.turns_of("user"))
        if not n_sentences:
            return unavailable(self, "none of the user's words are known")
        return measured(self, len(_asked(timeline)) / n_sentences)


class OpenShare:
    """How many of the user's questions are open.

    Formula: open questions / questions; open is a question that starts, or has a clause that starts, with a
    question word (a preposition may stand before it) or an invitation such as "vertel". Source: threshold
    inferred from the method's stress on open questions. Unit: ratio. Bands: good >= 0.6, else warn once there
    are three questions. Not available before a question.
    """

    name = "open_question_share"
    unit = "ratio"
    bounds = SHARE

    def compute(self, timeline: Timeline) -> MetricValue:
        asked = _asked(timeline)
        if not asked:
            return unavailable(self, "the user has asked no question")
        share = sum(question.form == "open" for question in asked) / len(asked)
        band: Band = "good" if share >= 0.6 else "warn"
        return measured(self, share, band if len(asked) >= 3 else "", f"over {len(asked)} questions")


class LeadingShare:
    """How many of the user's questions put the answer into the customer's mouth.

    Formula: leading questions / questions, both as the shared detector sees them: a sentence that asks counts as
    leading by its form ("u wilt toch ...?", "vindt u ook niet ...?", "surely you ...?", "..., right?"), whatever
    else it is, so that a summary checked with "right?" is one too. Source: the method's error "suggestive
    question"; threshold inferred. Unit: ratio. Bands: warn > 0.25, good 0, else none; none under three questions.
    Not available before a question.
    """

    name = "leading_question_share"
    unit = "ratio"
    bounds = SHARE

    def compute(self, timeline: Timeline) -> MetricValue:
        forms = [form for turn in timeline.turns_of("user") for form in turn.said.question_forms]
        if not forms:
            return unavailable(self, "the user has asked no question")
        share = forms.count("leading") / len(forms)
        band: Band = "warn" if share > 0.25 else "" if share else "good"
        return measured(self, share, band if len(forms) >= 3 else "", f"over {len(forms)} questions")


class QuestionRuns:
    """User turns with two or more questions: the customer answers one of them at best.

    Formula: number of user turns in which the detector counts at least two questions, whatever the recogniser made
    of their marks: each turn that it calls stacked is one of them (topics are its business, not told here).
    Source: inferred from the method's rule of one question at a time. Unit: count. Bands: good 0, else none. Not
    available before a question.
    """

    name = "turns_with_several_questions"
    unit = "count"
    bounds = UNBOUNDED

    def compute(self, timeline: Timeline) -> MetricValue:
        per_turn = [turn.said.n_asked for turn in timeline.turns_of("user")]
        if not any(per_turn):
            return unavailable(self, "the user has asked no question")
        count = sum(n > 1 for n in per_turn)
        return measured(self, count, "" if count else "good")


def _asked(timeline: Timeline) -> list[Question]:
    return [item for turn in timeline.turns_of("user") for item in turn.said.questions]


METRICS: tuple[Metric, ...] = (QuestionRate(), QuestionShare(), OpenShare(), LeadingShare(), QuestionRuns())
