"""Packing: the same session gives the same bytes; nothing is written of what is not allowed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.evaluator.recording import pack as pack_module
from services.evaluator.recording.events import Entry
from services.evaluator.recording.manifest import RecordingError, parse_manifest
from services.evaluator.recording.pack import Parts, pack
from services.evaluator.recording.reader import check_content
from services.evaluator.recording.tracks import place
from shared.events import Consent, Event
from tests.services.evaluator.recording.conftest import EVERYTHING, frame


def parts_of(events: list[Event], consent: Consent = EVERYTHING) -> Parts:
    entries = tuple(Entry(f"{number}-0", event) for number, event in enumerate(events))
    tracks = {"input": place([frame(0), frame(1)]), "output": place([frame(0)])}
    return Parts(events[0].session_id, "session", entries, consent, tracks, b"{}")


def test_the_same_parts_give_the_same_bytes_and_read_back(role_play: list[Event]) -> None:
    one, two = pack(parts_of(role_play)), pack(parts_of(role_play))
    assert one.files == two.files
    assert one.manifest.to_bytes() == two.manifest.to_bytes()
    recording = check_content(parse_manifest(one.manifest.to_bytes()), one.files)
    assert list(recording.events) == role_play
    assert recording.manifest.tracks["output"].n_samples == 3_840


def test_the_shorter_track_is_filled_with_silence(role_play: list[Event]) -> None:
    tracks = pack(parts_of(role_play)).manifest.tracks
    assert tracks["input"].n_samples == tracks["output"].n_samples
    assert (tracks["input"].silent_samples, tracks["output"].silent_samples) == (0, 1_920)


def test_without_consent_neither_sound_nor_card_is_made(role_play: list[Event]) -> None:
    assert set(pack(parts_of(role_play, Consent(store_transcript=True))).files) == {"events.jsonl", "scorecard.json"}
    assert set(pack(parts_of(role_play, Consent(store_audio=True))).files) == {
        "events.jsonl",
        "input.ogg",
        "output.ogg",
    }


def test_a_session_without_its_beginning_is_no_recording(role_play: list[Event]) -> None:
    with pytest.raises(RecordingError, match="beginning"):
        pack(replace(parts_of(role_play), entries=parts_of(role_play).entries[1:]))


def test_what_is_too_large_is_refused(role_play: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pack_module.MAX_FILE_BYTES, "input.ogg", 100)
    with pytest.raises(RecordingError, match=r"input.ogg would have"):
        pack(parts_of(role_play))
