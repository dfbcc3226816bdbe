"""Cuts a stream of text pieces into sentences, each as soon as its end is certain. Pure."""

from __future__ import annotations

import re

from shared.errors import BadInput

MAX_PENDING_CHARS = 600
"""Text without a sentence's end; beyond it the stream is not speech and is refused."""

_END = re.compile(r"[.!?…]+[\"'”’)]*(?=\s)")
_ABBREVIATION = re.compile(
    r"(?:^|\s)(?:bijv|bv|d\.w\.z|m\.a\.w|o\.a|enz|dhr|mevr|dr|nr|ca|e\.g|i\.e|mr|mrs|ms|vs|approx|etc|[a-z])\.$",
    re.IGNORECASE,
)


class SentenceStream:
    """Collects pieces; gives out whole sentences."""

    def __init__(self) -> None:
        self._pending = ""

    def feed(self, piece: str) -> list[str]:
        """Take a piece and return the sentences that it completes. Raises BadInput if no end comes."""
        self._pending += piece
        found: list[str] = []
        start = 0
        for match in _END.finditer(self._pending):
            candidate = self._pending[start : match.end()]
            if _ABBREVIATION.search(candidate):
                continue
            found.append(candidate.strip())
            start = match.end()
        self._pending = self._pending[start:]
        if len(self._pending) > MAX_PENDING_CHARS:
            raise BadInput("no_sentence", f"more than {MAX_PENDING_CHARS} characters without the end of a sentence")
        return [sentence for sentence in found if sentence]

    def end(self) -> list[str]:
        """Return what is left when the stream has ended; a text without a final mark gets a full stop."""
        rest, self._pending = self._pending.strip(), ""
        if not rest:
            return []
        return [rest if rest[-1] in ".!?…”\"'" else f"{rest}."]
