"""Imported calls: a transcript becomes turns and a card; an export comes back as it was; a bad one leaves nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from services.evaluator.evaluation import scorecard_bytes
from services.evaluator.recording import importing
from services.evaluator.recording.import_files import Source, Sources
from services.evaluator.recording.importing import CallFacts, Said, import_call, import_exported, read_transcript
from services.evaluator.recording.manifest import MANIFEST, RecordingError, StoreError
from services.evaluator.recording.reader import read_recording
from services.evaluator.recording.store import RecordingStore
from shared.audio import FRAME_SAMPLES
from shared.events import Transcript, TurnStarted

Litter = Callable[[], list[str]]

SEGMENTS: list[dict[str, Any]] = [
    {
        "speaker": "Seller",
        "start": 0.5,
        "end": 2.0,
        "text": "How many people plan the routes today?",
        "avg_logprob": -1,
    },
    {
        "speaker": "customer",
        "start": 2.4,
        "end": 4.0,
        "text": "Three.",
        "words": [{"text": "Three.", "start": 2.5, "end": 3.0}],
    },
    {"speaker": "klant", "start": 4.1, "end": 4.2, "text": "  "},
    {"speaker": "verkoper", "start": 4.5, "end": 6.0, "text": "And what does that mean for you?"},
]
N_FRAMES = 80
VOICES = (np.zeros(N_FRAMES * FRAME_SAMPLES, np.float32), np.zeros(N_FRAMES * FRAME_SAMPLES, np.float32))
FACTS = CallFacts("en", "en-GB", ("call.wav",))


def source(value: Any, name: str = "words.json") -> Source:
    return Source(name, json.dumps(value).encode())


def imported(store: RecordingStore, said: list[Said] | None = None) -> str:
    said = read_transcript(source(SEGMENTS), "en") if said is None else said
    return import_call(store, VOICES, said, FACTS, 1_795_000_000_000).id


def test_a_call_becomes_a_recording_with_its_scorecard(store: RecordingStore) -> None:
    recording = read_recording(store, imported(store))
    turns = [event.body.turn for event in recording.events if isinstance(event.body, TurnStarted)]
    assert turns == ["u1", "h1", "u2"]
    said = [event.body for event in recording.events if isinstance(event.body, Transcript)]
    assert [body.speaker for body in said] == ["user", "hugo", "user"]
    assert (said[1].words[0].text, said[1].words[0].start_ms) == ("Three.", 2_500)
    assert recording.scorecard == scorecard_bytes(recording.events)
    assert [turn["turn"] for turn in json.loads(recording.scorecard)["turns"]] == ["u1", "u2"]
    manifest = recording.manifest
    assert (manifest.source, manifest.engine, manifest.end_reason) == ("import", "import", "imported")
    assert (manifest.imported_from, manifest.locale, manifest.events.is_whole) == (("call.wav",), "en-GB", True)
    assert manifest.tracks["input"].n_samples == manifest.tracks["output"].n_samples == len(VOICES[0])
    assert manifest.clocks.media_ms == N_FRAMES * 80


def test_events_of_one_moment_keep_their_order(store: RecordingStore) -> None:
    recording = read_recording(store, imported(store))
    assert [event.media_ms for event in recording.events] == sorted(event.media_ms for event in recording.events)
    assert len({event.id for event in recording.events}) == len(recording.events)


@pytest.mark.parametrize("name", ["words.json", "words.jsonl", "whisper.json"])
def test_transcripts_come_as_a_list_as_lines_and_within_an_object(name: str) -> None:
    lines = "\n".join(json.dumps(each) for each in SEGMENTS) + "\n"
    data = {
        "words.json": json.dumps(SEGMENTS),
        "words.jsonl": lines,
        "whisper.json": json.dumps({"language": "en", "segments": SEGMENTS}),
    }[name]
    said = read_transcript(Source(name, b"\xef\xbb\xbf" + data.encode()), "en")
    assert len(said) == 9


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("x", "no list of segments"),
        ({"text": "x"}, "no list of segments"),
        ([{"speaker": "seller", "start": 0, "text": "x"}], "segment 1, end: Field required"),
        ([SEGMENTS[0], SEGMENTS[0] | {"speaker": "boss"}], "segment 2: speaker 'boss' is none of seller"),
        ([SEGMENTS[0] | {"start": -1}], "segment 1, start"),
        ([SEGMENTS[0] | {"end": float("nan")}], "segment 1, end"),
        ([SEGMENTS[0] | {"start": 3}], "segment 1: it ends before it begins"),
        ([SEGMENTS[0] | {"words": [{"text": "x"}]}], "segment 1, words.0.start"),
        ([1], "segment 1"),
    ],
)
def test_a_transcript_that_is_wrong_is_told_with_its_segment(value: Any, why: str) -> None:
    with pytest.raises(RecordingError, match=why):
        read_transcript(source(value), "en")


@pytest.mark.parametrize("data", [b"", b"[", b"\xff\xfe", b"[" * 90_000])
def test_what_is_no_json_is_no_transcript(data: bytes) -> None:
    with pytest.raises(RecordingError, match="is no JSON"):
        read_transcript(Source("words.json", data), "en")


def test_a_transcript_of_another_call_is_refused_and_nothing_is_left(store: RecordingStore, litter: Litter) -> None:
    said = read_transcript(source([SEGMENTS[0] | {"end": 60.0}]), "en")
    with pytest.raises(RecordingError, match=r"goes on to 60.0 s, the sound ends at 6.4 s"):
        imported(store, said)
    assert litter() == []


def test_too_many_segments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MAX_SEGMENTS", 1)
    with pytest.raises(RecordingError, match="4 segments"):
        read_transcript(source(SEGMENTS), "en")


def exported(store: RecordingStore, recording_id: str) -> Sources:
    names = (MANIFEST, *read_recording(store, recording_id).manifest.files)
    return Sources(exported=tuple(Source(name, store.read(recording_id, name)) for name in names))


def test_an_export_comes_back_as_it_was_and_only_once(store: RecordingStore, litter: Litter) -> None:
    recording_id = imported(store)
    files = exported(store, recording_id)
    with pytest.raises(RecordingError, match="is there already"):
        import_exported(store, files)
    store.delete(recording_id)
    import_exported(store, files)
    assert exported(store, recording_id) == files


@pytest.mark.parametrize("how", ["changed", "missing", "more"])
def test_an_export_that_is_not_whole_is_refused_and_nothing_is_left(
    store: RecordingStore, litter: Litter, how: str
) -> None:
    recording_id = imported(store)
    files = {each.name: each.data for each in exported(store, recording_id).exported}
    store.delete(recording_id)
    if how == "changed":
        files["input.ogg"] = files["input.ogg"][:-1] + b"x"
    elif how == "missing":
        del files["input.ogg"]
    else:
        files["output2.ogg"] = b"x"
    with pytest.raises(RecordingError, match=r"SHA-256|differ in (input|output2).ogg"):
        import_exported(store, Sources(exported=tuple(Source(*each) for each in files.items())))
    assert litter() == []


def test_an_import_that_breaks_off_leaves_nothing(
    store: RecordingStore, litter: Litter, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = store.write

    def full(recording_id: str, name: str, data: bytes) -> None:
        if name == "output.ogg":
            raise StoreError("no space")
        write(recording_id, name, data)

    monkeypatch.setattr(store, "write", full)
    with pytest.raises(StoreError):
        imported(store)
    assert litter() == []
