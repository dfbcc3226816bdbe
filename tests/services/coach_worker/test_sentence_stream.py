"""Sentences out of a stream of pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.coach_worker.sentence_stream import MAX_PENDING_CHARS, SentenceStream
from shared.errors import BadInput


def cut(text: str, size: int) -> list[str]:
    stream = SentenceStream()
    found: list[str] = []
    for start in range(0, len(text), size):
        found += stream.feed(text[start : start + size])
    return found + stream.end()


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Mooi. En nu? Zeg het", ["Mooi.", "En nu?", "Zeg het."]),
        ("Dat kost 1.5 euro, bijv. per dag. Ja!", ["Dat kost 1.5 euro, bijv. per dag.", "Ja!"]),
        ("Hm... Je klant zegt: “Te duur.” En jij?", ["Hm...", "Je klant zegt: “Te duur.”", "En jij?"]),
        ("Ask Mr. Smith, e.g. now. Go.", ["Ask Mr. Smith, e.g. now.", "Go."]),
        ("", []),
        ("  \n ", []),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_sentences(text: str, sentences: list[str], size: int) -> None:
    assert cut(text, size) == sentences


@given(st.text(alphabet="ab .?!…”", max_size=200), st.integers(1, 20))
def test_the_size_of_the_pieces_does_not_matter(text: str, size: int) -> None:
    assert cut(text, size) == cut(text, 1000)


def test_a_sentence_is_out_as_soon_as_the_next_begins() -> None:
    stream = SentenceStream()
    assert stream.feed("Mooi.") == []
    assert stream.feed(" E") == ["Mooi."]


def test_text_without_an_end_is_refused() -> None:
    stream = SentenceStream()
    assert stream.feed("ja " * (MAX_PENDING_CHARS // 3)) == []
    with pytest.raises(BadInput, match=str(MAX_PENDING_CHARS)):
        stream.feed("nee")
