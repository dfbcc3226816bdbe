"""What a recording says of itself: `manifest.json`, and the errors of this package. Pure.

The manifest is the commit mark: it is written last and holds the hash of every other file, so a folder without one is
half-written. It tells nothing of when it was written: the same session gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from services.evaluator.scorecard import canonical_json
from shared.audio import SAMPLE_RATE
from shared.errors import SplitbrainError

SCHEMA: Final = "splitbrain.recording/1"
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 256 * 1024

FileName = Literal["events.jsonl", "input.ogg", "output.ogg", "scorecard.json"]
"""Every file that a recording may have beside its manifest."""

Side = Literal["input", "output"]
TRACK_FILES: dict[Side, FileName] = {"input": "input.ogg", "output": "output.ogg"}

MAX_FILE_BYTES: dict[FileName, int] = {
    "events.jsonl": 256 << 20,
    "input.ogg": 512 << 20,
    "output.ogg": 512 << 20,
    "scorecard.json": 4 << 20,
}
"""Larger files are neither written nor read. An hour of sound at 32 kbit/s is 15 MB, an hour of events about 5 MB."""

MAX_TRACK_SAMPLES = 12 * 3600 * SAMPLE_RATE
"""A track is at most 12 hours long."""

_ID = re.compile(r"[0-9a-z]{20,40}")


class RecordingError(SplitbrainError):
    """A recording, or what is to become one, is not as it must be. The message says what, for a person."""


class StoreError(SplitbrainError):
    """The place where recordings are kept does not answer or refuses; trying again later may help."""


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


Count = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(max_length=2_000)]


class FileEntry(_Model):
    """A file of the recording: its SHA-256 in hexadecimal, and its length."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    n_bytes: Count


class TrackEntry(_Model):
    """One direction's sound: Ogg Opus, mono, and sample n of it is sample n of media time.

    `n_samples` at 24 kHz. `silent_samples` were filled in where frames are missing (`lost_frames`) or a packet was
    left out (`dropped_packets`: unreadable, or beyond its frame's time). `first_wall_ms` and `last_wall_ms` are when
    the first and the last frame were captured, 0 where nobody said.
    """

    n_samples: Annotated[int, Field(ge=0, le=MAX_TRACK_SAMPLES)]
    n_packets: Count
    silent_samples: Count = 0
    lost_frames: Count = 0
    dropped_packets: Count = 0
    first_wall_ms: Count = 0
    last_wall_ms: Count = 0


class EventsEntry(_Model):
    """What `events.jsonl` holds. `is_whole`: the session's beginning and its end are in it.

    `passed_over` could not be read, `set_aside` made the evaluator fail; neither is in the file.
    """

    count: Count
    is_whole: bool
    passed_over: Count = 0
    set_aside: Count = 0


class Versions(_Model):
    """What wrote the recording."""

    splitbrain: Text
    evaluator: Text
    events: Count
    wire: Count


class Clocks(_Model):
    """Wall times (ms since 1970, UTC) of the session's first and last event, and its length on media time."""

    started_wall_ms: Count
    ended_wall_ms: Count
    media_ms: Count


class ConsentEntry(_Model):
    """What the user allowed in the end."""

    store_audio: bool
    store_transcript: bool
    emotion: bool


class LeftOut(_Model):
    """Something that is not in the recording, and why: `no_consent`, `not_recorded` or `expired`."""

    what: Literal["input.ogg", "output.ogg", "words", "emotion", "scorecard.json"]
    why: Literal["no_consent", "not_recorded", "expired"]


class Manifest(_Model):
    """`manifest.json`."""

    schema_: Literal["splitbrain.recording/1"] = Field(SCHEMA, alias="schema")
    id: Annotated[str, Field(pattern=f"^{_ID.pattern}$")]
    source: Literal["session", "import"]
    engine: Text
    language: Literal["nl", "en"]
    locale: Text = ""
    profile: Text = ""
    end_reason: Text = ""
    versions: Versions
    clocks: Clocks
    consent: ConsentEntry
    left_out: tuple[LeftOut, ...] = ()
    events: EventsEntry
    tracks: dict[Side, TrackEntry]
    files: dict[FileName, FileEntry]
    imported_from: tuple[Text, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the canonical JSON."""
        return canonical_json(self.model_dump(mode="json", by_alias=True))


def check_id(text: str) -> str:
    """Return `text` if it is a recording's id (a session's), else raise RecordingError. No path passes."""
    if not _ID.fullmatch(text):
        raise RecordingError(f"{text[:60]!r} is no recording's id: 20 to 40 characters 0-9 and a-z")
    return text


def file_entry(data: bytes) -> FileEntry:
    """Return the entry of a file with these bytes."""
    return FileEntry(sha256=hashlib.sha256(data).hexdigest(), n_bytes=len(data))


def parse_manifest(data: bytes) -> Manifest:
    """Return the manifest, or raise RecordingError: no JSON, another schema, unknown or wrong fields."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise RecordingError(f"{MANIFEST} has {len(data)} bytes; at most {MAX_MANIFEST_BYTES}")
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{MANIFEST} is no JSON: {error}") from error
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != SCHEMA:
        raise RecordingError(f"the recording's schema is {str(schema)[:60]!r}; this release reads {SCHEMA}")
    try:
        manifest = Manifest.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise RecordingError(f"{MANIFEST}, {where}: {first['msg']}") from error
    _check_whole(manifest)
    return manifest


def _check_whole(manifest: Manifest) -> None:
    """What is told of and what is listed must be the same."""
    for side, name in TRACK_FILES.items():
        if (side in manifest.tracks) != (name in manifest.files):
            raise RecordingError(f"{MANIFEST} describes {name} or lists it, but not both")
    if "events.jsonl" not in manifest.files:
        raise RecordingError(f"{MANIFEST} lists no events.jsonl")
    for name, entry in manifest.files.items():
        if entry.n_bytes > MAX_FILE_BYTES[name]:
            raise RecordingError(f"{name} has {entry.n_bytes} bytes; at most {MAX_FILE_BYTES[name]}")
