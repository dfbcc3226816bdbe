"""What an import is given: files, or a zip of them. Bounds and names are checked before anything is unpacked.

Nothing is ever unpacked to disk: members are read into memory, each up to its limit.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from services.evaluator.recording.manifest import MANIFEST, MAX_FILE_BYTES, RecordingError

MAX_SOUND_BYTES = 1 << 30
MAX_TRANSCRIPT_BYTES = 32 << 20
MAX_MEMBERS = 20
MAX_ZIP_BYTES = 2 << 30
MAX_RATIO = 200
"""A member that unpacks to more than so many times its size is taken for a bomb. Sound hardly shrinks at all."""

_RATIO_FROM_BYTES = 1 << 20

SOUNDS = (".wav", ".ogg", ".opus", ".oga")
TRANSCRIPTS = (".json", ".jsonl")


@dataclass(frozen=True, slots=True)
class Source:
    """A file by its last name, and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Sources:
    """What was given. `exported` is set instead of the others for a zip that `recordings export` wrote."""

    sounds: tuple[Source, ...] = ()
    transcript: Source | None = None
    exported: tuple[Source, ...] = ()


def load_sources(files: Sequence[Path], transcript: Path | None = None) -> Sources:
    """Return what these files hold. Raises RecordingError that names the file and says what is wrong with it."""
    if len(files) == 1 and files[0].suffix.lower() == ".zip":
        sources = _from_zip(files[0])
    else:
        for path in files:
            if path.suffix.lower() not in SOUNDS:
                raise RecordingError(f"{path.name}: {', '.join(SOUNDS)} or one .zip can be imported")
        sources = Sources(tuple(_read(path, MAX_SOUND_BYTES) for path in files))
    if transcript is not None:
        if sources.exported:
            raise RecordingError("a recording that was exported has its transcript already")
        sources = Sources(sources.sounds, _read(transcript, MAX_TRANSCRIPT_BYTES))
    if not sources.exported and len(sources.sounds) not in (1, 2):
        raise RecordingError(
            f"{len(sources.sounds)} sound files: name the seller's and the customer's, or one stereo file"
        )
    return sources


def _read(path: Path, limit: int) -> Source:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise RecordingError(f"{path.name} cannot be read: {error.strerror or error}") from error
    if len(data) > limit:
        raise RecordingError(f"{path.name} is larger than {limit >> 20} MiB")
    return Source(path.name, data)


def _from_zip(path: Path) -> Sources:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            _check_members(path.name, members)
            sources = [Source(PurePosixPath(info.filename).name, _unpack(archive, info)) for info in members]
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
        raise RecordingError(f"{path.name} is no whole zip file: {error}") from error
    except OSError as error:
        raise RecordingError(f"{path.name} cannot be read: {error.strerror or error}") from error
    names = [source.name for source in sources]
    if len(set(names)) != len(names):
        raise RecordingError(f"{path.name} holds the same name twice")
    if MANIFEST in names:
        return Sources(exported=tuple(sources))
    sounds = [source for source in sources if source.name.lower().endswith(SOUNDS)]
    texts = [source for source in sources if source.name.lower().endswith(TRANSCRIPTS)]
    if len(texts) > 1:
        raise RecordingError(f"{path.name} holds {len(texts)} transcripts; at most one")
    return Sources(tuple(_in_order(path.name, sounds)), texts[0] if texts else None)


def _check_members(zip_name: str, members: Sequence[zipfile.ZipInfo]) -> None:
    """Raise RecordingError for names that lead elsewhere, links, what is encrypted, and bombs."""
    if not 1 <= len(members) <= MAX_MEMBERS:
        raise RecordingError(f"{zip_name} holds {len(members)} files; 1 to {MAX_MEMBERS} can be imported")
    for info in members:
        name = info.filename
        parts = PurePosixPath(name).parts
        if name != info.orig_filename or "\\" in name or ":" in name or name.startswith("/") or ".." in parts:
            raise RecordingError(f"{zip_name} holds a name that leads elsewhere: {name[:80]!r}")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise RecordingError(f"{zip_name} holds a link: {name[:80]!r}")
        if info.flag_bits & 1:
            raise RecordingError(f"{zip_name} is encrypted: unpack it first")
        if info.file_size > _limit(name):
            raise RecordingError(f"{zip_name}: {name[:80]!r} would unpack to {info.file_size} bytes")
        if info.file_size > _RATIO_FROM_BYTES and info.file_size > MAX_RATIO * max(1, info.compress_size):
            raise RecordingError(f"{zip_name}: {name[:80]!r} unpacks to {MAX_RATIO} times its size and more")
    total = sum(info.file_size for info in members)
    if total > MAX_ZIP_BYTES:
        raise RecordingError(f"{zip_name} would unpack to {total} bytes")


def _limit(name: str) -> int:
    """Return how large a member may be; 0 for kinds of files that nobody asked for."""
    last = PurePosixPath(name).name
    known = {str(file): limit for file, limit in MAX_FILE_BYTES.items()}
    if last in known:
        return known[last]
    lower = last.lower()
    return MAX_SOUND_BYTES if lower.endswith(SOUNDS) else MAX_TRANSCRIPT_BYTES if lower.endswith(TRANSCRIPTS) else 0


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return a member's bytes, never more than its head says: that may lie."""
    with archive.open(info) as file:
        data = file.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise RecordingError(f"{info.filename[:80]!r} is not as long as the zip says")
    return data


_SELLERS = ("seller", "verkoper", "agent", "user", "input", "left")
_CUSTOMERS = ("customer", "klant", "hugo", "output", "right")


def _in_order(zip_name: str, sounds: Sequence[Source]) -> list[Source]:
    """Return a pair with the seller first, by what the names say."""
    if len(sounds) != 2:
        return list(sounds)
    sellers = [source for source in sounds if source.name.lower().startswith(_SELLERS)]
    customers = [source for source in sounds if source.name.lower().startswith(_CUSTOMERS)]
    if len(sellers) != 1 or len(customers) != 1:
        raise RecordingError(f"{zip_name}: name its sounds seller.* and customer.*")
    return [*sellers, *customers]
