"""Joins Whisper's tokens into words with times from an alignment. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

SECONDS_PER_FRAME = 0.02

Word = tuple[str, float, float, float]
"""Text, start, end (seconds), confidence 0..1."""


def timed_words(
    tokens: Sequence[int],
    alignment: Sequence[tuple[int, int]],
    probabilities: Sequence[float],
    decode: Callable[[list[int]], str],
    end_s: float,
) -> tuple[Word, ...]:
    """Return the words of `tokens` (text tokens only, END left out).

    `alignment` holds (token index, encoder frame of 20 ms) pairs in order, as CTranslate2 gives them; the start of
    a token is its first frame. A word ends where the next one starts. Tokens that are part of a character are joined
    until they decode; a token that starts with a space starts a word, punctuation does not.
    """
    if not tokens:
        return ()
    starts = _token_starts(len(tokens), alignment, end_s)
    words: list[Word] = []
    for first, last in _groups(tokens, decode):
        text = decode(list(tokens[first:last])).strip()
        if text:
            confidence = sum(probabilities[first:last]) / (last - first)
            words.append((text, starts[first], max(starts[first], starts[last]), min(1.0, max(0.0, confidence))))
    return tuple(words)


def _token_starts(n_tokens: int, alignment: Sequence[tuple[int, int]], end_s: float) -> list[float]:
    """Return the start of each token and, last, of END; a token without a frame starts with the one after it."""
    first_frame: dict[int, int] = {}
    for token, frame in alignment:
        first_frame.setdefault(token, frame)
    starts = [end_s] * (n_tokens + 1)
    later = end_s
    for token in range(n_tokens, -1, -1):
        later = min(later, first_frame.get(token, round(later / SECONDS_PER_FRAME)) * SECONDS_PER_FRAME)
        starts[token] = round(later, 3)
    return starts


def _groups(tokens: Sequence[int], decode: Callable[[list[int]], str]) -> list[tuple[int, int]]:
    """Return (first, last + 1) of each word's tokens."""
    groups: list[tuple[int, int]] = []
    first = 0
    for place in range(1, len(tokens)):
        text = decode(list(tokens[place : place + 1]))
        whole = "\ufffd" not in decode(list(tokens[first:place]))
        if whole and text[:1].isspace() and any(map(str.isalnum, text)):
            groups.append((first, place))
            first = place
    return [*groups, (first, len(tokens))]
