"""Reading: what is whole comes back as it was; what is broken in any way is refused with its reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from services.evaluator.recording.archive import publish
from services.evaluator.recording.events import Entry, to_lines
from services.evaluator.recording.manifest import MANIFEST, RecordingError, file_entry, parse_manifest
from services.evaluator.recording.pack import Parts, pack
from services.evaluator.recording.reader import load_recording, read_recording, summary
from services.evaluator.recording.store import RecordingStore
from services.evaluator.recording.tracks import Track, place, to_ogg
from shared.audio import FRAME_SAMPLES
from shared.audio.opus import OpusEncoder
from shared.events import Event
from shared.wire import AudioFrame
from tests.services.evaluator.recording.conftest import EVERYTHING

N_FRAMES = 12


def tone(hz: float) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * hz * np.arange(N_FRAMES * FRAME_SAMPLES) / 24_000)).astype(np.float32)


def track(hz: float) -> Track:
    with OpusEncoder() as encoder:
        return place(
            AudioFrame(n, FRAME_SAMPLES, encoder.encode(part)) for n, part in enumerate(tone(hz).reshape(N_FRAMES, -1))
        )


@pytest.fixture
def whole(store: RecordingStore, role_play: list[Event]) -> str:
    """The id of a recording in the store; the left voice is a tone of 300 Hz, the right one of 900 Hz."""
    entries = tuple(Entry(f"{number}-0", event) for number, event in enumerate(role_play, start=1))
    tracks = {"input": track(300), "output": track(900)}
    publish(store, pack(Parts(role_play[0].session_id, "session", entries, EVERYTHING, tracks, b"{}")))
    return role_play[0].session_id


def test_a_whole_recording(store: RecordingStore, whole: str, role_play: list[Event]) -> None:
    recording = load_recording(store.url, whole)
    assert list(recording.events) == role_play
    assert recording.scorecard == b"{}"
    for side, hz in (("input", 300), ("output", 900)):
        sound = recording.track(side)
        assert sound is not None
        assert (sound.dtype, sound.shape) == (np.float32, (N_FRAMES * FRAME_SAMPLES,))
        spectrum = np.abs(np.fft.rfft(sound[FRAME_SAMPLES:]))
        assert abs(np.argmax(spectrum) * 24_000 / (len(sound) - FRAME_SAMPLES) - hz) < 5
    about = summary(recording.manifest)
    assert (about["id"], about["tracks"], about["events"]) == (whole, ["input", "output"], len(role_play))


def test_a_packet_that_the_codec_refuses_is_silence_of_its_length(
    store: RecordingStore, role_play: list[Event]
) -> None:
    refused = b"\x48" + b"\xff" * 30
    entries = tuple(Entry(f"{number}-0", event) for number, event in enumerate(role_play, start=1))
    one = Track([refused] * 4, 1_920)
    publish(store, pack(Parts(role_play[0].session_id, "session", entries, EVERYTHING, {"input": one})))
    sound = read_recording(store, role_play[0].session_id).track("input")
    assert sound is not None
    assert len(sound) == 1_920
    assert read_recording(store, role_play[0].session_id).track("output") is None


def change(store: RecordingStore, recording_id: str, **files: bytes) -> None:
    """Replace files and make the manifest's hashes right again: only their content is wrong."""
    manifest = json.loads(store.read(recording_id, MANIFEST))
    for key, data in files.items():
        name = key.replace("_", ".")
        store.write(recording_id, name, data)
        manifest["files"][name] = file_entry(data).model_dump(by_alias=True)
    store.write(recording_id, MANIFEST, json.dumps(manifest).encode())


def rewrite(store: RecordingStore, recording_id: str, edit: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads(store.read(recording_id, MANIFEST))
    edit(manifest)
    store.write(recording_id, MANIFEST, json.dumps(manifest).encode())


def swap_lines(store: RecordingStore, recording_id: str) -> None:
    lines = store.read(recording_id, "events.jsonl").splitlines(keepends=True)
    lines[3], lines[4] = lines[4], lines[3]
    change(store, recording_id, events_jsonl=b"".join(lines))


def cut(store: RecordingStore, recording_id: str, name: str) -> None:
    store.write(recording_id, name, store.read(recording_id, name)[:-100])


def flip(store: RecordingStore, recording_id: str, name: str) -> None:
    data = bytearray(store.read(recording_id, name))
    data[len(data) // 2] ^= 1
    store.write(recording_id, name, bytes(data))


def remove(store: RecordingStore, recording_id: str, name: str) -> None:
    from pathlib import Path

    (Path(store.url) / recording_id / name).unlink()


BROKEN: dict[str, tuple[Callable[[RecordingStore, str], Any], str]] = {
    "track cut off": (lambda s, i: cut(s, i, "input.ogg"), r"input.ogg is cut off: \d+ of \d+ bytes"),
    "events cut off": (lambda s, i: cut(s, i, "events.jsonl"), r"events.jsonl is cut off"),
    "track of another hash": (lambda s, i: flip(s, i, "output.ogg"), r"output.ogg has another SHA-256"),
    "card of another hash": (lambda s, i: flip(s, i, "scorecard.json"), r"scorecard.json has another SHA-256"),
    "track missing": (lambda s, i: remove(s, i, "output.ogg"), r"output.ogg is missing"),
    "no manifest": (lambda s, i: remove(s, i, MANIFEST), "half-written: it has no manifest"),
    "manifest cut off": (lambda s, i: cut(s, i, MANIFEST), "is no JSON"),
    "unknown schema": (lambda s, i: rewrite(s, i, lambda m: m.update(schema="x/9")), "schema is 'x/9'"),
    "of another id": (lambda s, i: rewrite(s, i, lambda m: m.update(id="0" * 26)), "is that of 0000"),
    "event out of order": (swap_lines, r"events.jsonl, line 5: is out of order"),
    "events left out": (
        lambda s, i: change(s, i, events_jsonl=b"".join(s.read(i, "events.jsonl").splitlines(keepends=True)[:-1])),
        r"events.jsonl has \d+ events; manifest.json says",
    ),
    "track of another length": (
        lambda s, i: change(s, i, input_ogg=to_ogg(Track([b"\xf8\xff\xfe"], 480), 1)),
        "holds 480 samples",
    ),
    "no Ogg": (lambda s, i: change(s, i, input_ogg=b"RIFF" * 100), r"input.ogg: the track is damaged"),
    "Ogg without its end": (
        lambda s, i: change(s, i, input_ogg=s.read(i, "input.ogg")[: s.read(i, "input.ogg").rfind(b"OggS")]),
        r"input.ogg: the track is cut off",
    ),
    "a track with a path": (
        lambda s, i: rewrite(s, i, lambda m: m["files"].update({"../../x": m["files"]["input.ogg"]})),
        "files",
    ),
    "larger than it says": (
        lambda s, i: rewrite(s, i, lambda m: m["files"]["input.ogg"].update(nBytes=10)),
        r"input.ogg has more than 10 bytes",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_bad_recording_is_refused_with_its_reason(store: RecordingStore, whole: str, how: str) -> None:
    spoil, why = BROKEN[how]
    spoil(store, whole)
    with pytest.raises(RecordingError, match=why):
        read_recording(store, whole)


def test_tracks_that_do_not_fit_each_other_are_refused(store: RecordingStore, whole: str) -> None:
    short = Track([b"\xf8\xff\xfe"] * 4, 1_920)
    change(store, whole, output_ogg=to_ogg(short, 1))
    rewrite(store, whole, lambda m: m["tracks"]["output"].update(nSamples=1_920, nPackets=4))
    with pytest.raises(RecordingError, match="the tracks differ by"):
        read_recording(store, whole)


def test_what_is_not_there(store: RecordingStore) -> None:
    with pytest.raises(RecordingError, match="is not there"):
        read_recording(store, "0" * 26)
    with pytest.raises(RecordingError, match="no recording's id"):
        load_recording(f"{store.url}/..")


def test_an_event_of_another_session_is_refused(store: RecordingStore, whole: str, role_play: list[Event]) -> None:
    entries = [Entry(f"{number}-0", event) for number, event in enumerate(role_play, start=1)]
    entries[7] = Entry("8-0", replace(role_play[7], session_id="0" * 26))
    change(store, whole, events_jsonl=to_lines(entries))
    with pytest.raises(RecordingError, match="line 8: is of another session"):
        read_recording(store, whole)
    assert parse_manifest(store.read(whole, MANIFEST)).id == whole
