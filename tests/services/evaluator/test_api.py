"""The calls for notebooks: load, evaluate, frames."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from services.evaluator import api
from services.evaluator.recording.archive import publish
from services.evaluator.recording.manifest import RecordingError
from services.evaluator.recording.store import RecordingStore
from shared.coaching.detector import rule_detector
from tests.services.evaluator.recorded_talks import packed, role_play_events, scene_events


@pytest.fixture
def folder(tmp_path: Path) -> str:
    store = RecordingStore(str(tmp_path))
    publish(store, packed(role_play_events()))
    publish(store, packed(scene_events("Hoe plant u uw ritten?", number=1)))
    return str(tmp_path)


def test_a_notebook_in_four_calls(folder: str) -> None:
    results = [api.evaluate(recording, rule_detector()) for recording in api.load_recordings(folder)]
    turns = api.turns_frame(results)
    assert turns["recording"].n_unique() == 2
    asked = turns.filter(pl.col("speaker") == "user").group_by("recording").agg(pl.col("n_questions").sum())
    assert asked["n_questions"].min() == 1
    assert api.words_frame(results).height == turns["n_words"].sum() - 1  # a backchannel's word stands in its turn only
    assert api.metrics_frame(results[0]).filter(pl.col("name") == "talk_share")["value"].item() > 0
    assert api.events_frame(results[0]).height == len(results[0].recording.events)


def test_one_recording_is_loaded_by_its_address(folder: str) -> None:
    first = next(api.load_recordings(folder))
    assert api.load_recording(f"{folder}/{first.manifest.id}").manifest == first.manifest
    with pytest.raises(RecordingError):
        api.load_recording(f"{folder}/01jd0000000000000000999999")
