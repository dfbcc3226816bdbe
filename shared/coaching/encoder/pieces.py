"""Text as word pieces, by a SentencePiece unigram model: the most probable cut of a text into known pieces. Pure."""

from __future__ import annotations

import functools
import struct
import unicodedata
from collections.abc import Iterator

from shared.errors import ConfigError

UNKNOWN, BEGIN, END = 0, 1, 2
_SPACE = "\u2581"
_FIRST, _SCORE, _LONG = 0x0A, 0x15, 0x80
"""Keys of field 1 (bytes) and field 2 (float), and the first length that takes two bytes."""

_FLOAT = struct.Struct("<f")
_UNKNOWN_COST = 10.0  # below the least probable piece, as in SentencePiece


class Pieces:
    """The pieces of a model file. Reading one takes about 0.3 s."""

    def __init__(self, data: bytes) -> None:
        """`data`: the file's bytes. Raises ConfigError where they are no such model."""
        self._ids: dict[str, int] = {}
        self._scores: list[float] = []
        try:
            for text, score in _read_pieces(data):
                self._ids.setdefault(text, len(self._scores))
                self._scores.append(score)
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            raise ConfigError(f"the word pieces of the sentence encoder cannot be read: {error}") from error
        if not self._scores:
            raise ConfigError("the word pieces of the sentence encoder are missing from their file")
        self._longest = max(len(text) for text in self._ids)
        self._unknown = min(self._scores) - _UNKNOWN_COST

    def __len__(self) -> int:
        return len(self._scores)

    def cut(self, text: str) -> list[int]:
        """Return the ids of a text's pieces, between a begin and an end mark."""
        cut = [piece for word in unicodedata.normalize("NFKC", text).split() for piece in self._cut_word(word)]
        return [BEGIN, *(cut or [UNKNOWN]), END]

    @functools.lru_cache(maxsize=16_384)  # noqa: B019 - one object a process, and it lives as long
    def _cut_word(self, word: str) -> tuple[int, ...]:
        """Cut one word: no piece of the model reaches over a space, so words do not depend on each other."""
        return tuple(self._best_cut(_SPACE + word))

    def _best_cut(self, text: str) -> list[int]:
        """Viterbi over positions; of two equally probable cuts the one whose last piece starts first wins."""
        n, ids, scores = len(text), self._ids, self._scores
        best = [0.0] + [float("-inf")] * n
        start, piece = [0] * (n + 1), [UNKNOWN] * (n + 1)
        for at in range(n):
            base = best[at]
            for end in range(at + 1, min(at + self._longest, n) + 1):
                found = ids.get(text[at:end])
                if found is None:
                    if end > at + 1:
                        continue
                    score, found = base + self._unknown, UNKNOWN
                else:
                    score = base + scores[found]
                if score > best[end]:
                    best[end], start[end], piece[end] = score, at, found
        cut: list[int] = []
        while n > 0:
            cut.append(piece[n])
            n = start[n]
        return cut[::-1]


def _read_pieces(data: bytes) -> Iterator[tuple[str, float]]:
    """Yield (text, log probability) of a ModelProto: field 1, repeated; in each, 1 is the text and 2 the score."""
    at, end = 0, len(data)
    # Nearly all of the 128,000 pieces are short, with text and score first: read in place, a third of the time.
    while at + 5 < end and data[at] == _FIRST and data[at + 1] < _LONG and data[at + 2] == _FIRST:
        size, n = data[at + 1], data[at + 3]
        score_at = at + 4 + n
        if n >= _LONG or n + 7 > size or at + 2 + size > end or data[score_at] != _SCORE:
            break
        yield data[at + 4 : score_at].decode(), _FLOAT.unpack_from(data, score_at + 1)[0]
        at += 2 + size
    for field, value in _fields(data[at:]):
        if field == 1 and isinstance(value, bytes):
            entry = dict(_fields(value))
            text, score = entry.get(1), entry.get(2, b"\0\0\0\0")
            if isinstance(text, bytes) and isinstance(score, bytes):
                yield text.decode(), _FLOAT.unpack(score)[0]


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield the fields of a protocol buffer: numbers as int, everything else as bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        match key & 7:
            case 0:
                number, at = _varint(data, at)
                yield key >> 3, number
                continue
            case 1:
                size = 8
            case 2:
                size, at = _varint(data, at)
            case 5:
                size = 4
            case kind:
                raise struct.error(f"unknown wire type {kind}")
        if at + size > len(data):
            raise struct.error("the data ends inside a field")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise struct.error("a number has no end")
