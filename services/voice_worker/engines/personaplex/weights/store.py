"""The folder of PersonaPlex' weights: fetch, verify, and the paths of its files. Imports no torch, reads no tensor.

Layout: the hub's files under their own names, `voices/` unpacked beside them, and `checksums.json` of what was fetched.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from services.voice_worker.engines.personaplex.weights import voice_archive
from services.voice_worker.engines.personaplex.weights.hub import Hub, RemoteFile
from services.voice_worker.speech.models import default_models_dir
from shared.errors import ConfigError, ModelCorrupt, ModelMissing

NAME: Final = "personaplex"
REPO: Final = "nvidia/personaplex-7b-v1"
REVISION: Final = "main"
LICENCE: Final = "NVIDIA Open Model License (gated)"

MODEL: Final = "model.safetensors"
MIMI: Final = "tokenizer-e351c8d8-checkpoint125.safetensors"
TOKENIZER: Final = "tokenizer_spm_32k_3.model"
VOICES_ARCHIVE: Final = "voices.tgz"
VOICES: Final = voice_archive.FOLDER

FILES: Final = (TOKENIZER, VOICES_ARCHIVE, MIMI, MODEL)
"""In the order in which they are fetched: the 16.7 GB come last."""

NEEDED: Final = (MODEL, MIMI, TOKENIZER)
"""What an engine cannot do without; voices may lie elsewhere."""

N_BYTES: Final = 17_130_000_000
"""About what all of it takes on the disk."""

CHECKSUMS: Final = "checksums.json"
PULL_HINT: Final = "run `splitbrain models pull personaplex`"

State = Literal["ok", "present", "unchecked", "missing", "corrupt"]

_STAGING = ".pull"
_PLACING = ".placing"
_LARGE_BYTES = 100_000_000
_CHUNK_BYTES = 4 << 20

_NAME_PATTERN = rf"^(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*|{VOICES}/[A-Za-z0-9_-][A-Za-z0-9_.-]*)$"
_FileName = Annotated[str, StringConstraints(pattern=_NAME_PATTERN, max_length=150)]


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """Paths of an engine's files. `voices` is a folder; it may be absent where own voices are used."""

    model: Path
    mimi: Path
    tokenizer: Path
    voices: Path


@dataclass(frozen=True, slots=True)
class FileStatus:
    """What is known of one file. "present": there, not hashed; "unchecked": there, and no sum to check it by."""

    name: str
    state: State
    path: Path
    n_bytes: int
    detail: str


class FileSum(BaseModel):
    """What a file was when it was fetched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]
    revision: str


class Sums(BaseModel):
    """Content of `checksums.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repo: str
    files: dict[_FileName, FileSum]


def default_folder() -> Path:
    """Return `personaplex` in the models directory."""
    return default_models_dir() / NAME


def find(folder: Path | None = None) -> WeightFiles:
    """Return the paths of the files in `folder` (None: the default one) without hashing them.

    ModelMissing names the first that is not there, and what to do; ModelCorrupt one of another size than recorded.
    """
    root = folder or default_folder()
    for status in verify(root, hashed=False):
        if status.state == "missing" and status.name in NEEDED:
            raise ModelMissing(status.detail)
        if status.state == "corrupt":
            raise ModelCorrupt(status.detail)
    return WeightFiles(root / MODEL, root / MIMI, root / TOKENIZER, root / VOICES)


def verify(folder: Path | None = None, *, hashed: bool = True) -> tuple[FileStatus, ...]:
    """Return the state of each file, by its SHA-256 where `checksums.json` has one; takes a while for 17 GB.

    Without `hashed` only presence and size are looked at. A folder that was filled by hand is "unchecked".
    ModelCorrupt if `checksums.json` cannot be read.
    """
    root = folder or default_folder()
    sums = _read_sums(root)
    names = list(NEEDED)
    if (root / _PLACING).exists():
        detail = f"a pull into {root} was cut off while its files were exchanged: {PULL_HINT}"
        return tuple(FileStatus(name, "missing", root / name, 0, detail) for name in names)
    if sums is not None:
        names += [name for name in sums.files if name not in names and name != VOICES_ARCHIVE]
    elif not (root / VOICES).is_dir():
        names.append(VOICES)
    return tuple(_status(root, name, sums.files.get(name) if sums else None, hashed) for name in names)


def pull(
    folder: Path | None = None,
    *,
    token: str = "",
    repo: str = REPO,
    revision: str = REVISION,
    endpoint: str = "",
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[FileStatus, ...]:
    """Fetch the weights into `folder` (None: the default one) and return the state of its files.

    What is whole is not fetched again; what is in part is gone on with. All files are checked before the first one
    is put in place. `tell` gets a line for each file; tqdm bars show on a terminal.
    ConfigError (licence, token, repository, revision, disk too small, huggingface_hub not installed), ModelMissing
    (no hub, broken off), ModelCorrupt (other bytes than stated; they were deleted), OSError (disk).
    """
    root = folder or default_folder()
    staging = root / _STAGING
    staging.mkdir(parents=True, exist_ok=True)
    with _locked(staging), closing(Hub(repo, revision, token, endpoint)) as hub:
        remote = hub.files(FILES)
        whole = {file.name: sha256 for file in remote if (sha256 := _sha256_if_whole(root / file.name, file))}
        lacking = [file for file in remote if file.name not in whole]
        _check_room(hub, lacking, staging)
        for file in remote:
            if file.name in whole:
                tell(f"{file.name}: whole")
                continue
            tell(f"{file.name}: {file.n_bytes / 1e6:,.1f} MB")
            whole[file.name] = _checked(hub.download(file, staging), file)
        commit = remote[0].commit
        sums = {file.name: FileSum(sha256=whole[file.name], size=file.n_bytes, revision=commit) for file in remote}
        fetched = [file.name for file in lacking]
        archive = (staging if VOICES_ARCHIVE in fetched else root) / VOICES_ARCHIVE
        for voice in voice_archive.unpack(archive, staging):
            name = f"{VOICES}/{voice}"
            path = staging / name
            sums[name] = FileSum(sha256=_digest(path), size=path.stat().st_size, revision=commit)
            fetched.append(name)
        _place(staging, root, fetched, Sums(repo=repo, files=sums))
        shutil.rmtree(staging, ignore_errors=True)
    tell(f"{repo} at {commit} is in {root}")
    return tuple(_status(root, name, known, hashed=False) for name, known in sums.items() if name != VOICES_ARCHIVE)


# --- states


def _status(root: Path, name: str, known: FileSum | None, hashed: bool) -> FileStatus:
    path = root / name
    if not (path.is_dir() if name == VOICES else path.is_file()):
        return FileStatus(name, "missing", path, 0, f"{path} is not there: {PULL_HINT}, or copy it there")
    n_bytes = path.stat().st_size
    if known is None:
        detail = f"{path} is not in {CHECKSUMS}: nothing to check it by"
        return FileStatus(name, "unchecked", path, n_bytes, detail)
    if n_bytes != known.size:
        detail = f"{path} has {n_bytes} bytes, expected {known.size}; it is not loaded: {PULL_HINT}"
        return FileStatus(name, "corrupt", path, n_bytes, detail)
    if not hashed:
        return FileStatus(name, "present", path, n_bytes, "")
    sha256 = _digest(path)
    if sha256 != known.sha256:
        detail = f"{path} has SHA-256 {sha256}, expected {known.sha256}; it is not loaded: {PULL_HINT}"
        return FileStatus(name, "corrupt", path, n_bytes, detail)
    return FileStatus(name, "ok", path, n_bytes, "")


def _read_sums(root: Path) -> Sums | None:
    """Return what was fetched; None for a folder that was filled by hand, or not at all."""
    try:
        return Sums.model_validate_json((root / CHECKSUMS).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ModelCorrupt(f"{root / CHECKSUMS} cannot be read: delete it, or {PULL_HINT}") from error


# --- content


def _digest(path: Path, *, as_blob: bool = False) -> str:
    """Return the SHA-256 of a file, or git's SHA-1 of it `as_blob`; a bar shows for large ones on a terminal."""
    from tqdm import tqdm

    n_bytes = path.stat().st_size
    digest = hashlib.sha1(b"blob %d\0" % n_bytes, usedforsecurity=False) if as_blob else hashlib.sha256()
    hidden = None if n_bytes >= _LARGE_BYTES else True
    bar = tqdm(total=n_bytes, desc=f"{path.name}, hash", unit="B", unit_scale=True, disable=hidden)
    with path.open("rb") as source, bar:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


def _sha256_if_whole(path: Path, file: RemoteFile) -> str:
    """Return the SHA-256 of a file that is what the hub states; "" if it is absent or anything else."""
    if not path.is_file() or path.stat().st_size != file.n_bytes:
        return ""
    sha256 = _digest(path)
    stated = sha256 if file.is_sha256 else _digest(path, as_blob=True)
    return sha256 if stated == file.etag else ""


def _checked(path: Path, file: RemoteFile) -> str:
    """Return the SHA-256 of what was fetched. ModelCorrupt, and the file deleted, if it is not what the hub states."""
    sha256 = _sha256_if_whole(path, file)
    if not sha256:
        path.unlink()
        kind = "SHA-256" if file.is_sha256 else "git hash"
        raise ModelCorrupt(f"{file.name} came with another {kind} than the hub states; it was deleted: try again")
    return sha256


def _check_room(hub: Hub, lacking: list[RemoteFile], staging: Path) -> None:
    needed = sum(max(file.n_bytes - hub.n_bytes_there(file, staging), 0) for file in lacking)
    needed += voice_archive.MAX_BYTES
    free = shutil.disk_usage(staging).free
    if free < needed:
        raise ConfigError(
            f"{staging.parent} lacks room: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free; make room,"
            " or name another folder with --folder"
        )


# --- the exchange


def _place(staging: Path, root: Path, names: list[str], sums: Sums) -> None:
    """Put checked files in place by renames. Until all are there, a mark says that the folder is not whole."""
    (root / VOICES).mkdir(exist_ok=True)
    (root / _PLACING).touch()
    for name in names:
        with (staging / name).open("rb") as written:
            os.fsync(written.fileno())
        (staging / name).replace(root / name)
    record = staging / CHECKSUMS
    record.write_text(sums.model_dump_json(indent=2) + "\n", encoding="utf-8")
    record.replace(root / CHECKSUMS)
    (root / _PLACING).unlink()


@contextmanager
def _locked(staging: Path) -> Iterator[None]:
    """Hold the folder against another pull, where the platform has file locks. ConfigError if one is at work."""
    with (staging / "lock").open("w") as handle:
        try:
            import fcntl
        except ImportError:  # a platform without flock has no second pull to fear in practice
            yield
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another pull is at work in {staging.parent}") from None
        yield
