"""Prometheus objects that more than one service uses. Names carry units; no label holds a session id."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

FRAME_BUCKETS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.048, 0.064, 0.08, 0.096, 0.16, 0.32, 0.64, 1.28)
"""Seconds, around the 80 ms budget of a frame."""

BROKER_WRITES = Counter("splitbrain_broker_writes_total", "Stream entries written")
BROKER_READS = Counter("splitbrain_broker_reads_total", "Stream entries read")
BROKER_SHED = Counter(
    "splitbrain_broker_shed_total", "Entries dropped before they reached Redis, oldest first", ["kind"]
)
BROKER_PENDING = Gauge("splitbrain_broker_pending_entries", "Entries that wait to be written")
BROKER_ERRORS = Counter("splitbrain_broker_errors_total", "Failed calls to Redis", ["call"])
BROKER_UP = Gauge("splitbrain_broker_up", "1 while Redis answers")
BROKER_FLUSH = Histogram("splitbrain_broker_flush_seconds", "One pipelined write to Redis", buckets=FRAME_BUCKETS)
BAD_ENTRIES = Counter("splitbrain_bad_entries_total", "Stream entries that could not be decoded", ["stream"])
SESSIONS = Gauge("splitbrain_sessions", "Sessions that this process serves now")
SESSIONS_TAKEN = Counter(
    "splitbrain_sessions_taken_total", "Sessions taken, by how: new, or over from another owner", ["how"]
)
SESSIONS_LOST = Counter("splitbrain_sessions_lost_total", "Sessions that another owner took from this process")
HEARTBEAT_AGE = Gauge("splitbrain_heartbeat_age_seconds", "Seconds since the leases were last renewed")
STALE_EPOCH = Counter("splitbrain_stale_epoch_total", "Entries of an older owner that were dropped")
DUPLICATE_FRAMES = Counter("splitbrain_duplicate_frames_total", "Input frames that came twice and were taken once")
HANDLER_FAILURES = Counter("splitbrain_handler_failures_total", "Tries of an event or a job that failed", ["role"])
DEAD_LETTERS = Counter("splitbrain_dead_letters_total", "Entries set aside after their last try", ["role"])
DEAD_LETTERS_SHED = Counter(
    "splitbrain_dead_letters_shed_total", "Set-aside entries that gave way to newer ones, oldest first"
)
