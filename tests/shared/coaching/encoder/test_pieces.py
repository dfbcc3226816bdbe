"""Word pieces: the most probable cut, what no piece covers, and files that are none."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.coaching.encoder.pieces import BEGIN, END, UNKNOWN, Pieces
from shared.errors import ConfigError


def model(*pieces: tuple[str, float]) -> bytes:
    """Return a model file: field 1 for each piece, in it 1 the text and 2 the score; and a field to pass over."""
    file = b"\x10\x01"
    for text, score in pieces:
        body = b"\x0a" + bytes([len(text.encode())]) + text.encode() + b"\x15" + struct.pack("<f", score)
        file += b"\x0a" + bytes([len(body)]) + body
    return file


SMALL = model(("<unk>", 0), ("<s>", 0), ("</s>", 0), ("▁", -3), ("▁a", -2), ("b", -2), ("▁ab", -3.5), ("c", -4))


def test_the_more_probable_cut_wins() -> None:
    pieces = Pieces(SMALL)
    assert len(pieces) == 8
    assert pieces.cut("ab") == [BEGIN, 6, END]
    assert pieces.cut("a  b") == [BEGIN, 4, 3, 5, END]


def test_what_no_piece_covers_is_unknown() -> None:
    assert Pieces(SMALL).cut("ax") == [BEGIN, 4, UNKNOWN, END]
    assert Pieces(SMALL).cut("  ") == [BEGIN, UNKNOWN, END]


def test_pieces_of_any_form_are_read_in_order() -> None:
    """Short ones in place, and what comes behind one that is long, or has other fields first, field by field."""
    typed = b"\x0a\x0a\x0a\x01d\x15" + struct.pack("<f", -5) + b"\x18\x03"
    long = model(("y" * 200, -6))[2:].replace(bytes([207]), b"\xcf\x01", 1).replace(bytes([200]), b"\xc8\x01", 1)
    long = b"\x0a\xd0\x01" + long[3:]
    assert len(Pieces(SMALL[2:] + typed + long + SMALL[2:])) == 18


@pytest.mark.parametrize("data", [b"", b"\x0a\xff", b"\x0a\x7f\x01", b"\x0b", b"\x0a" + b"\xff" * 12])
def test_a_file_that_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError, match="word pieces"):
        Pieces(data)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_can_be_cut(text: str) -> None:
    cut = Pieces(SMALL).cut(text)
    assert (cut[0], cut[-1]) == (BEGIN, END)
    assert len(cut) >= 3
