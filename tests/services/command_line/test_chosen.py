"""Which recordings a command means."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.command_line.chosen import choose, needs_analyst
from services.command_line.exits import CommandError, Exit
from services.command_line.up_plan import RECORDINGS_VARIABLE
from services.evaluator.recording.archive import publish
from services.evaluator.recording.store import RecordingStore
from tests.services.evaluator.recorded_talks import packed, scene_events


@pytest.fixture
def ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two recordings in a folder that is also the usual one."""
    store = RecordingStore(str(tmp_path / "kept"))
    for number in (1, 2):
        publish(store, packed(scene_events("Hoe plant u uw ritten?", number=number)))
    monkeypatch.setenv(RECORDINGS_VARIABLE, str(tmp_path / "kept"))
    return store.ids()


def test_an_id_is_looked_up_in_the_usual_place(ids: list[str]) -> None:
    chosen = choose(ids[0], None)
    assert chosen.is_one
    assert [recording.manifest.id for recording in chosen.read()] == ids[:1]


def test_a_folder_of_one_and_of_many(ids: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(f"{tmp_path}/kept/{ids[1]}/", None).ids == [ids[1]]
    assert choose(f"{tmp_path}/kept", None).ids == ids
    monkeypatch.delenv(RECORDINGS_VARIABLE)
    monkeypatch.chdir(tmp_path / "kept")
    assert next(choose(ids[0], None).read()).manifest.id == ids[0]
    assert choose(".", None).ids == ids


def test_damaged_ones_are_noted_among_many_and_fatal_alone(ids: list[str], tmp_path: Path) -> None:
    (tmp_path / "kept" / ids[0] / "events.jsonl").write_bytes(b"")
    chosen = choose(f"{tmp_path}/kept", None)
    assert [recording.manifest.id for recording in chosen.read()] == ids[1:]
    assert chosen.bad[0][0] == ids[0]
    with pytest.raises(CommandError, match="cut off") as error:
        list(choose(ids[0], None).read())
    assert error.value.code == Exit.FAILED


@pytest.mark.parametrize("what", ["no-such-folder", "Not-An-Id", "/dev/null"])
def test_what_is_nothing_is_refused(what: str) -> None:
    with pytest.raises(CommandError) as error:
        choose(what, None)
    assert error.value.code == Exit.USAGE


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there are no recordings"):
        choose(str(tmp_path), None)


def test_what_to_install_is_named() -> None:
    error = needs_analyst(ModuleNotFoundError("No module named 'polars'", name="polars"))
    assert "polars: pip install 'splitbrain[analyst]'" in str(error)
