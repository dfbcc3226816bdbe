"""Audio facts that every layer shares: frame size and rate."""

from __future__ import annotations

SAMPLE_RATE = 24_000
"""Samples per second of every session, mono."""

FRAME_MS = 80
"""One frame in milliseconds: the step of Mimi and of every engine."""

FRAME_SAMPLES = SAMPLE_RATE * FRAME_MS // 1000
"""Samples in one frame (1,920)."""
