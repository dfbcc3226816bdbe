"""`splitbrain recordings import`: files and words in, a checked recording out; what is wrong leaves nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from services import cli
from services.command_line import offline_listener
from services.command_line.exits import Exit
from services.command_line.wav import write_wav
from services.evaluator.recording.importing import Said
from services.evaluator.recording.reader import read_recording
from services.evaluator.recording.store import RecordingStore
from shared.errors import ModelMissing
from shared.events import Transcript, TurnStarted

WORDS = [{"speaker": "seller", "start": 0.2, "end": 0.8, "text": "Goeiemorgen."}]


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    return RecordingStore(str(tmp_path / "recordings"))


def stereo(tmp_path: Path) -> Path:
    """Write a file of one second: a tone on the left, nothing on the right."""
    tone = (10_000 * np.sin(np.arange(24_000) / 10)).astype(np.int16)
    write_wav(tmp_path / "call.wav", tone, np.zeros_like(tone))
    return tmp_path / "call.wav"


def call(store: RecordingStore, *arguments: str) -> int:
    return cli.main(["recordings", "import", "--store", store.url, *arguments])


@pytest.mark.parametrize(("seller", "loud"), [("left", "input"), ("right", "output")])
def test_a_stereo_file_with_words(
    store: RecordingStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], seller: str, loud: str
) -> None:
    (tmp_path / "words.json").write_text(json.dumps(WORDS))
    options = ("--transcript", str(tmp_path / "words.json"), "--seller", seller, "--locale", "nl-BE", "--json")
    assert call(store, str(stereo(tmp_path)), *options) == Exit.OK
    about = json.loads(capsys.readouterr().out)
    assert (about["source"], about["locale"], about["importedFrom"]) == ("import", "nl-BE", ["call.wav"])
    recording = read_recording(store, about["id"])
    for side in ("input", "output"):
        sound = recording.track(side)
        assert sound is not None
        assert (np.abs(sound).max() > 0.1) == (side == loud)


def test_without_words_the_listener_is_asked(
    store: RecordingStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def listen(voices: object, language: str, locale: str) -> list[Said]:
        assert (language, locale) == ("en", "")
        return [
            Said(TurnStarted("u1", "user", 100), 100),
            Said(Transcript("u1", "user", "Heard.", True, 100, 500, "en"), 500),
        ]

    monkeypatch.setattr(offline_listener, "listen", listen)
    assert call(store, str(stereo(tmp_path)), "--language", "en") == Exit.OK
    said = capsys.readouterr()
    assert "the listener makes one" in said.err
    assert "imported, 1s, 4 events" in said.out
    (recording_id,) = store.ids()
    assert b"Heard." in store.read(recording_id, "events.jsonl")


def test_a_recogniser_that_is_not_there_is_told(
    store: RecordingStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def listen(*_: object) -> list[Said]:
        raise ModelMissing("whisper-base is not there")

    monkeypatch.setattr(offline_listener, "listen", listen)
    assert call(store, str(stereo(tmp_path))) == Exit.FAILED
    assert "no transcript could be made: whisper-base" in capsys.readouterr().err
    assert store.ids() == store.unfinished() == []


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("call.wav", b"RIFF", "cannot be read as sound"),
        ("call.mp3", b"ID3", "can be imported"),
        ("call.zip", b"PK", "no whole zip"),
    ],
)
def test_a_bad_file_is_refused_and_nothing_is_left(
    store: RecordingStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, data: bytes, why: str
) -> None:
    (tmp_path / name).write_bytes(data)
    assert call(store, str(tmp_path / name), str(tmp_path / name) if name != "call.zip" else "--json") == Exit.USAGE
    assert why in capsys.readouterr().err
    assert store.ids() == store.unfinished() == []
