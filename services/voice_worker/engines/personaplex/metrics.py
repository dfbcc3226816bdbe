"""The engine's metrics, named after what an operator has to know: does a tick fit its 80 ms?"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.15, 0.25, 0.5, 1.0)

STEP_SECONDS = Histogram("splitbrain_personaplex_step_seconds", "One tick of all slots", buckets=_BUCKETS)
PREFILL_SECONDS = Histogram("splitbrain_personaplex_prefill_seconds", "One piece of a prompt", buckets=_BUCKETS)
READY_SECONDS = Histogram(
    "splitbrain_personaplex_ready_seconds", "From a session's request to its slot being primed", buckets=_BUCKETS
)
DEADLINE_MISSES = Counter("splitbrain_personaplex_deadline_misses_total", "Ticks that took longer than their 80 ms")
CATCH_UP_TICKS = Counter("splitbrain_personaplex_catch_up_ticks_total", "Extra ticks for slots whose frames waited")
FRAMES = Counter(
    "splitbrain_personaplex_frames_total", "Frames by what became of them: heard, late, shed, muted", ["outcome"]
)
DEFICIT = Gauge("splitbrain_personaplex_frame_deficit", "Frames that wait for the model, in the slot with the most")
SLOTS = Gauge("splitbrain_personaplex_slots", "Slots by state", ["state"])
REPRIMED = Counter("splitbrain_personaplex_reprimed_total", "Slots rebuilt before their context was full", ["moment"])
RESTARTS = Counter("splitbrain_personaplex_restarts_total", "Slots muted and primed again", ["reason"])
ACCEPTING = Gauge("splitbrain_personaplex_accepting", "1 while sessions are admitted; 0 while ticks overrun")
