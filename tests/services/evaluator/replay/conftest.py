"""Recordings of sessions as a live evaluator served them: its own events and its scorecard are in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.evaluator.recording.archive import publish
from services.evaluator.recording.events import Entry
from services.evaluator.recording.pack import Parts, pack
from services.evaluator.recording.store import RecordingStore
from services.evaluator.session import EvaluatorSession
from shared.coaching.detector import default_detector
from shared.events import Body, Consent, Event

EVERYTHING = Consent(store_audio=True, store_transcript=True, emotion=True)


class LiveSession:
    """A session as its stream stands at its end: what everybody published, and what the evaluator said of it."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.session_id = events[0].session_id
        self.stream: list[Event] = []
        asyncio.run(self._serve(events))

    async def _serve(self, events: Sequence[Event]) -> None:
        handler = EvaluatorSession(self.session_id, self, default_detector(), self._enqueue)
        for event in events:
            self.stream.append(event)
            await handler.on_event(event)

    def publish(self, body: Body, *, event_id: str, media_ms: int) -> None:
        self.stream.append(Event(event_id, self.session_id, "evaluator", 1, media_ms, 1_800_000_000_000, body))

    async def _enqueue(self, session_id: str) -> None:
        pass


def with_id(events: Sequence[Event], number: int) -> list[Event]:
    """Return the events as those of another session."""
    session_id = f"01jd00000000000000000r{number:04d}"
    return [replace(event, session_id=session_id) for event in events]


def put_recording(store: RecordingStore, stream: Sequence[Event], card: bytes | None = None) -> str:
    """Put a session's stream into a store as its recording; return its id."""
    entries = tuple(Entry(f"{number}-0", event) for number, event in enumerate(stream, start=1))
    publish(store, pack(Parts(stream[0].session_id, "session", entries, EVERYTHING, {}, card)))
    return stream[0].session_id


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    """An empty store."""
    return RecordingStore(str(tmp_path / "recordings"))


@pytest.fixture(scope="session")
def live(role_play: list[Event]) -> LiveSession:
    """The role play as it was served live."""
    return LiveSession(role_play)


@pytest.fixture(scope="session")
def talk_of(maker: Any) -> Callable[[int], list[Event]]:
    """A function number -> a short talk's events, a different one for each number."""

    def make(number: int) -> list[Event]:
        scene = maker.Scene()
        scene.start()
        at_ms = 1_000
        lines = ("Goedemorgen, ik ben Tom van Fleet.", "Hoe plant u vandaag uw ritten?", "Wat betekent dat voor u?")
        for turn, text in enumerate(lines[: 1 + number % 3], start=1):
            at_ms = scene.user(turn, at_ms, text) + 600
            at_ms = scene.hugo(turn, at_ms, "Ja, dat is elke maandag " + "druk " * (1 + number % 4)) + 700
        scene.end(at_ms)
        return with_id(scene.events, number)

    return make
