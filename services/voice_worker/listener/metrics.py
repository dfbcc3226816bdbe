"""Prometheus metrics of the listeners of this process."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

RECOGNITION_SECONDS = Histogram(
    "splitbrain_listener_recognition_seconds",
    "Time of one recognition call, by what it was for.",
    ("purpose",),
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0),
)
RECOGNITION_FAILED = Counter(
    "splitbrain_listener_recognition_failed_total", "Recognition calls that failed or timed out.", ("purpose",)
)
END_TO_TEXT_SECONDS = Histogram(
    "splitbrain_listener_end_to_text_seconds",
    "Media time from the end of a user's speech to its VoiceToCoach.",
    buckets=(0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0),
)
SHED_FRAMES = Counter("splitbrain_listener_shed_frames_total", "Frames not listened to: the media thread was full.")
TURNS = Counter("splitbrain_listener_turns_total", "User turns that ended, by what came of them.", ("outcome",))
HINT_MISSED = Counter(
    "splitbrain_listener_hint_missed_total", "End-of-turn hints that failed or came too late to be asked for."
)
