"""What the engine needs of a sentencepiece tokenizer."""

from __future__ import annotations

from typing import Protocol


class Tokenizer(Protocol):
    """Text to token ids and back to pieces."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`, the mark of a new word added in front."""
        ...

    def id_to_piece(self, token: int) -> str:
        """Return a token's piece; "▁" begins a word."""
        ...
