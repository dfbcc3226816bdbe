"""The place where recordings are kept: a local folder or any fsspec URL. Owns names and bytes, knows no content.

`<url>/<id>/<file>`. Ids are the sessions': they begin with their time, so a listing is in order of time. Files are put
in place one by one and `manifest.json` last; a folder without it is half-written. No rename of folders: object stores
have none. Calls block; a service makes them on a thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec

from services.evaluator.recording.manifest import (
    MANIFEST,
    MAX_FILE_BYTES,
    MAX_MANIFEST_BYTES,
    RecordingError,
    StoreError,
    check_id,
)
from shared.errors import ConfigError

NAMES = (*MAX_FILE_BYTES, MANIFEST)
_PART = ".part"

UNFINISHED_AFTER_S = 600.0
"""A half-written recording of this age is in nobody's making any more, unless its session waits to be archived."""


class RecordingStore:
    """Recordings under one URL. Raises StoreError where the place does not answer or refuses."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError for a URL of an unknown kind, or one whose package is not installed."""
        self.url = url
        try:
            # Listings are not cached: another process writes there too.
            fs, root = fsspec.core.url_to_fs(str(Path(url).expanduser()) if "://" not in url else url)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"recordings cannot be kept at {url!r}: {error}") from error
        self._fs: Any = fs
        self._root = str(root).rstrip("/")
        self._is_local = "file" in _protocols(fs)

    def ids(self) -> list[str]:
        """Return the ids of all whole recordings, oldest first."""
        return [each for each, names in self._contents().items() if MANIFEST in names]

    def unfinished(self) -> list[str]:
        """Return the ids whose folder has no manifest: half-written, or being written now."""
        return [each for each, names in self._contents().items() if MANIFEST not in names]

    def has(self, recording_id: str) -> bool:
        """True if there is a whole recording of that id."""
        return self._exists(self._path(recording_id, MANIFEST))

    def read(self, recording_id: str, name: str, limit: int | None = None) -> bytes:
        """Return a file's bytes. Raises RecordingError where it is missing, or larger than `limit` or than it may."""
        path = self._path(recording_id, name)
        limit = _limit(name) if limit is None else limit
        with self._asking():
            try:
                with self._fs.open(path, "rb") as file:
                    data: bytes = file.read(limit + 1)
            except (FileNotFoundError, IsADirectoryError):
                raise RecordingError(f"{name} is missing") from None
        if len(data) > limit:
            raise RecordingError(f"{name} has more than {limit} bytes")
        return data

    def write(self, recording_id: str, name: str, data: bytes) -> None:
        """Put a file in place, at once or not at all."""
        path = self._path(recording_id, name)
        with self._asking():
            if not self._is_local:
                self._fs.pipe_file(path, data)
                return
            _make_private(Path(path).parent)
            with open(path + _PART, "wb", opener=_private) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(path + _PART, path)

    def delete(self, recording_id: str) -> bool:
        """Remove a recording, whole or not; false if there is nothing. The manifest goes first: no part looks whole."""
        folder = self._path(recording_id)
        with self._asking():
            if not self._exists(folder) and not self.has(recording_id):
                return False
            with suppress(FileNotFoundError):
                self._fs.rm_file(self._path(recording_id, MANIFEST))
            with suppress(FileNotFoundError):
                self._fs.rm(folder, recursive=True)
            self._fs.invalidate_cache()
        return True

    def age_s(self, recording_id: str) -> float:
        """Return the seconds since a file of this recording was last written; 0 where the place does not say."""
        with self._asking():
            try:
                times = [self._fs.modified(path).timestamp() for path in self._fs.find(self._path(recording_id))]
            except (NotImplementedError, FileNotFoundError):
                return 0.0
        return max(0.0, time.time() - max(times)) if times else float("inf")

    def check(self) -> None:
        """Raise StoreError unless the place can be listed, or made."""
        with self._asking():
            if self._is_local:
                _make_private(Path(self._root))
        self._contents()

    def _contents(self) -> dict[str, set[str]]:
        """Return the names in each recording's folder, by id in order. One listing, however many there are."""
        with self._asking():
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(self._root, maxdepth=2, withdirs=True)
            except FileNotFoundError:
                return {}
        contents: dict[str, set[str]] = {}
        for path in found:
            recording_id, _, name = str(path)[len(self._root) + 1 :].rstrip("/").partition("/")
            if _is_id(recording_id):
                contents.setdefault(recording_id, set()).add(name)
        return dict(sorted(contents.items()))

    def _exists(self, path: str) -> bool:
        with self._asking():
            self._fs.invalidate_cache()
            return bool(self._fs.exists(path))

    def _path(self, recording_id: str, name: str = "") -> str:
        folder = f"{self._root}/{check_id(recording_id)}"
        if not name:
            return folder
        if name not in NAMES:
            raise RecordingError(f"{name[:60]!r} is no file of a recording")
        return f"{folder}/{name}"

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Name the place in whatever its driver raises: each kind has errors of its own."""
        try:
            yield
        except (RecordingError, StoreError):
            raise
        except Exception as error:
            raise StoreError(f"{self.url}: {type(error).__name__}: {error}") from error


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _limit(name: str) -> int:
    return MAX_MANIFEST_BYTES if name == MANIFEST else next(n for file, n in MAX_FILE_BYTES.items() if file == name)


def _is_id(name: str) -> bool:
    try:
        check_id(name)
    except RecordingError:
        return False
    return True


def _make_private(folder: Path) -> None:
    """Make the folder and those above it; what is made is for this user only."""
    if not folder.is_dir():
        _make_private(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
