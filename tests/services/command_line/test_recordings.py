"""`splitbrain recordings` on a store of two imported calls: what it lists, shows, checks, exports and deletes."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from services import cli
from services.command_line import recordings
from services.command_line.exits import Exit
from services.command_line.recordings import store_url
from services.evaluator.recording.importing import CallFacts, Said, import_call
from services.evaluator.recording.store import RecordingStore
from shared.audio import FRAME_SAMPLES
from shared.events import Transcript, TurnEnded, TurnStarted

NOW_MS = 1_795_000_000_000


def put(store: RecordingStore, now_ms: int = NOW_MS) -> str:
    """Store a call of one turn; return its id."""
    sound = np.zeros(25 * FRAME_SAMPLES, np.float32)
    said = [
        Said(TurnStarted("u1", "user", 100), 100),
        Said(Transcript("u1", "user", "How are you?", True, 100, 900, "en"), 900),
        Said(TurnEnded("u1", "user", 100, 900), 900),
    ]
    return import_call(store, (sound, sound), said, CallFacts("en", files=("call.wav",)), now_ms).id


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordingStore:
    """An empty store, which the environment names."""
    url = str(tmp_path / "recordings")
    monkeypatch.setenv("SPLITBRAIN_EVALUATOR_RECORDINGS", url)
    return RecordingStore(url)


def call(*arguments: str) -> int:
    return cli.main(["recordings", *arguments])


def test_recordings_are_listed_oldest_first(store: RecordingStore, capsys: pytest.CaptureFixture[str]) -> None:
    later, earlier = put(store), put(store, NOW_MS - 1)
    assert call("list") == Exit.OK
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["ID", "STARTED"]
    assert first.startswith(earlier)
    assert second.startswith(later)
    assert second.split()[1:6] == ["2026-11-18", "11:06:40", "2s", "import", "import"]
    assert call("list", "--json") == Exit.OK
    value = json.loads(capsys.readouterr().out)
    assert [each["id"] for each in value["recordings"]] == [earlier, later]
    assert value["recordings"][0]["tracks"] == ["input", "output"]


def test_no_recordings(store: RecordingStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("list") == call("verify") == Exit.OK
    assert capsys.readouterr().out == f"no recordings in {store.url}\n" * 2


def test_what_cannot_be_read_is_listed_apart(store: RecordingStore, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad, half = put(store), "0" * 26, "1" * 26
    store.write(bad, "manifest.json", b"{}")
    store.write(half, "input.ogg", b"")
    assert call("list") == Exit.FAILED
    said = capsys.readouterr()
    assert good in said.out
    assert f"{bad}: the recording's schema is 'None'" in said.err
    assert f"{half}: half-written" in said.err
    assert call("list", "--json") == Exit.FAILED
    value = json.loads(capsys.readouterr().out)
    assert ([each["id"] for each in value["bad"]], value["unfinished"]) == ([bad], [half])


def test_a_recording_is_shown(store: RecordingStore, capsys: pytest.CaptureFixture[str]) -> None:
    recording_id = put(store)
    assert call("show", recording_id) == Exit.OK
    text = capsys.readouterr().out
    for part in (recording_id, "import, call.wav", "2.00 s", "store_audio, store_transcript", "sha256"):
        assert part in text
    assert call("show", recording_id, "--json") == Exit.OK
    assert json.loads(capsys.readouterr().out)["schema"] == "splitbrain.recording/1"


def test_all_are_verified_and_the_bad_ones_told(
    store: RecordingStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, half = put(store), put(store, NOW_MS + 1), "1" * 26
    assert call("verify") == Exit.OK
    assert capsys.readouterr().out == f"{good}: ok\n{bad}: ok\n"
    store.write(bad, "input.ogg", b"x")
    store.write(half, "input.ogg", b"x")
    assert call("verify") == Exit.FAILED
    said = capsys.readouterr()
    assert said.out == f"{good}: ok\n"
    assert said.err.startswith(f"{bad}: input.ogg is cut off")
    os.utime(tmp_path / "recordings" / half / "input.ogg", (0, 0))
    assert call("verify", "--json") == Exit.FAILED
    told = {each["id"]: each["ok"] for each in json.loads(capsys.readouterr().out)["recordings"]}
    assert told == {good: True, bad: False, half: False}
    assert call("verify", good) == Exit.OK


def test_an_export_holds_everything_and_can_be_imported(
    store: RecordingStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording_id, path = put(store), tmp_path / "call.zip"
    assert call("export", recording_id, str(path)) == Exit.OK
    first = path.read_bytes()
    names = {"manifest.json", "events.jsonl", "input.ogg", "output.ogg", "scorecard.json"}
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert set(archive.namelist()) == {f"{recording_id}/{name}" for name in names}
        assert archive.testzip() is None
    assert path.stat().st_mode & 0o777 == 0o600
    assert call("export", recording_id, str(path), "--json") == Exit.OK
    assert path.read_bytes() == first
    assert call("delete", recording_id, "--yes") == Exit.OK
    assert call("import", str(path)) == Exit.OK
    assert store.ids() == [recording_id]
    assert call("verify") == Exit.OK
    assert not list(tmp_path.glob("*.part"))
    assert recording_id in capsys.readouterr().out


def test_a_bad_recording_is_not_exported(
    store: RecordingStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording_id = put(store)
    store.write(recording_id, "events.jsonl", b"")
    assert call("export", recording_id, str(tmp_path / "call.zip")) == Exit.FAILED
    assert "events.jsonl is cut off" in capsys.readouterr().err
    assert not (tmp_path / "call.zip").exists()
    assert call("export", recording_id, str(tmp_path / "none" / "call.zip")) == Exit.USAGE


def test_deleting_asks_where_somebody_can_answer(
    store: RecordingStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    recording_id = put(store)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert call("delete", recording_id) == Exit.USAGE
    assert "--yes" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert call("delete", recording_id) == Exit.FAILED
    assert store.ids() == [recording_id]
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert call("delete", recording_id) == Exit.OK
    assert store.ids() == []
    assert call("delete", recording_id, "--yes", "--json") == Exit.FAILED
    assert "is not there" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["show", "verify", "export", "delete"])
def test_what_is_no_id_is_a_wrong_option(store: RecordingStore, action: str) -> None:
    more = {"export": ["x.zip"], "delete": ["--yes"]}.get(action, [])
    assert call(action, "../../etc", *more) == Exit.USAGE
    if action != "delete":
        assert call(action, "0" * 26, *more) == Exit.FAILED


def test_a_place_that_does_not_answer_has_its_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    assert call("show", "0" * 26, "--store", str(tmp_path / "file" / "x")) in (Exit.UNREACHABLE, Exit.FAILED)
    assert call("list", "--store", "nowhere://x") == Exit.USAGE
    assert "cannot be kept at 'nowhere://x'" in capsys.readouterr().err


def test_where_recordings_are() -> None:
    ours = {"HOME": "/home/anna"}
    assert store_url(None, ours) == "/home/anna/.local/share/splitbrain/recordings"
    assert store_url(None, {**ours, "SPLITBRAIN_EVALUATOR_RECORDINGS": "s3://calls"}) == "s3://calls"
    assert store_url("/x", {**ours, "SPLITBRAIN_EVALUATOR_RECORDINGS": "s3://calls"}) == "/x"
    assert recordings.HEADS[0] == "ID"
