"""The manifest: canonical, closed, and refused where it contradicts itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.evaluator.recording.manifest import (
    MAX_MANIFEST_BYTES,
    SCHEMA,
    Manifest,
    RecordingError,
    check_id,
    file_entry,
    parse_manifest,
)

TRACK = {"nSamples": 1920, "nPackets": 4}
ENTRY = {"sha256": "0" * 64, "nBytes": 5}


def value(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "schema": SCHEMA,
        "id": "01jd0000000000000000000001",
        "source": "session",
        "engine": "echo",
        "language": "nl",
        "versions": {"splitbrain": "1", "evaluator": "1", "events": 1, "wire": 1},
        "clocks": {"startedWallMs": 1, "endedWallMs": 2, "mediaMs": 3},
        "consent": {"storeAudio": True, "storeTranscript": True, "emotion": False},
        "events": {"count": 0, "isWhole": True},
        "tracks": {"input": TRACK},
        "files": {"events.jsonl": ENTRY, "input.ogg": ENTRY},
    }
    return whole | changes


def parse(**changes: Any) -> Manifest:
    return parse_manifest(json.dumps(value(**changes)).encode())


def test_a_manifest_comes_back_as_the_same_bytes() -> None:
    manifest = parse()
    assert parse_manifest(manifest.to_bytes()) == manifest
    assert parse_manifest(manifest.to_bytes()).to_bytes() == manifest.to_bytes()
    assert json.loads(manifest.to_bytes())["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"schema": "splitbrain.recording/2"}, "schema is 'splitbrain.recording/2'; this release reads"),
        ({"schema": None}, "schema is 'None'"),
        ({"more": 1}, "more: Extra inputs"),
        ({"id": "../../etc/passwd"}, "id: String should match"),
        ({"files": {"../evil": ENTRY, "events.jsonl": ENTRY}}, "files.../evil"),
        ({"files": {"events.jsonl": ENTRY}}, "describes input.ogg or lists it, but not both"),
        ({"tracks": {}}, "describes input.ogg or lists it, but not both"),
        ({"files": {"input.ogg": ENTRY}}, "lists no events.jsonl"),
        ({"files": {"events.jsonl": {"sha256": "0" * 63, "nBytes": 5}, "input.ogg": ENTRY}}, "sha256"),
        ({"files": {"events.jsonl": {"sha256": "0" * 64, "nBytes": 1 << 40}, "input.ogg": ENTRY}}, "at most"),
        ({"tracks": {"input": TRACK | {"nSamples": 1 << 40}}}, "nSamples"),
        ({"tracks": {"middle": TRACK}}, "tracks.middle"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(RecordingError, match=why):
        parse(**changes)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 90_000, b" " * (MAX_MANIFEST_BYTES + 1)])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(RecordingError, match=r"JSON|schema|bytes"):
        parse_manifest(data)


@pytest.mark.parametrize("text", ["", "..", "a" * 19, "a" * 41, "A" * 26, "a/" * 13, "01jd000000000000000000000\n"])
def test_no_path_passes_for_an_id(text: str) -> None:
    with pytest.raises(RecordingError, match="no recording's id"):
        check_id(text)


def test_a_files_entry() -> None:
    entry = file_entry(b"abc")
    assert entry.n_bytes == 3
    assert entry.sha256.startswith("ba7816bf")
