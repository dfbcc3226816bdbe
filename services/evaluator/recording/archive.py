"""Archives one ended session: reads its streams, packs what is allowed, puts it into the store, reads it back.

Idempotent and resumable: a recording that is there is left alone, a half-written one is written anew. Doing it twice at
once does no harm: both write the same bytes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from services.evaluator.evaluation import evaluate_events
from services.evaluator.recording.events import Entry
from services.evaluator.recording.manifest import MANIFEST, RecordingError, Side
from services.evaluator.recording.pack import Packed, Parts, pack
from services.evaluator.recording.reader import check_files, read_manifest
from services.evaluator.recording.store import RecordingStore
from services.evaluator.recording.tracks import Track, input_in_order, output_in_order, place
from shared.broker import RedisClient
from shared.broker.append import FIELD
from shared.broker.connection import CALL_TIMEOUT_S
from shared.broker.entries import readable
from shared.broker.frames import FrameFilter
from shared.coaching.detection import Detector
from shared.dead_letters import DeadLetters
from shared.events import Consent, SessionEnded, SessionStarted
from shared.retention import CONSENT_FIELDS, consent_from_state, latest_consent
from shared.streams import SessionKeys
from shared.wire import AudioFrame, decode_audio, decode_event

log = logging.getLogger(__name__)

Outcome = Literal["archived", "there", "no_consent", "gone", "not_yet"]

PAGE = 500
"""Entries read from Redis at a time."""

WAIT_FOR_CARD_MS = 12_000
"""From a session's end: so long its job may take to keep the scorecard; then it is computed here."""

WAIT_FOR_END_MS = 60_000
"""So long the event that tells of the end may be on its way from an edge."""


@dataclass(frozen=True, slots=True)
class Archiver:
    """What archiving needs: Redis, the store, and the judge for a session whose card nobody kept."""

    client: RedisClient
    store: RecordingStore
    detector: Detector
    on_step: Callable[[str], None] = field(default=lambda step: None)
    """Called before each step that changes the store, with its name."""

    async def archive(self, keys: SessionKeys, age_ms: int) -> Outcome:
        """Archive the session that ended `age_ms` ago and return what came of it.

        archived | there (it was already) | no_consent (nothing may be kept) | gone (Redis has nothing of it any
        more) | not_yet (its end or its scorecard is still on its way). Raises what Redis raises, StoreError,
        RecordingError for a session that cannot become a recording.
        """
        if await asyncio.to_thread(self._is_there, keys.session_id):
            return "there"
        found = await self._read(keys)
        if found is None:
            await asyncio.to_thread(self._remove_half, keys.session_id)
            return "gone"
        entries, consent = found.entries, found.consent
        if not any(isinstance(each.event.body, SessionEnded) for each in entries) and age_ms < WAIT_FOR_END_MS:
            return "not_yet"
        if not consent.store_audio and not consent.store_transcript:
            await asyncio.to_thread(self._remove_half, keys.session_id)
            return "no_consent"
        card = await self._card(keys) if consent.store_transcript else None
        if card is None and consent.store_transcript and age_ms < WAIT_FOR_CARD_MS:
            return "not_yet"
        sound = await self._sound(keys) if consent.store_audio else _Sound()
        await asyncio.to_thread(self._write, keys, found, sound, card)
        return "archived"

    def _is_there(self, session_id: str) -> bool:
        """True if the store has this recording as its manifest says. Blocks."""
        if not self.store.has(session_id):
            return False
        try:
            check_files(self.store, read_manifest(self.store, session_id))
        except RecordingError as error:
            log.error("the recording of a session is damaged and is written anew, if Redis still has it: %s", error)
            return False
        return True

    def _remove_half(self, session_id: str) -> None:
        """Remove what an earlier try left. Blocks."""
        if not self.store.has(session_id):
            self.store.delete(session_id)

    def _write(self, keys: SessionKeys, found: _Events, sound: _Sound, card: bytes | None) -> None:
        """Put the recording into the store and read it back. Blocks."""
        if card is None and found.consent.store_transcript:
            card = evaluate_events([each.event for each in found.entries], self.detector).to_bytes()
        parts = Parts(
            keys.session_id,
            "session",
            found.entries,
            found.consent,
            sound.tracks(),
            card,
            found.passed_over,
            found.set_aside,
            sound.why,
        )
        publish(self.store, pack(parts), self.on_step)

    async def _read(self, keys: SessionKeys) -> _Events | None:
        """Return the session's events and its consent; None if its beginning is gone."""
        async with asyncio.timeout(CALL_TIMEOUT_S):
            left_out = await DeadLetters(self.client).set_aside(keys, "evaluator")
            state = await self.client.hmget(keys.state, CONSENT_FIELDS)
        raw = await self._stream(keys.events)
        events = await asyncio.to_thread(lambda: list(readable(raw, decode_event, "events")))
        kept = tuple(Entry(entry_id, event) for entry_id, event in events if entry_id not in left_out)
        if not any(isinstance(event.body, SessionStarted) for _, event in events):
            return None
        consent = _both(latest_consent([event for _, event in events]), state)
        return _Events(kept, consent, len(raw) - len(events), len(events) - len(kept))

    async def _card(self, keys: SessionKeys) -> bytes | None:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            card: bytes | None = await self.client.get(keys.scorecard)
        return card

    async def _sound(self, keys: SessionKeys) -> _Sound:
        """Return both directions' frames; none where a stream went away meanwhile."""
        frames: list[list[tuple[str, AudioFrame]]] = []
        for key, kind in ((keys.audio_in, "audio.in"), (keys.audio_out, "audio.out")):
            async with asyncio.timeout(CALL_TIMEOUT_S):
                n_entries = int(await self.client.xlen(key))
            raw = await self._stream(key)
            if len(raw) < n_entries:
                return _Sound(why="expired")
            frames.append(await asyncio.to_thread(_that_count, raw, kind))
        heard, said = frames
        return _Sound(heard, said) if heard or said else _Sound(why="not_recorded")

    async def _stream(self, key: str) -> list[tuple[str, bytes]]:
        """Return (entry id, bytes) of a whole stream."""
        entries: list[tuple[str, bytes]] = []
        after = "-"
        while True:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                page = await self.client.xrange(key, min=after, max="+", count=PAGE)
            entries += [(entry_id.decode(), fields.get(FIELD, b"")) for entry_id, fields in page]
            if len(page) < PAGE:
                return entries
            after = f"({page[-1][0].decode()}"


@dataclass(frozen=True, slots=True)
class _Events:
    entries: tuple[Entry, ...]
    consent: Consent
    passed_over: int
    set_aside: int


@dataclass(frozen=True, slots=True)
class _Sound:
    heard: list[tuple[str, AudioFrame]] = field(default_factory=list)
    said: list[tuple[str, AudioFrame]] = field(default_factory=list)
    why: Literal["", "not_recorded", "expired"] = ""

    def tracks(self) -> dict[Side, Track]:
        """Return both tracks; none where there is no sound."""
        if not self.heard and not self.said:
            return {}
        heard = input_in_order([frame for _, frame in self.heard])
        numbers = {entry_id: frame.seq for (entry_id, _), frame in zip(self.heard, heard, strict=True)}
        said = output_in_order([frame for _, frame in self.said], numbers)
        return {"input": place(heard), "output": place(said)}


def publish(store: RecordingStore, packed: Packed, on_step: Callable[[str], None] = lambda step: None) -> None:
    """Write a recording's files, then its manifest, then hold what the store gives back against it.

    Blocks. Raises StoreError, and RecordingError if the store gave something else back: then nothing is left there.
    """
    recording_id = packed.manifest.id
    for name, data in packed.files.items():
        on_step(name)
        store.write(recording_id, name, data)
    on_step(MANIFEST)
    store.write(recording_id, MANIFEST, packed.manifest.to_bytes())
    on_step("check")
    try:
        check_files(store, packed.manifest)
    except Exception:
        store.delete(recording_id)
        raise


def _that_count(raw: list[tuple[str, bytes]], kind: str) -> list[tuple[str, AudioFrame]]:
    accepts = FrameFilter().accepts
    return [(entry_id, frame) for entry_id, frame in readable(raw, decode_audio, kind) if accepts(frame)]


def _both(said: Consent, state: list[bytes | None]) -> Consent:
    """Return what the events and the state hash both allow: an event of a change may have been lost on its way."""
    fields = {name: value.decode() for name, value in zip(CONSENT_FIELDS, state, strict=True) if value is not None}
    if not fields:
        return said
    written = consent_from_state(fields)
    return Consent(
        said.store_audio and written.store_audio,
        said.store_transcript and written.store_transcript,
        said.emotion and written.emotion,
    )
