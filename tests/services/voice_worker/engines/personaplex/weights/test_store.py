"""The folder of weights: fetched from a local hub, cut off, repaired, filled by hand, verified."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from services.voice_worker.engines.personaplex.weights import store as weights
from services.voice_worker.engines.personaplex.weights.hub import MAX_BREAKS
from services.voice_worker.engines.personaplex.weights.store import (
    CHECKSUMS,
    FILES,
    MIMI,
    MODEL,
    TOKENIZER,
    VOICES_ARCHIVE,
)
from shared.errors import ConfigError, ModelCorrupt, ModelMissing

if TYPE_CHECKING:
    from tests.services.conftest import FakeHub

VOICES = ("voices/NATF2.pt", "voices/NATM1.pt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "personaplex"


def pull(hub: FakeHub, folder: Path) -> tuple[weights.FileStatus, ...]:
    return weights.pull(folder, token=hub.token)


def states(found: tuple[weights.FileStatus, ...]) -> dict[str, str]:
    return {status.name: status.state for status in found}


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def fill_by_hand(hub: FakeHub, folder: Path) -> None:
    (folder / "voices").mkdir(parents=True)
    for name in (MODEL, MIMI, TOKENIZER):
        (folder / name).write_bytes(hub.files[name])


def test_everything_is_fetched_checked_and_recorded(hub: FakeHub, folder: Path) -> None:
    told: list[str] = []
    found = weights.pull(folder, token=hub.token, tell=told.append)
    assert set(states(found)) == {MODEL, MIMI, TOKENIZER, *VOICES}
    assert set(states(weights.verify(folder)).values()) == {"ok"}
    assert files_in(folder) == {*FILES, *VOICES, CHECKSUMS}
    record = json.loads((folder / CHECKSUMS).read_text())
    assert record["repo"] == "nvidia/personaplex-7b-v1"
    assert record["files"][MODEL] == {
        "sha256": hashlib.sha256(hub.files[MODEL]).hexdigest(),
        "size": 40_000,
        "revision": hub.commit,
    }
    assert hub.fetched == list(FILES)
    assert told[0] == f"{TOKENIZER}: 0.0 MB"
    assert hub.commit in told[-1]


def test_its_paths(hub: FakeHub, folder: Path) -> None:
    pull(hub, folder)
    files = weights.find(folder)
    assert files.model.read_bytes() == hub.files[MODEL]
    assert files.mimi.read_bytes() == hub.files[MIMI]
    assert files.tokenizer.read_bytes() == hub.files[TOKENIZER]
    assert (files.voices / "NATM1.pt").read_bytes() == b"one"


def test_what_is_whole_is_not_fetched_again(hub: FakeHub, folder: Path) -> None:
    pull(hub, folder)
    hub.asked.clear()
    told: list[str] = []
    weights.pull(folder, token=hub.token, tell=told.append)
    assert hub.fetched == []
    assert f"{MODEL}: whole" in told


def test_what_is_damaged_or_gone_is_repaired(hub: FakeHub, folder: Path) -> None:
    pull(hub, folder)
    (folder / MIMI).write_bytes(b"x" * 20_000)
    (folder / VOICES[0]).unlink()
    (folder / "voices" / "own.wav").write_bytes(b"mine")
    found = states(weights.verify(folder))
    assert (found[MIMI], found[VOICES[0]], found[MODEL]) == ("corrupt", "missing", "ok")
    hub.asked.clear()
    pull(hub, folder)
    assert hub.fetched == [MIMI]
    assert set(states(weights.verify(folder)).values()) == {"ok"}
    assert (folder / "voices" / "own.wav").read_bytes() == b"mine"


def test_a_newer_revision_brings_what_has_changed(hub: FakeHub, folder: Path) -> None:
    pull(hub, folder)
    hub.commit = "d" * 40
    hub.files[TOKENIZER] = b"newer"
    hub.asked.clear()
    pull(hub, folder)
    assert hub.fetched == [TOKENIZER]
    assert json.loads((folder / CHECKSUMS).read_text())["files"][MODEL]["revision"] == "d" * 40


def test_small_files_are_checked_by_gits_hash(hub: FakeHub, folder: Path) -> None:
    hub.small = {TOKENIZER}
    pull(hub, folder)
    assert states(weights.verify(folder))[TOKENIZER] == "ok"
    hub.spoiled = {TOKENIZER}
    (folder / TOKENIZER).unlink()
    with pytest.raises(ModelCorrupt, match="another git hash"):
        pull(hub, folder)


def test_a_pull_that_breaks_off_leaves_nothing_that_looks_whole(hub: FakeHub, folder: Path) -> None:
    hub.broken_off = len(FILES) * (MAX_BREAKS + 1)
    for _ in FILES:
        with pytest.raises(ModelMissing):
            pull(hub, folder)
        assert files_in(folder) & {*FILES, CHECKSUMS} == set()
        with pytest.raises(ModelMissing, match="splitbrain models pull personaplex"):
            weights.find(folder)
    hub.asked.clear()
    pull(hub, folder)
    assert hub.fetched == list(FILES)
    assert hub.ranges[0] != ""
    assert set(states(weights.verify(folder)).values()) == {"ok"}


def test_what_came_whole_before_the_break_is_kept(hub: FakeHub, folder: Path) -> None:
    hub.stated_sizes[MODEL] = 40_001  # never comes to its end
    with pytest.raises(ModelCorrupt):
        pull(hub, folder)
    hub.stated_sizes.clear()
    hub.asked.clear()
    pull(hub, folder)
    assert hub.fetched == [MODEL]


def test_other_bytes_than_stated_are_deleted(hub: FakeHub, folder: Path) -> None:
    hub.spoiled = {MODEL}
    with pytest.raises(ModelCorrupt, match="another SHA-256 than the hub states"):
        pull(hub, folder)
    assert not any(path.name == MODEL for path in folder.rglob("*"))
    hub.spoiled = set()
    pull(hub, folder)
    assert weights.find(folder).model.read_bytes() == hub.files[MODEL]


def test_an_archive_without_voices_changes_nothing(hub: FakeHub, folder: Path) -> None:
    pull(hub, folder)
    before = (folder / CHECKSUMS).read_bytes()
    hub.commit = "d" * 40
    hub.put_voices({"../x.pt": b"x"})
    with pytest.raises(ModelCorrupt):
        pull(hub, folder)
    assert (folder / CHECKSUMS).read_bytes() == before
    assert set(states(weights.verify(folder)).values()) == {"ok"}


def test_a_disk_that_is_too_small_is_found_before(hub: FakeHub, folder: Path) -> None:
    hub.stated_sizes[MODEL] = 10**16
    with pytest.raises(ConfigError, match=r"10000001\.1 GB are needed"):
        pull(hub, folder)
    assert hub.fetched == []


def test_an_exchange_that_was_cut_off_is_no_whole_folder(hub: FakeHub, folder: Path) -> None:
    pull(hub, folder)
    (folder / ".placing").touch()
    with pytest.raises(ModelMissing, match="cut off while its files were exchanged"):
        weights.find(folder)
    assert states(weights.verify(folder))[MODEL] == "missing"
    pull(hub, folder)
    assert weights.find(folder).model.is_file()


def test_two_pulls_do_not_meet(hub: FakeHub, folder: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    (folder / ".pull").mkdir(parents=True)
    with (folder / ".pull" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another pull is at work"):
            pull(hub, folder)


# --- a folder that was filled by hand


def test_a_folder_filled_by_hand_works_unchecked(hub: FakeHub, folder: Path) -> None:
    fill_by_hand(hub, folder)
    assert weights.find(folder).model == folder / MODEL
    assert states(weights.verify(folder)) == {MODEL: "unchecked", MIMI: "unchecked", TOKENIZER: "unchecked"}


def test_links_into_another_folder_are_followed(hub: FakeHub, folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    fill_by_hand(hub, elsewhere)
    folder.mkdir()
    for name in (MODEL, MIMI, TOKENIZER):
        os.symlink(elsewhere / name, folder / name)
    assert weights.find(folder).mimi.read_bytes() == hub.files[MIMI]


def test_its_files_are_kept_by_a_pull_if_they_are_right(hub: FakeHub, folder: Path) -> None:
    fill_by_hand(hub, folder)
    (folder / MIMI).write_bytes(b"something else")
    pull(hub, folder)
    assert hub.fetched == [VOICES_ARCHIVE, MIMI]
    assert states(weights.verify(folder))[MODEL] == "ok"


@pytest.mark.parametrize("name", [MODEL, MIMI, TOKENIZER])
def test_the_first_missing_file_is_named(hub: FakeHub, folder: Path, name: str) -> None:
    fill_by_hand(hub, folder)
    (folder / name).unlink()
    with pytest.raises(ModelMissing, match=name) as caught:
        weights.find(folder)
    assert "splitbrain models pull personaplex" in str(caught.value)


def test_without_voices_it_works_and_says_so(hub: FakeHub, folder: Path) -> None:
    fill_by_hand(hub, folder)
    (folder / "voices").rmdir()
    assert weights.find(folder).voices == folder / "voices"
    assert states(weights.verify(folder))["voices"] == "missing"


def test_a_file_that_was_cut_short_is_not_loaded(hub: FakeHub, folder: Path) -> None:
    pull(hub, folder)
    (folder / MODEL).write_bytes(b"m")
    with pytest.raises(ModelCorrupt, match="has 1 bytes, expected 40000"):
        weights.find(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"repo": "a/b"}',
        '{"repo": "a/b", "files": {"../x": {"sha256": "' + "0" * 64 + '", "size": 1, "revision": "r"}}}',
        '{"repo": "a/b", "files": {"x": {"sha256": "0", "size": 1, "revision": "r"}}}',
    ],
)
def test_checksums_that_cannot_be_read(hub: FakeHub, folder: Path, text: str) -> None:
    fill_by_hand(hub, folder)
    (folder / CHECKSUMS).write_text(text)
    with pytest.raises(ModelCorrupt, match=CHECKSUMS):
        weights.verify(folder)


def test_the_default_folder_is_in_the_models_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPLITBRAIN_MODELS_DIR", str(tmp_path))
    assert weights.default_folder() == tmp_path / "personaplex"
    with pytest.raises(ModelMissing):
        weights.find()
