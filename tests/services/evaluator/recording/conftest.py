"""Sessions that have ended, as their streams are in Redis, and stores to archive them to."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from services.evaluator.evaluation import evaluate_events
from services.evaluator.recording.archive import Archiver
from services.evaluator.recording.store import RecordingStore
from shared.broker import Broker
from shared.coaching.detector import default_detector
from shared.events import Consent, Event, SessionStarted
from shared.retention import consent_to_state
from shared.streams import SessionKeys
from shared.wire import AudioFrame

EVERYTHING = Consent(store_audio=True, store_transcript=True, emotion=True)
_PACKET = b"\x48" + b"p" * 39  # SILK, 20 ms, one frame


def packets_of(number: int) -> tuple[bytes, ...]:
    """Return a frame's packets, different for each number."""
    return tuple(_PACKET[:-4] + (4 * number + i).to_bytes(4, "big") for i in range(4))


def frame(seq: int, **more: Any) -> AudioFrame:
    return AudioFrame(seq, 1920, packets_of(seq), capture_ms=1_000_000 + 80 * seq, epoch=1, **more)


@dataclass(frozen=True)
class Session:
    """An ended session in Redis."""

    broker: Broker
    keys: SessionKeys
    events: Sequence[Event]

    @property
    def id(self) -> str:
        return self.keys.session_id

    def archiver(self, store: RecordingStore, **more: Any) -> Archiver:
        return Archiver(self.broker.client, store, default_detector(), **more)


async def put_session(
    broker: Broker,
    events: Sequence[Event],
    consent: Consent = EVERYTHING,
    *,
    n_frames: int = 10,
    answered: int | None = None,
    lost: frozenset[int] = frozenset(),
    with_card: bool = True,
) -> Session:
    """Write a session's streams; `answered` frames come back (default: all), those in `lost` did not come in."""
    started = events[0]
    assert isinstance(started.body, SessionStarted)
    events = [replace(started, body=replace(started.body, consent=consent)), *events[1:]]
    keys = broker.keys(started.session_id)
    for event in events:
        broker.publish_event(keys, event)
    numbers = [seq for seq in range(n_frames) if seq not in lost]
    for seq in numbers:
        broker.publish_audio(keys.audio_in, frame(seq))
    assert await broker.writer.drain()
    ids = [entry_id.decode() for entry_id, _ in await broker.client.xrange(keys.audio_in)]
    for count, seq, entry_id in zip(itertools.count(), numbers[:answered], ids, strict=False):
        broker.publish_audio(keys.audio_out, replace(frame(seq), seq=count, consumed=entry_id))
    assert await broker.writer.drain()
    await broker.client.hset(keys.state, mapping={"status": "ended", **consent_to_state(consent)})
    if with_card:
        await broker.client.set(keys.scorecard, evaluate_events(events).to_bytes())
    return Session(broker, keys, events)


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    """An empty store in a local folder that is not there yet."""
    return RecordingStore(str(tmp_path / "recordings"))


@pytest.fixture
def litter(tmp_path: Path) -> Callable[[], list[str]]:
    """A function that names everything that lies in the store's folder."""
    root = tmp_path / "recordings"
    return lambda: sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))
