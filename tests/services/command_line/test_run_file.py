"""The run file: only its user's, only of living processes, and no guess where there are two."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from services.command_line import run_file
from services.command_line.exits import CommandError, Exit
from services.command_line.run_file import (
    edge_url_of_running,
    redis_url_of_running,
    run_folder,
    running,
    write_run_file,
)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("SPLITBRAIN_REDIS_URL", raising=False)


def test_a_running_up_is_found_and_its_file_is_private() -> None:
    path = write_run_file("http://127.0.0.1:8080", "redis://127.0.0.1:5/0")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert redis_url_of_running(None) == "redis://127.0.0.1:5/0"
    assert [info.pid for info in running()] == [os.getpid()]


def test_what_is_given_goes_before_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    write_run_file("http://h", "redis://found/0")
    monkeypatch.setenv("SPLITBRAIN_REDIS_URL", "redis://environment/0")
    assert redis_url_of_running("redis://given/0") == "redis://given/0"
    assert redis_url_of_running(None) == "redis://environment/0"


def test_files_of_the_dead_are_removed() -> None:
    path = write_run_file("http://h", "redis://x/0")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "born": "1"}))  # the pid lives, but was born at another time
    broken = path.with_name("up-1.json")
    broken.write_text("not json")
    assert running() == []
    assert not path.exists()
    assert not broken.exists()


def test_nobody_runs() -> None:
    with pytest.raises(CommandError, match="no `splitbrain up`") as caught:
        redis_url_of_running(None)
    assert caught.value.code is Exit.UNREACHABLE


def test_two_that_run_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_run_file("http://a", "redis://a/0")
    other = json.loads(first.read_text()) | {"pid": os.getppid(), "born": run_file._born(os.getppid())}
    first.with_name("up-other.json").write_text(json.dumps(other | {"redis_url": "redis://b/0"}))
    with pytest.raises(CommandError, match=r"redis://a/0.*redis://b/0") as caught:
        redis_url_of_running(None)
    assert caught.value.code is Exit.USAGE


def test_the_page_of_a_running_up_is_found_and_else_the_usual_one_is_meant() -> None:
    assert edge_url_of_running("http://127.0.0.1:8080") == "http://127.0.0.1:8080"
    write_run_file("http://127.0.0.1:4711", "redis://x/0")
    assert edge_url_of_running("http://127.0.0.1:8080") == "http://127.0.0.1:4711"


def test_of_two_pages_none_is_guessed() -> None:
    first = write_run_file("http://a", "redis://a/0")
    other = json.loads(first.read_text()) | {"pid": os.getppid(), "born": run_file._born(os.getppid())}
    first.with_name("up-other.json").write_text(json.dumps(other | {"url": "http://b"}))
    with pytest.raises(CommandError, match=r"--url: .*http://a.*http://b") as caught:
        edge_url_of_running("http://127.0.0.1:8080")
    assert caught.value.code is Exit.USAGE


def test_a_folder_that_others_can_write_is_refused() -> None:
    run_folder().mkdir(mode=0o777)
    run_folder().chmod(0o777)
    with pytest.raises(CommandError, match="mode 0700"):
        write_run_file("http://h", "redis://x/0")
    with pytest.raises(CommandError, match="mode 0700"):
        running()


def test_without_a_runtime_folder_the_temporary_one_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(run_file.tempfile, "gettempdir", lambda: str(tmp_path))
    assert run_folder() == tmp_path / f"splitbrain-{os.getuid()}"
    assert write_run_file("http://h", "redis://x/0").parent == run_folder()


def test_a_process_that_is_gone_has_no_birth() -> None:
    assert run_file._born(2**22 + 1) == ""
    assert run_file._born(os.getpid()) != ""
