"""The words of the reports in Dutch and English: one JSON file a language. Holds no sentence of the method itself."""

from __future__ import annotations

import functools
import json
from importlib.resources import files

from shared.events import Language


class Words:
    """The words of one language; what has none is shown by its name, so that a new metric needs no change here."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self._words = _read(language)

    def __call__(self, key: str, **parts: object) -> str:
        """Return the text of `key`, with `parts` filled in; a readable form of its last part if there is none."""
        text = self._words.get(key)
        if text is None:
            return readable(key.rpartition(".")[2])
        return text.format(**parts) if parts else text

    def __contains__(self, key: str) -> bool:
        return key in self._words


def readable(name: str) -> str:
    """Return "Talk share" for "talk_share"."""
    return name.replace("_", " ").capitalize()


@functools.cache
def _read(language: Language) -> dict[str, str]:
    words: dict[str, str] = json.loads((files(__name__) / f"{language}.json").read_text("utf-8"))
    return words
