"""Recordings for tests of commands: short talks, each with its id, in a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.evaluator.evaluation import scorecard_bytes
from services.evaluator.recording.store import RecordingStore
from tests.services.evaluator.conftest import load_maker
from tests.services.evaluator.replay.conftest import put_recording, with_id

LINES = ("Goedemorgen, ik ben Tom van Fleet.", "Hoe plant u vandaag uw ritten?", "Wat betekent dat voor u?")


def talk(number: int) -> list[Any]:
    """Return the events of a short talk, a different one for each number."""
    scene = load_maker().Scene()
    scene.start()
    at_ms = 1_000
    for turn, text in enumerate(LINES[: 1 + number % 3], start=1):
        at_ms = scene.user(turn, at_ms, text) + 600
        at_ms = scene.hugo(turn, at_ms, "Ja, dat is elke maandag " + "druk " * (1 + number % 4)) + 700
    scene.end(at_ms)
    return with_id(scene.events, number)


def put_talks(folder: Path, n: int) -> list[str]:
    """Put `n` talks with their scorecards into a store in a folder; return their ids."""
    store = RecordingStore(str(folder))
    talks = [talk(number) for number in range(n)]
    return [put_recording(store, events, scorecard_bytes(events)) for events in talks]
