"""Prometheus objects of the coach. Names carry units; no label holds a session id."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

FIRST_PART = Histogram(
    "splitbrain_coach_first_part_seconds",
    "From the turn's arrival at the coach to the first sentence of the answer",
    ["brain"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4),
)
ANSWERS = Counter("splitbrain_coach_answers_total", "Answers given, by the brain that finished them", ["brain"])
SUPERSEDED = Counter("splitbrain_coach_superseded_total", "Answers given up because the seller spoke again")
FALLBACKS = Counter("splitbrain_coach_fallbacks_total", "Answers that the policy had to finish, by cause", ["cause"])
REFUSED = Counter("splitbrain_coach_refused_sentences_total", "Sentences of a model that a guard held back", ["reason"])
FAILED = Counter("splitbrain_coach_failed_answers_total", "Answers that ended with an error")
UNPUBLISHED = Counter(
    "splitbrain_coach_unpublished_answers_total", "Answers of which a part could not be passed on: the broker was full"
)
