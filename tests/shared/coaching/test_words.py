"""Words and sentences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.coaching.words import MAX_CHARS, fold, fold_in_place, sentences, words


def test_folding() -> None:
    assert fold("Één café’s “Crème”") == 'een cafe\'s "creme"'
    assert words("Wél, zo'n 15.000 euro!") == ("wel", "zo'n", "15.000", "euro")


def test_sentences_keep_their_raw_text_and_know_if_they_ask() -> None:
    found = sentences("Eén dag. En wat betekent dat, euh, voor jou? Oké", frozenset(["euh"]))
    assert [item.raw for item in found] == ["Eén dag.", "En wat betekent dat, euh, voor jou?", "Oké"]
    assert [item.asks for item in found] == [False, True, False]
    assert found[1].line == " en wat betekent dat voor jou "


def test_nothing_said() -> None:
    assert sentences("  … ?! ") == ()
    assert words("") == ()


@given(st.text(max_size=400))
def test_folding_in_place_keeps_every_position(text: str) -> None:
    assert len(fold_in_place(text)) == len(text)
    assert all(item.raw in text for item in sentences(text))


def test_a_very_long_turn_is_cut() -> None:
    assert sum(len(item.tokens) for item in sentences("woord " * 5_000)) <= MAX_CHARS // 5
