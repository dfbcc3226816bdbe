"""Text tokens to words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.engines.personaplex.steering.words import MAX_PIECES, WordAssembler
from services.voice_worker.engines.personaplex.tokens import EPAD, PAD


def assemble(stream: list[str | int]) -> list[str]:
    """Run pieces and special ids through an assembler; return the words, the last one by `flush`."""
    pieces = [item for item in stream if isinstance(item, str)]
    assembler = WordAssembler(lambda token: pieces[token - 100])
    ids = iter(range(100, 100 + len(pieces)))
    words = [assembler.advance(next(ids) if isinstance(item, str) else item) for item in stream]
    return [word for word in [*words, assembler.flush()] if word]


@pytest.mark.parametrize("special", [PAD, EPAD, 1, 2, -1])
def test_padding_and_other_special_ids_complete_a_word(special: int) -> None:
    def decode(token: int) -> str:
        return {10: "▁hel", 11: "lo"}[token]  # no other id has a text

    assembler = WordAssembler(decode)
    assert [assembler.advance(token) for token in (special, 10, 11, special, special)] == [
        None,
        None,
        None,
        "hello",
        None,
    ]
    assert assembler.flush() is None


def test_a_new_word_completes_the_one_before() -> None:
    assembler = WordAssembler({10: "▁go", 11: "▁on"}.__getitem__)
    assert [assembler.advance(token) for token in (10, 11)] == [None, "go"]
    assert assembler.flush() == "on"
    assert assembler.flush() is None


def test_punctuation_stays_with_its_word() -> None:
    assert assemble(["▁Well", ",", "▁I", "'", "m", "▁here", ".", "”", PAD]) == ["Well,", "I'm", "here.”"]


def test_punctuation_that_comes_late_is_no_word() -> None:
    assert assemble(["▁Well", PAD, ",", "▁go"]) == ["Well", "go"]
    assert assemble(["▁Well", PAD, "s", PAD]) == ["Well", "s"]


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (["▁caf", "<0xC3>", "<0xA9>", "▁on"], ["café", "on"]),
        (["▁", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", PAD], ["😀"]),
        (["<0xE2>", "<0x82>", "<0xAC>", "5"], ["€5"]),
        (["▁a", "<0xE2>", "<0x82>", PAD, "▁b"], ["a�", "b"]),
        (["▁a", "<0xE2>", "b"], ["a�b"]),
        (["▁", PAD, "▁▁", EPAD, "▁x"], ["x"]),
    ],
)
def test_bytes_are_joined_to_characters(stream: list[str | int], words: list[str]) -> None:
    assert assemble(stream) == words


def test_a_word_without_end_is_given_out_in_parts() -> None:
    words = assemble(["▁a", *["a"] * (3 * MAX_PIECES)])
    assert "".join(words) == "a" * (3 * MAX_PIECES + 1)
    assert max(map(len, words)) == MAX_PIECES


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=6), max_size=8), st.booleans())
def test_words_survive_being_cut_into_pieces_or_bytes(words: list[str], as_bytes: bool) -> None:
    stream: list[str | int] = []
    for word in words:
        stream.append("▁")
        stream += [f"<0x{byte:02X}>" for byte in word.encode()] if as_bytes else list(word)
    assert assemble(stream) == words
