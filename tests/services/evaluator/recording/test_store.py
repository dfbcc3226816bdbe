"""Stores: the same on a local folder and on an object store's interface; private, whole or not at all."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from services.evaluator.recording.manifest import MANIFEST, RecordingError, StoreError
from services.evaluator.recording.store import RecordingStore
from shared.errors import ConfigError

A, B = "01jd0000000000000000000001", "01jd0000000000000000000002"


@pytest.fixture(params=["folder", "objects"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RecordingStore]:
    """A local folder, and a store that knows no rename, no mode and no folder of its own."""
    if request.param == "folder":
        yield RecordingStore(str(tmp_path / "deep" / "recordings"))
        return
    yield RecordingStore("memory://bucket/recordings")
    memory = fsspec.filesystem("memory")
    if memory.exists("/bucket"):
        memory.rm("/bucket", recursive=True)


def test_a_recording_is_one_from_its_manifest_on(anywhere: RecordingStore) -> None:
    anywhere.check()
    assert (anywhere.ids(), anywhere.unfinished()) == ([], [])
    anywhere.write(B, "events.jsonl", b"one")
    assert (anywhere.ids(), anywhere.unfinished(), anywhere.has(B)) == ([], [B], False)
    assert 0 <= anywhere.age_s(B) < 3_700  # the fake of an object store knows only when in UTC
    anywhere.write(B, MANIFEST, b"{}")
    anywhere.write(A, MANIFEST, b"{}")
    assert (anywhere.ids(), anywhere.unfinished(), anywhere.has(B)) == ([A, B], [], True)
    assert anywhere.read(B, "events.jsonl") == b"one"
    anywhere.write(B, "events.jsonl", b"two")
    assert anywhere.read(B, "events.jsonl") == b"two"
    assert anywhere.delete(B)
    assert not anywhere.delete(B)
    assert anywhere.ids() == [A]
    assert anywhere.age_s(B) == float("inf")


def test_a_listing_that_finds_nothing_is_empty(anywhere: RecordingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(anywhere._fs, "find", missing)
    assert anywhere.ids() == []


def test_what_is_not_there_or_too_large_is_told(anywhere: RecordingStore) -> None:
    with pytest.raises(RecordingError, match=r"input.ogg is missing"):
        anywhere.read(A, "input.ogg")
    anywhere.write(A, "input.ogg", b"12345")
    with pytest.raises(RecordingError, match=r"input.ogg has more than 4 bytes"):
        anywhere.read(A, "input.ogg", 4)


@pytest.mark.parametrize(
    ("recording_id", "name"), [("../" * 8, "input.ogg"), (A, "../x"), (A, "passwd"), ("", MANIFEST)]
)
def test_no_other_name_leaves_the_store(anywhere: RecordingStore, recording_id: str, name: str) -> None:
    with pytest.raises(RecordingError, match="no "):
        anywhere.write(recording_id, name, b"x")
    with pytest.raises(RecordingError, match="no "):
        anywhere.read(recording_id, name)


def test_other_things_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "readme.txt").write_text("mine")
    store = RecordingStore(str(tmp_path))
    store.write(A, MANIFEST, b"{}")
    assert store.ids() == [A]
    assert store.unfinished() == []


def test_a_local_recording_is_for_its_user_only(tmp_path: Path) -> None:
    store = RecordingStore(f"file://{tmp_path}/recordings")
    store.write(A, MANIFEST, b"{}")
    folder = tmp_path / "recordings"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / A, folder / A / MANIFEST)]
    assert modes == [0o700, 0o700, 0o600]


def test_a_place_that_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    store = RecordingStore(str(tmp_path / "file" / "below"))
    for call in (store.check, lambda: store.write(A, MANIFEST, b"{}")):
        with pytest.raises(StoreError, match="below: NotADirectoryError"):
            call()


@pytest.mark.parametrize("url", ["nowhere://x", "s3nope://bucket"])
def test_an_unknown_kind_of_place_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot be kept at '{url}'"):
        RecordingStore(url)
