"""Measurements on real processes. Each prints what it measured; docs/performance.md says what came out."""
