"""Puts the model's text tokens together into words. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from services.voice_worker.engines.personaplex.tokens import EPAD, PAD

NO_TEXT: Final = frozenset({PAD, EPAD, 1, 2})
"""Padding, and begin and end of a sequence."""

MAX_PIECES: Final = 64
"""A word that goes on longer is given out in parts: memory stays bounded whatever the model does."""

_WORD_START: Final = "▁"
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class WordAssembler:
    """Takes one text token a frame, gives out words without spaces around them.

    `decode_piece` returns a token's sentencepiece text ("▁hel", "lo", ",", "<0xE2>").
    """

    def __init__(self, decode_piece: Callable[[int], str]) -> None:
        self._decode = decode_piece
        self._bytes = bytearray()
        self._n_pieces = 0

    def advance(self, token: int) -> str | None:
        """Take in a frame's token; return the word that it shows to be complete.

        Punctuation belongs to the word before it; if that was given out already, punctuation is left out.
        Bytes that are no UTF-8 become U+FFFD.
        """
        if token < 0 or token in NO_TEXT:
            return self.flush()
        piece = self._decode(token)
        complete = None
        if piece.startswith(_WORD_START) or self._n_pieces >= MAX_PIECES:
            complete = self.flush()
        elif not self._n_pieces and _is_punctuation(piece):
            return None
        self._n_pieces += 1
        byte = _BYTE.fullmatch(piece)
        self._bytes += bytes.fromhex(byte[1]) if byte else piece.replace(_WORD_START, "").encode()
        return complete

    def flush(self) -> str | None:
        """Return the word that is under way, None if there is none, and begin anew."""
        word = self._bytes.decode(errors="replace").strip()
        self._bytes.clear()
        self._n_pieces = 0
        return word or None


def _is_punctuation(piece: str) -> bool:
    return not _BYTE.fullmatch(piece) and not any(character.isalnum() for character in piece)
