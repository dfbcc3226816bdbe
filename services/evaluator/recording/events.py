"""`events.jsonl`: a session's events in stream order, and what of them the user's consent lets be kept. Pure.

A line is `{"entry": id of the stream entry, "event": the event as clients see it}`. What an evaluator would be given
stands in it, its own events and those of older owners too: a replay sorts them out as a live session does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, assert_never

from services.evaluator.recording.manifest import RecordingError
from shared.errors import WireError
from shared.events import (
    Backchannel,
    Body,
    CoachToVoice,
    Consent,
    ConsentChanged,
    EngineState,
    Event,
    Interrupted,
    MetricsUpdated,
    Notice,
    Prosody,
    ProsodyMeasured,
    ScorecardReady,
    SessionEnded,
    SessionStarted,
    Spoken,
    Transcript,
    TurnEnded,
    TurnScored,
    TurnStarted,
    VoiceToCoach,
)
from shared.wire import event_from_json, event_to_json

MAX_EVENTS = 200_000
MAX_LINE_BYTES = 1 << 20
"""An entry of the stream has at most 256 KiB as msgpack."""

_ENTRY = re.compile(r"\d{1,20}-\d{1,20}")


@dataclass(frozen=True, slots=True)
class Entry:
    """An event and the id of its stream entry."""

    entry_id: str
    event: Event

    @property
    def order(self) -> tuple[int, int]:
        """What grows along the stream."""
        return order_of(self.entry_id)


def order_of(entry_id: str) -> tuple[int, int]:
    """Return the two numbers of a stream entry's id."""
    first, _, second = entry_id.partition("-")
    return int(first), int(second)


def to_lines(entries: Iterable[Entry]) -> bytes:
    """Return the file."""
    lines = [
        json.dumps({"entry": each.entry_id, "event": event_to_json(each.event)}, ensure_ascii=False) + "\n"
        for each in entries
    ]
    return "".join(lines).encode()


def from_lines(data: bytes, session_id: str) -> tuple[Entry, ...]:
    """Return the events of a file. Raises RecordingError with the number of the line that is wrong.

    Wrong is what is cut off, no event, of another session, or out of order.
    """
    if data and not data.endswith(b"\n"):
        raise RecordingError("events.jsonl is cut off: its last line has no end")
    lines = data.split(b"\n")[:-1]
    if len(lines) > MAX_EVENTS:
        raise RecordingError(f"events.jsonl has {len(lines)} events; at most {MAX_EVENTS}")
    entries: list[Entry] = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = _entry(line)
            if entry.event.session_id != session_id:
                raise RecordingError(f"is of another session ({entry.event.session_id[:40]!r})")
            if entries and entry.order <= entries[-1].order:
                raise RecordingError(f"is out of order: {entry.entry_id} behind {entries[-1].entry_id}")
        except RecordingError as error:
            raise RecordingError(f"events.jsonl, line {number}: {error}") from error
        entries.append(entry)
    return tuple(entries)


def _entry(line: bytes) -> Entry:
    if len(line) > MAX_LINE_BYTES:
        raise RecordingError(f"has {len(line)} bytes; at most {MAX_LINE_BYTES}")
    try:
        value: Any = json.loads(line)
        if not isinstance(value, dict) or value.keys() != {"entry", "event"}:
            raise RecordingError('is not {"entry": ..., "event": ...}')
        if not isinstance(value["entry"], str) or not _ENTRY.fullmatch(value["entry"]):
            raise RecordingError("has no stream entry's id")
        return Entry(value["entry"], event_from_json(value["event"]))
    except (ValueError, RecursionError) as error:
        raise RecordingError("is no JSON") from error
    except WireError as error:
        raise RecordingError(f"is {error}") from error


def allowed(entries: Iterable[Entry], consent: Consent) -> tuple[Entry, ...]:
    """Return what may be kept: without `store_transcript` nothing that tells words, without `emotion` no feeling."""
    kept: list[Entry] = []
    for each in entries:
        body: Body | None = each.event.body
        if not consent.store_transcript:
            body = without_words(each.event.body)
        if body is not None and not consent.emotion:
            body = without_emotion(body)
        if body is not None:
            kept.append(each if body is each.event.body else Entry(each.entry_id, replace(each.event, body=body)))
    return tuple(kept)


def without_words(body: Body) -> Body | None:
    """Return the body without anything that was said or written, or judged of it; None if nothing is left of it."""
    match body:
        case TurnStarted() | TurnEnded() | ConsentChanged():
            return body
        case SessionStarted():
            return replace(body, persona="")
        case SessionEnded() | EngineState():
            return replace(body, detail="")
        case Notice():
            return replace(body, message="")  # the code says what it is about; a message may quote a sentence
        case (
            Transcript()
            | Spoken()
            | ProsodyMeasured()
            | VoiceToCoach()
            | CoachToVoice()
            | Interrupted()
            | Backchannel()
            | MetricsUpdated()
            | TurnScored()
            | ScorecardReady()
        ):
            return None
        case _:
            assert_never(body)


def without_emotion(body: Body) -> Body:
    """Return the body without what was inferred of the speaker's state. The evaluator makes no use of it."""
    if isinstance(body, ProsodyMeasured | VoiceToCoach) and (
        body.prosody.emotion or body.prosody.confidence is not None
    ):
        return replace(body, prosody=Prosody(energy=body.prosody.energy))
    return body
