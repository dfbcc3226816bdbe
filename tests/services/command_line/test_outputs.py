"""Paths that cannot be written are told in one line, before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.command_line.exits import CommandError, Exit
from services.command_line.outputs import check_file, make_folder


def test_a_new_file_and_an_old_one_may_be_written(tmp_path: Path) -> None:
    check_file(tmp_path / "new.wav")
    (tmp_path / "old.wav").write_bytes(b"")
    check_file(tmp_path / "old.wav")
    assert not (tmp_path / "new.wav").exists()


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(("path", "why"), [("none/out.wav", "no folder"), (".", "is a folder")])
def test_no_file_can_be_there(tmp_path: Path, path: str, why: str) -> None:
    with pytest.raises(CommandError, match=why) as caught:
        check_file(tmp_path / path)
    assert caught.value.code is Exit.USAGE


@pytest.mark.parametrize(("path", "why"), [("file", "is a file"), ("file/inside", "cannot be made")])
def test_no_folder_can_be_there(tmp_path: Path, path: str, why: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CommandError, match=why) as caught:
        make_folder(tmp_path / path)
    assert caught.value.code is Exit.USAGE
