"""Calls that were recorded elsewhere as recordings: two voices and what was said become tracks, events, a scorecard.

The seller takes the user's place, the customer Hugo's. Who recognised the words is not this module's concern.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.evaluator.evaluation import evaluate_events
from services.evaluator.recording.archive import publish
from services.evaluator.recording.events import Entry
from services.evaluator.recording.import_files import Source, Sources
from services.evaluator.recording.import_sound import Pcm, encode_track
from services.evaluator.recording.manifest import MANIFEST, Manifest, RecordingError, check_id, parse_manifest
from services.evaluator.recording.pack import Packed, Parts, pack
from services.evaluator.recording.reader import check_content, check_file
from services.evaluator.recording.store import RecordingStore
from shared.audio import SAMPLE_RATE
from shared.events import (
    Body,
    Consent,
    Event,
    Language,
    SessionEnded,
    SessionStarted,
    Speaker,
    Transcript,
    TurnEnded,
    TurnStarted,
    Word,
)
from shared.streams import new_session_id

ENGINE = "import"
CONSENT = Consent(store_audio=True, store_transcript=True)
"""Whoever imports a call answers for its speakers' consent; feelings are not inferred."""

MAX_SEGMENTS = 20_000

_SPEAKERS: dict[str, Speaker] = {
    **dict.fromkeys(("seller", "verkoper", "agent", "user"), "user"),
    **dict.fromkeys(("customer", "klant", "hugo"), "hugo"),
}


@dataclass(frozen=True, slots=True)
class Said:
    """Something that happened in the call, at that media time."""

    body: Body
    media_ms: int


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What is known of an imported call beside its sound. `files` are the names that it was read from."""

    language: Language
    locale: str = ""
    files: tuple[str, ...] = ()


class _Item(BaseModel):
    """A part of a transcript. Other fields are passed over: each recogniser adds some of its own."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    start: float = Field(ge=0, le=1e6, allow_inf_nan=False)
    end: float = Field(ge=0, le=1e6, allow_inf_nan=False)


class _Word(_Item):
    text: str = Field(min_length=1, max_length=200)


class _Segment(_Item):
    speaker: str
    text: str = Field(max_length=20_000)
    words: tuple[_Word, ...] = ()


def read_transcript(source: Source, language: Language) -> list[Said]:
    """Return the turns of a transcript: a JSON list, or a line for each, of `speaker`, `start`, `end` (s), `text`.

    `words` (text, start, end) may be given. Raises RecordingError that names the segment.
    """
    values = _values(source)
    if len(values) > MAX_SEGMENTS:
        raise RecordingError(f"{source.name} has {len(values)} segments; at most {MAX_SEGMENTS}")
    said: list[Said] = []
    counts: dict[Speaker, int] = {"user": 0, "hugo": 0}
    for number, value in enumerate(values, start=1):
        try:
            segment = _Segment.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"])
            raise RecordingError(f"{source.name}, segment {number}, {where}: {first['msg']}") from error
        speaker = _SPEAKERS.get(segment.speaker.strip().lower())
        if speaker is None:
            names = ", ".join(_SPEAKERS)
            raise RecordingError(
                f"{source.name}, segment {number}: speaker {segment.speaker[:40]!r} is none of {names}"
            )
        if segment.end < segment.start:
            raise RecordingError(f"{source.name}, segment {number}: it ends before it begins")
        if segment.text.strip():
            counts[speaker] += 1
            said += _turn(segment, speaker, f"{speaker[0]}{counts[speaker]}", language)
    return said


def _values(source: Source) -> list[Any]:
    try:
        text = source.data.decode("utf-8-sig")
        if source.name.lower().endswith(".jsonl"):
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{source.name} is no JSON: {error}") from error
    if isinstance(value, dict):
        value = value.get("segments")
    if not isinstance(value, list):
        raise RecordingError(f"{source.name} is no list of segments")
    return value


def _turn(segment: _Segment, speaker: Speaker, turn: str, language: Language) -> list[Said]:
    start_ms, end_ms = round(segment.start * 1000), round(segment.end * 1000)
    words = tuple(
        Word(word.text, round(word.start * 1000), round(max(word.start, word.end) * 1000)) for word in segment.words
    )
    said = Transcript(turn, speaker, segment.text.strip(), True, start_ms, end_ms, language, words)
    return [
        Said(TurnStarted(turn, speaker, start_ms), start_ms),
        Said(said, end_ms),
        Said(TurnEnded(turn, speaker, start_ms, end_ms), end_ms),
    ]


def import_call(
    store: RecordingStore, voices: tuple[Pcm, Pcm], said: Sequence[Said], facts: CallFacts, now_ms: int
) -> Manifest:
    """Make a recording of a call and return its manifest. Raises RecordingError, StoreError; then nothing is left.

    `voices` are (seller, customer) as `two_voices` gives them.
    """
    recording_id = new_session_id(now_ms)
    seller, customer = voices
    length_ms = len(seller) * 1000 // SAMPLE_RATE
    late = [each for each in said if each.media_ms > length_ms + 1_000]
    if late:
        raise RecordingError(
            f"the transcript goes on to {late[-1].media_ms / 1000:.1f} s, the sound ends at {length_ms / 1000:.1f} s"
        )
    entries = _entries(recording_id, said, facts, length_ms, now_ms)
    card = evaluate_events([each.event for each in entries]).to_bytes()
    tracks = {"input": encode_track(seller), "output": encode_track(customer)}
    parts = Parts(recording_id, "import", entries, CONSENT, tracks, card, imported_from=facts.files)  # type: ignore[arg-type]
    return _put(store, pack(parts))


def _entries(
    recording_id: str, said: Sequence[Said], facts: CallFacts, length_ms: int, now_ms: int
) -> tuple[Entry, ...]:
    started = SessionStarted(ENGINE, facts.language, facts.locale, consent=CONSENT)
    ordered = sorted(said, key=lambda each: each.media_ms)  # stable: of one moment what came first stays first
    end_ms = max([length_ms, *(each.media_ms for each in ordered)])
    whole = [Said(started, 0), *ordered, Said(SessionEnded("imported"), end_ms)]
    entries = []
    for number, each in enumerate(whole):
        wall_ms = now_ms + each.media_ms
        is_edge = isinstance(each.body, SessionStarted | SessionEnded)
        event = Event(
            f"import:{each.body.kind}:{number}",
            recording_id,
            "edge" if is_edge else "voice",
            1,
            each.media_ms,
            wall_ms,
            each.body,
        )
        entries.append(Entry(f"{wall_ms}-{number}", event))
    return tuple(entries)


def import_exported(store: RecordingStore, sources: Sources) -> Manifest:
    """Put a recording that was exported into the store, as it is, and return its manifest.

    Raises RecordingError if anything is wrong with it or if the store has one of that id.
    """
    files = {source.name: source.data for source in sources.exported}
    manifest = parse_manifest(files.pop(MANIFEST))
    listed = {str(name) for name in manifest.files}
    if files.keys() != listed:
        odd = sorted(files.keys() ^ listed)
        raise RecordingError(f"{MANIFEST} and the zip differ in {', '.join(name[:40] for name in odd)}")
    checked = {name: check_file(name, entry, files[name]) for name, entry in manifest.files.items()}
    check_content(manifest, checked)
    if store.has(check_id(manifest.id)):
        raise RecordingError(f"{manifest.id} is there already")
    return _put(store, Packed(manifest, checked))


def _put(store: RecordingStore, packed: Packed) -> Manifest:
    try:
        publish(store, packed)
    except BaseException:
        store.delete(packed.manifest.id)
        raise
    return packed.manifest
