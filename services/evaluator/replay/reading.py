"""Reads of a recording what an evaluation needs: its events and its scorecard, checked; its sound is not touched."""

from __future__ import annotations

from services.evaluator.recording.events import from_lines
from services.evaluator.recording.manifest import FileName, RecordingError
from services.evaluator.recording.reader import check_file, read_manifest
from services.evaluator.recording.store import RecordingStore
from services.evaluator.replay.in_process import Recorded


def read_recorded(store: RecordingStore, recording_id: str) -> Recorded:
    """Return what was recorded of a session's events. Raises RecordingError that says what is wrong, StoreError."""
    manifest = read_manifest(store, recording_id)

    def read(name: FileName) -> bytes:
        entry = manifest.files[name]
        return check_file(name, entry, store.read(recording_id, name, entry.n_bytes))

    entries = from_lines(read("events.jsonl"), recording_id)
    if len(entries) != manifest.events.count:
        raise RecordingError(f"events.jsonl has {len(entries)} events; the manifest says {manifest.events.count}")
    card = read("scorecard.json") if "scorecard.json" in manifest.files else None
    return Recorded(
        recording_id,
        tuple(each.event for each in entries),
        card,
        manifest.files["events.jsonl"].sha256,
        manifest.clocks.media_ms,
    )
