"""A customer's line inside what the coach says ("Je klant zegt: ..."): how it is written and found again.

In a coaching talk there is no customer; the coach lends one a voice. Whoever reads the transcript, live or
later, must find the same line in it.
"""

from __future__ import annotations

import re

from shared.events import Language

_MARKER: dict[Language, re.Pattern[str]] = {
    "nl": re.compile(
        r"\b(?:je|jouw|de|uw) klant (?:zegt|antwoordt|reageert|zucht|vraagt|twijfelt|knikt)(?: \w+){0,4}\s*[:,]\s*",
        re.IGNORECASE,
    ),
    "en": re.compile(
        r"\b(?:your|the) customer (?:says|answers|replies|responds|sighs|asks|hesitates|nods)(?: \w+){0,4}\s*[:,]\s*",
        re.IGNORECASE,
    ),
}
_CLOSING = re.compile(r"[”\"]")


def customer_line(text: str, language: Language) -> str | None:
    """Return the line that the coach lends the customer, or None where there is none.

    It stands after "Je klant zegt:" (or "Your customer says:") up to the closing quotation mark; without
    quotation marks it is the rest of that sentence.
    """
    match = _MARKER[language].search(text)
    if match is None:
        return None
    rest = text[match.end() :]
    if rest[:1] in ("“", '"'):
        return _CLOSING.split(rest[1:], maxsplit=1)[0].strip() or None
    return re.split(r"(?<=[.!?…])\s", rest, maxsplit=1)[0].strip() or None
