"""The voices that a session can begin with: the files of one folder.

A client's name is only ever compared with the folder's listing.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.voice_worker.engines.personaplex.model.voice_files import (
    PERSONAPLEX_LIMITS,
    Voice,
    VoiceLimits,
    codes_voice,
    load_pt,
    prepare_wav,
)
from services.voice_worker.engines.personaplex.tokens import Codes
from shared.errors import ConfigError, EngineError
from shared.events import Tone

Encode = Callable[[NDArray[np.float32]], Codes]
"""Sound [n * 1920], 24 kHz mono -> Mimi codes [n, 8]."""

DEFAULT_VOICES: Final = ("NATM1",)
"""Taken in this order if a session names no voice."""

MAX_LOADED: Final = 32
"""Voices that are kept in memory; the one that was asked for longest ago gives way."""

_SUFFIXES = (".pt", ".wav")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


class VoiceLibrary:
    """The voices of one folder. `get` may be called from any thread, and encodes on the caller's, one at a time.

    New files are found at once; a file that changes under the same name may go on being heard until the restart.
    """

    def __init__(
        self,
        folder: Path | None,
        encode: Encode,
        limits: VoiceLimits = PERSONAPLEX_LIMITS,
        *,
        preferred: tuple[str, ...] = DEFAULT_VOICES,
        max_loaded: int = MAX_LOADED,
    ) -> None:
        """Read nothing yet; without a folder there are no voices. ConfigError if there is no such folder."""
        if folder is not None and not folder.is_dir():
            raise ConfigError(f"there is no folder of voices at {folder}; create it or name another one")
        self._folder = folder.resolve() if folder is not None else None
        self._encode = encode
        self._limits = limits
        self._preferred = preferred
        self._max_loaded = max_loaded
        self._loaded: OrderedDict[str, Voice] = OrderedDict()
        self._lock = Lock()

    def names(self) -> tuple[str, ...]:
        """Return the names of the voices, sorted, without suffix: letters, digits, _ . and -; other files are none."""
        return tuple(sorted({Path(file).stem for file in self._files()}))

    def default(self) -> str:
        """Return the name of the voice for those who name none; "" if there is no voice at all."""
        names = self.names()
        return next((name for name in self._preferred if name in names), names[0] if names else "")

    def get(self, name: str) -> Voice | None:
        """Return a voice; `name` may carry `.pt` or `.wav`, without it a `.pt` goes first.

        "" is the default voice, None if there is none. EngineError if the name is unknown (the message lists up to
        ten known ones) or its file is of no use.
        """
        if not name:
            name = self.default()
            if not name:
                return None
        files = self._files()
        file = next((each for each in _candidates(name) if each in files), None)
        if file is None or self._folder is None:
            raise EngineError(self._unknown(name))
        with self._lock:
            voice = self._loaded.get(file)
            if voice is None:
                voice = self._load(self._folder / file)
                self._loaded[file] = voice
            self._loaded.move_to_end(file)
            while len(self._loaded) > self._max_loaded:
                self._loaded.popitem(last=False)
        return voice

    def for_tone(self, base_name: str, tone: Tone) -> str:
        """Return `<base>.<tone>` if there is a voice of this name, else `base_name`. "" as base is the default."""
        base = base_name or self.default()
        toned = f"{_stem(base)}.{tone}"
        return toned if toned in self.names() else base_name

    def _files(self) -> set[str]:
        """Return the names of the files that can be asked for. What leads out of the folder is not among them."""
        files: set[str] = set()
        folder = self._folder
        if folder is None:
            return files
        try:
            for path in folder.iterdir():
                target = _target(path) if _is_voice_name(path.name) else None
                if target is not None and target.is_relative_to(folder) and target.is_file():
                    files.add(path.name)
        except OSError as error:
            raise EngineError(f"the folder of voices cannot be read: {error}") from error
        return files

    def _load(self, path: Path) -> Voice:
        if path.suffix == ".pt":
            return load_pt(path, self._limits)
        return codes_voice(path.name, self._encode(prepare_wav(path)), self._limits)

    def _unknown(self, name: str) -> str:
        names = self.names()
        known = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        shown = repr(name[:40]) + ("..." if len(name) > 40 else "")
        if not _NAME.fullmatch(name):
            shown += " (a file name of letters, digits, _ . and -, without a path)"
        return f"there is no voice {shown}; known: {known or 'none'}"


# --- names


def _stem(name: str) -> str:
    """Return a voice's name without `.pt` or `.wav`; other dots belong to it."""
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def _is_voice_name(file: str) -> bool:
    """True for what a client may ask for. `x.pt.pt` is none: without its suffix it would be another file's name."""
    stem = _stem(file)
    return file.endswith(_SUFFIXES) and not stem.endswith(_SUFFIXES) and _NAME.fullmatch(file) is not None


def _target(path: Path) -> Path | None:
    """Return the file behind all links; None if the links go round in a circle."""
    try:
        return path.resolve()
    except RuntimeError:
        return None


def _candidates(name: str) -> tuple[str, ...]:
    return (name,) if name.endswith(_SUFFIXES) else tuple(name + suffix for suffix in _SUFFIXES)
