from __future__ import annotations

from pathlib import Path

import pytest

from services.evaluator.recording.manifest import RecordingError
from services.evaluator.recording.store import RecordingStore
from services.evaluator.replay.reading import read_recorded
from tests.services.evaluator.replay.conftest import LiveSession, put_recording


def test_events_and_card_come_back(store: RecordingStore, live: LiveSession) -> None:
    recorded = read_recorded(store, put_recording(store, live.stream, b"{}"))
    assert recorded.events == tuple(live.stream)
    assert (recorded.scorecard, recorded.media_ms) == (b"{}", max(event.media_ms for event in live.stream))
    assert len(recorded.sha256) == 64


@pytest.mark.parametrize("name", ["events.jsonl", "scorecard.json"])
def test_a_damaged_file_is_refused(store: RecordingStore, live: LiveSession, name: str) -> None:
    recording_id = put_recording(store, live.stream, b"{}")
    path = Path(store.url) / recording_id / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RecordingError, match="cut off"):
        read_recorded(store, recording_id)
    path.unlink()
    with pytest.raises(RecordingError, match="missing"):
        read_recorded(store, recording_id)


def test_what_is_not_there(store: RecordingStore) -> None:
    with pytest.raises(RecordingError, match="not there"):
        read_recorded(store, "0" * 26)
