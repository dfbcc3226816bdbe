"""Short acknowledgements that Hugo gives while the user talks on. They take no turn and carry no content."""

from __future__ import annotations

HUMS: dict[str, tuple[str, ...]] = {
    "nl": ("Hm.", "Ja.", "Precies.", "Oké."),
    "en": ("Mm-hm.", "Right.", "Yeah.", "Okay."),
}


def hums(language: str) -> tuple[str, ...]:
    """Return the acknowledgements of a language; none for one that is not spoken."""
    return HUMS.get(language, ())
