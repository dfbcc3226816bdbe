"""Which recordings a command is about: one by its id, folder or URL, or all of a folder or URL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from services.command_line.exits import CommandError, Exit
from services.command_line.recordings import store_url
from services.evaluator.recording.manifest import MANIFEST, RecordingError, StoreError, check_id
from services.evaluator.recording.reader import Recording, read_recording
from services.evaluator.recording.store import RecordingStore


@dataclass
class Chosen:
    """The recordings that were asked for. `is_one`: a single one was named. `bad` fills while they are read."""

    store: RecordingStore
    ids: list[str]
    is_one: bool
    bad: list[tuple[str, str]] = field(default_factory=list)

    def read(self) -> Iterator[Recording]:
        """Yield the recordings that are whole; the others go into `bad`. Raises CommandError (3) if the place is away.

        A single one that is not whole raises CommandError (1).
        """
        for recording_id in self.ids:
            try:
                yield read_recording(self.store, recording_id)
            except RecordingError as error:
                if self.is_one:
                    raise CommandError(Exit.FAILED, f"{recording_id}: {error}") from error
                self.bad.append((recording_id, str(error)))
            except StoreError as error:
                raise CommandError(Exit.UNREACHABLE, str(error)) from error


def choose(what: str, store: str | None) -> Chosen:
    """Return what is meant: an id of a store, the folder or URL of one recording, or a folder or URL of many.

    Raises CommandError: 2 if there is no such thing, or none in it; 3 if the place does not answer.
    """
    try:
        return _choose(what, store)
    except StoreError as error:
        raise CommandError(Exit.UNREACHABLE, str(error)) from error


def _choose(what: str, store: str | None) -> Chosen:
    place, _, name = what.rstrip("/").rpartition("/")
    if _is_id(name):
        is_here = not place and store is None and (Path(what) / MANIFEST).is_file()
        one = RecordingStore(place or ("." if is_here else store_url(store, os.environ)))
        return Chosen(one, [name], is_one=True)
    if "://" not in what and not Path(what).expanduser().is_dir():
        raise CommandError(Exit.USAGE, f"{what} is no recording's id, and no folder")
    many = RecordingStore(what)
    ids = many.ids()
    if not ids:
        raise CommandError(Exit.USAGE, f"there are no recordings in {what}")
    return Chosen(many, ids, is_one=False)


def _is_id(name: str) -> bool:
    try:
        check_id(name)
    except RecordingError:
        return False
    return True


def needs_analyst(error: ModuleNotFoundError) -> CommandError:
    """Return what to say where the extra `analyst` is not installed."""
    return CommandError(
        Exit.USAGE, f"this command needs the Python module {error.name}: pip install 'splitbrain[analyst]'"
    )
