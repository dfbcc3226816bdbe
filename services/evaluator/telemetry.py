"""Prometheus objects of the evaluator. Names carry units; no label holds a session id."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

TURNS_SCORED = Counter("splitbrain_evaluator_turns_scored_total", "User turns that got a verdict")
SCORECARDS = Counter("splitbrain_evaluator_scorecards_total", "Scorecards published at a session's end")
PUBLISH_REFUSED = Counter(
    "splitbrain_evaluator_publish_refused_total", "Events that the broker did not take, by kind", ["kind"]
)
ENQUEUE_FAILED = Counter("splitbrain_evaluator_enqueue_failed_total", "Jobs that could not be enqueued")
STEP_SECONDS = Histogram(
    "splitbrain_evaluator_step_seconds",
    "Work on one event, by what it was",
    ["step"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0),
)
JOBS = Counter("splitbrain_evaluator_jobs_total", "Jobs by name and outcome", ["job", "outcome"])
SCORECARD_MISMATCH = Counter(
    "splitbrain_evaluator_scorecard_mismatch_total", "Sessions whose live and recomputed scorecards differ"
)
RECORDINGS = Counter(
    "splitbrain_evaluator_recordings_total", "Ended sessions that were to be archived, by what came of it", ["outcome"]
)
RECORDING_LAG_SECONDS = Histogram(
    "splitbrain_evaluator_recording_lag_seconds",
    "From a session's end until its recording was complete",
    buckets=(5, 7.5, 10, 12.5, 15, 20, 25, 30, 60, 300),
)
RECORDINGS_WAITING = Gauge("splitbrain_evaluator_recordings_waiting", "Ended sessions that are not archived yet")
UNFINISHED_REMOVED = Counter(
    "splitbrain_evaluator_recordings_removed_total", "Half-written recordings that nobody can finish, removed"
)
