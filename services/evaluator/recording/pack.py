"""Puts a recording together: events, frames and what the user allows become files and their manifest. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from services.evaluator.recording.events import Entry, allowed, to_lines, without_emotion
from services.evaluator.recording.manifest import (
    MAX_FILE_BYTES,
    TRACK_FILES,
    Clocks,
    ConsentEntry,
    EventsEntry,
    FileName,
    LeftOut,
    Manifest,
    RecordingError,
    Side,
    TrackEntry,
    Versions,
    file_entry,
)
from services.evaluator.recording.tracks import Track, to_ogg
from services.evaluator.scorecard import EVALUATOR_VERSION
from shared.events import SCHEMA_VERSION, Consent, Event, SessionEnded, SessionStarted
from shared.version import package_version
from shared.wire import WIRE_VERSION


@dataclass(frozen=True, slots=True)
class Parts:
    """What a recording is made from. `lost_sound`: why there are no tracks although they are allowed, "" if there are.

    `passed_over` and `set_aside` count events that are not among `entries`. `scorecard` is canonical JSON.
    """

    recording_id: str
    source: Literal["session", "import"]
    entries: tuple[Entry, ...]
    consent: Consent
    tracks: Mapping[Side, Track]
    scorecard: bytes | None = None
    passed_over: int = 0
    set_aside: int = 0
    lost_sound: Literal["", "not_recorded", "expired"] = ""
    imported_from: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Packed:
    """A recording's files, and its manifest that is to be written behind them."""

    manifest: Manifest
    files: Mapping[FileName, bytes]


def pack(parts: Parts) -> Packed:
    """Return the recording, holding only what the consent allows. Raises RecordingError if it cannot be one."""
    started = next((e.event.body for e in parts.entries if isinstance(e.event.body, SessionStarted)), None)
    if started is None:
        raise RecordingError("the session's beginning is not among its events")
    entries = allowed(parts.entries, parts.consent)
    tracks = _aligned(parts.tracks) if parts.consent.store_audio else {}
    files: dict[FileName, bytes] = {"events.jsonl": to_lines(entries)}
    for side, track in tracks.items():
        files[TRACK_FILES[side]] = to_ogg(track, zlib.crc32(f"{parts.recording_id}:{side}".encode()))
    if parts.scorecard is not None and parts.consent.store_transcript:
        files["scorecard.json"] = parts.scorecard
    for name, data in files.items():
        if len(data) > MAX_FILE_BYTES[name]:
            raise RecordingError(f"{name} would have {len(data)} bytes; at most {MAX_FILE_BYTES[name]}")
    return Packed(_manifest(parts, started, entries, tracks, files), files)


def _aligned(tracks: Mapping[Side, Track]) -> dict[Side, Track]:
    """Fill the shorter track up to the end of the longer one."""
    longest = max((track.n_samples for track in tracks.values()), default=0)
    for track in tracks.values():
        track.pad(longest)
    return dict(tracks)


def _manifest(
    parts: Parts,
    started: SessionStarted,
    entries: tuple[Entry, ...],
    tracks: Mapping[Side, Track],
    files: Mapping[FileName, bytes],
) -> Manifest:
    events = [each.event for each in parts.entries]
    ended = next((event.body for event in events if isinstance(event.body, SessionEnded)), None)
    consent = parts.consent
    return Manifest(
        id=parts.recording_id,
        source=parts.source,
        engine=started.engine,
        language=started.language,
        locale=started.locale,
        profile=started.profile,
        end_reason=ended.reason if ended else "",
        versions=Versions(
            splitbrain=package_version(), evaluator=EVALUATOR_VERSION, events=SCHEMA_VERSION, wire=WIRE_VERSION
        ),
        clocks=_clocks(events),
        consent=ConsentEntry(
            store_audio=consent.store_audio, store_transcript=consent.store_transcript, emotion=consent.emotion
        ),
        left_out=tuple(_left_out(parts, files)),
        events=EventsEntry(
            count=len(entries),
            is_whole=isinstance(events[0].body, SessionStarted) and ended is not None,
            passed_over=parts.passed_over,
            set_aside=parts.set_aside,
        ),
        tracks={side: _track_entry(track) for side, track in tracks.items()},
        files={name: file_entry(data) for name, data in files.items()},
        imported_from=parts.imported_from,
    )


def _clocks(events: list[Event]) -> Clocks:
    return Clocks(
        started_wall_ms=events[0].wall_ms,
        ended_wall_ms=max(event.wall_ms for event in events),
        media_ms=max(event.media_ms for event in events),
    )


def _track_entry(track: Track) -> TrackEntry:
    return TrackEntry(
        n_samples=track.n_samples,
        n_packets=len(track.packets),
        silent_samples=track.silent_samples,
        lost_frames=track.lost_frames,
        dropped_packets=track.dropped_packets,
        first_wall_ms=track.first_wall_ms,
        last_wall_ms=track.last_wall_ms,
    )


def _left_out(parts: Parts, files: Mapping[FileName, bytes]) -> list[LeftOut]:
    consent, found = parts.consent, []
    for name in TRACK_FILES.values():
        if name not in files:
            why = "no_consent" if not consent.store_audio else parts.lost_sound or "not_recorded"
            found.append(LeftOut(what=name, why=why))
    if not consent.store_transcript:
        found.append(LeftOut(what="words", why="no_consent"))
    if not consent.emotion and any(without_emotion(e.event.body) is not e.event.body for e in parts.entries):
        found.append(LeftOut(what="emotion", why="no_consent"))
    if "scorecard.json" not in files:
        found.append(
            LeftOut(what="scorecard.json", why="no_consent" if not consent.store_transcript else "not_recorded")
        )
    return found
