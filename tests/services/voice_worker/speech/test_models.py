"""The models directory, with a small manifest of its own: install, verify, replace, refuse."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from services.voice_worker.speech import model_sources, models
from services.voice_worker.speech.manifest import Model, ModelFile, Part, manifest
from shared.errors import ConfigError, ModelCorrupt, ModelMissing


def file(name: str, data: bytes, *parts: str, required: bool = True) -> ModelFile:
    return ModelFile(
        name, len(data), hashlib.sha256(data).hexdigest(), tuple(Part("p", "1", x) for x in parts), required
    )


TWO = Model(
    "two", "p", ("en",), "MIT", "o", False, (file("w.bin", b"abcdef", "1", "2"), file("w.bin.json", b"{}", "3"))
)
EXTRA = Model("extra", "p", ("*",), "MIT", "o", True, (file("e.bin", b"e", "absent"),))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models directory; `tmp_path/packages` stands for the installed packages."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for name, data in (("1", b"abc"), ("2", b"def"), ("3", b"{}")):
        (packages / name).write_bytes(data)

    def installed(part: Part) -> Path | None:
        return path if (path := packages / part.path).is_file() else None

    monkeypatch.setattr(model_sources, "_installed", installed)
    monkeypatch.setattr(models, "manifest", lambda: (TWO, EXTRA))
    monkeypatch.setattr(models, "model", lambda name: {"two": TWO, "extra": EXTRA}[name])
    return tmp_path / "store"


def quiet(*_: object) -> None:
    pass


def states(found: tuple[models.ModelStatus, ...]) -> dict[str, str]:
    return {status.name: status.state for status in found}


def test_install_joins_the_parts_and_repeats_nothing(store: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    first = models.install(store, lambda *step: seen.append(step), download=False)
    assert states(first) == {"two": "ok", "extra": "missing"}
    assert (store / "two" / "w.bin").read_bytes() == b"abcdef"
    assert seen[-1] == ("two", 8, 8)
    seen.clear()
    models.install(store, lambda *step: seen.append(step), download=False)
    assert seen == []
    assert not [path for path in store.iterdir() if path.name.startswith((".new", ".old"))]


def test_listing_reads_no_bytes_and_verify_does(store: Path) -> None:
    models.install(store, quiet, download=False)
    (store / "two" / "w.bin").write_bytes(b"abcdeX")
    assert states(models.listing(store))["two"] == "present"
    status = models.verify(store, ["two"])[0]
    assert status.state == "corrupt"
    assert "expected" in status.detail


def test_a_corrupt_model_is_refused_and_mended_by_install(store: Path) -> None:
    models.install(store, quiet, download=False)
    (store / "two" / "w.bin").write_bytes(b"evil!!")
    with pytest.raises(ModelCorrupt, match="splitbrain models install"):
        models.checked_path("two", store)
    models.install(store, quiet, download=False)
    assert models.checked_path("two", store) == store / "two"


def test_a_missing_model_says_what_to_do(store: Path) -> None:
    with pytest.raises(ModelMissing, match="splitbrain models install"):
        models.checked_path("two", store)


def test_a_package_with_other_bytes_is_not_installed(store: Path) -> None:
    (store.parent / "packages" / "2").write_bytes(b"dXf")
    with pytest.raises(ModelCorrupt, match="was not installed"):
        models.install(store, quiet, download=False)
    assert not (store / "two").exists()


def test_a_required_package_that_is_absent_stops_the_install(store: Path) -> None:
    (store.parent / "packages" / "2").unlink()
    with pytest.raises(ModelMissing, match="pip install"):
        models.install(store, quiet, download=False)
    assert not (store / "two").exists()


def test_ensure_installs_what_is_absent_only(store: Path) -> None:
    models.ensure(["two"], store)
    (store / "two" / "w.bin").write_bytes(b"mine!!")
    models.ensure(["two"], store)
    assert (store / "two" / "w.bin").read_bytes() == b"mine!!"
    with pytest.raises(ModelMissing):
        models.ensure(["extra"], store) or models.checked_path("extra", store)


def test_ones_own_model_is_recorded_checked_and_restored(store: Path, tmp_path: Path) -> None:
    own = tmp_path / "mine.bin"
    own.write_bytes(b"better")
    (tmp_path / "mine.bin.json").write_bytes(b'{"x": 1}')
    status = models.replace("two", own, store)
    assert (status.state, status.replaced) == ("ok", True)
    assert (store / "two" / "w.bin.json").read_bytes() == b'{"x": 1}'
    assert states(models.install(store, quiet, download=False))["two"] == "ok"
    assert models.checked_path("two", store).joinpath("w.bin").read_bytes() == b"better"
    (store / "two" / "w.bin").write_bytes(b"changed afterwards")
    with pytest.raises(ModelCorrupt):
        models.checked_path("two", store)
    models.install(store, quiet, download=False, restore=True)
    assert (store / "two" / "w.bin").read_bytes() == b"abcdef"


def test_a_folder_can_take_a_models_place(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "w.bin").write_bytes(b"1")
    with pytest.raises(ConfigError, match=r"lacks w\.bin\.json"):
        models.replace("two", folder, store)
    (folder / "w.bin.json").write_bytes(b"2")
    (folder / "more.txt").write_bytes(b"3")
    assert models.replace("two", folder, store).state == "ok"
    assert (store / "two" / "more.txt").exists()
    with pytest.raises(ConfigError, match="neither"):
        models.replace("two", tmp_path / "nothing", store)


def test_a_broken_record_is_named(store: Path) -> None:
    models.install(store, quiet, download=False)
    (store / "two" / models.REPLACED).write_text("{")
    with pytest.raises(ModelCorrupt, match=r"replaced\.json"):
        models.checked_path("two", store)


def test_the_directory_follows_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(models.DIR_VARIABLE, str(tmp_path))
    assert models.default_models_dir() == tmp_path
    monkeypatch.delenv(models.DIR_VARIABLE)
    assert models.default_models_dir().parts[-3:] == ("share", "splitbrain", "models")


@pytest.mark.models
def test_the_real_models_install_from_the_packages(tmp_path: Path) -> None:
    needed = [entry.name for entry in manifest() if not entry.optional]
    found = models.install(tmp_path / "models", quiet, names=needed, download=False)
    assert {status.state for status in found} == {"ok"}
