"""Prometheus objects of the edge."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

CONNECTIONS = Gauge("splitbrain_edge_connections", "Client connections open now")
SESSIONS_OPENED = Counter("splitbrain_edge_sessions_opened_total", "Sessions by how they began", ["how"])
SESSIONS_ENDED = Counter("splitbrain_edge_sessions_ended_total", "Sessions ended by this edge", ["reason"])
REFUSED = Counter("splitbrain_edge_refused_total", "Connections that were refused", ["reason"])
FRAMES_IN = Counter("splitbrain_edge_frames_in_total", "80 ms frames taken in from clients")
FRAMES_DROPPED = Counter("splitbrain_edge_frames_dropped_total", "Frames dropped, by why", ["why"])
MESSAGES_OUT = Counter("splitbrain_edge_messages_out_total", "WebSocket messages sent")
BAD_MESSAGES = Counter("splitbrain_edge_bad_messages_total", "Client messages that could not be used", ["why"])
ENGINE_LOST = Counter("splitbrain_edge_engine_lost_total", "Times that a session lost this engine", ["engine"])
ENGINE_CHANGES = Counter("splitbrain_edge_engine_changes_total", "Sessions that went on with this engine", ["engine"])
START = Histogram(
    "splitbrain_edge_start_seconds",
    "From the upgrade to the handshake",
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0),
)
