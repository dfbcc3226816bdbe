"""Numbers as they are spoken, and nothing else touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.engines.personaplex.steering.spelling import spell_numbers


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("0", "zero"),
        ("21", "twenty-one"),
        ("105 steps", "one hundred and five steps"),
        ("1,234,567", "one million two hundred and thirty-four thousand five hundred and sixty-seven"),
        ("3.14", "three point one four"),
        ("0.50", "zero point five zero"),
        (".5", "point five"),
        ("1,250.5", "one thousand two hundred and fifty point five"),
        ("-5 degrees", "minus five degrees"),
        ("-1998", "minus one thousand nine hundred and ninety-eight"),
        ("007", "zero zero seven"),
        ("12345678901234567", "one two three four five six seven eight nine zero one two three four five six seven"),
        # years: four digits without a separator
        ("in 1998.", "in nineteen ninety-eight."),
        ("1905", "nineteen oh five"),
        ("1900", "nineteen hundred"),
        ("2000", "two thousand"),
        ("2007", "two thousand and seven"),
        ("2026", "twenty twenty-six"),
        ("2099", "twenty ninety-nine"),
        ("1099", "one thousand and ninety-nine"),
        ("2100", "two thousand one hundred"),
        ("1,998", "one thousand nine hundred and ninety-eight"),
        ("1998%", "one thousand nine hundred and ninety-eight percent"),
        # percentages and ordinals
        ("5%", "five percent"),
        ("2.5 %,", "two point five percent,"),
        ("the 1st and 22nd", "the first and twenty-second"),
        ("3rd 4TH 12th", "third fourth twelfth"),
        ("1,000th", "one thousandth"),
        # money
        ("$12.50", "twelve dollars and fifty cents"),
        ("$1", "one dollar"),
        ("$1.00", "one dollar"),
        ("$1,000", "one thousand dollars"),
        ("£1.01", "one pound and one penny"),
        ("£3.20", "three pounds and twenty pence"),
        ("€0.99", "ninety-nine cents"),
        ("$0", "zero dollars"),
        ("€ 20", "twenty euros"),
        ("20 €", "twenty euros"),
        ("$1.5", "one point five dollars"),
        ("$5 million.", "five million dollars."),
        ("-$5", "minus five dollars"),
        ("$1998", "one thousand nine hundred and ninety-eight dollars"),
        # times
        ("at 10:30.", "at ten thirty."),
        ("09:05", "nine oh five"),
        ("10:00", "ten o'clock"),
        ("14:00", "fourteen hundred"),
        ("10:00 am", "ten am"),
        ("10:30pm", "ten thirty pm"),
        ("7pm", "seven pm"),
        ("23:15", "twenty-three fifteen"),
        # ranges
        ("5-10 minutes", "five to ten minutes"),
        ("5–10%", "five to ten percent"),
        ("$5-$10", "five dollars to ten dollars"),
        ("1990-1995", "nineteen ninety to nineteen ninety-five"),
        ("22:00-06:30", "twenty-two hundred to six thirty"),
        # beside other characters
        ("(3)", "(three)"),
        ("a 10-minute walk", "a ten-minute walk"),
        ("COVID-19", "COVID-nineteen"),
        ("Take 5, then 6; or 7!", "Take five, then six; or seven!"),
    ],
)
def test_reads_numbers(text: str, spoken: str) -> None:
    assert spell_numbers(text) == spoken


@pytest.mark.parametrize(
    "text",
    [
        *("A4", "B2B", "10kg", "1990s", "v2.0", "$5k", "US$5", "²", "٣"),
        *("1.2.3", "192.168.0.1", "1,23", "12/05/2024", "2024-05-06", "24/7", "3:1", "won 3-1", "10:30:15", "10:30-5"),
    ],
)
def test_leaves_what_is_no_number_by_itself(text: str) -> None:
    assert spell_numbers(text) == text


def test_keeps_all_spaces_and_lines() -> None:
    assert spell_numbers("  one\n\t2  three ") == "  one\n\ttwo  three "


@given(st.text())
def test_never_fails_and_leaves_nothing_but_numbers_changed(text: str) -> None:
    spoken = spell_numbers(text)
    if not any(digit in text for digit in "0123456789"):
        assert spoken == text


_WORDS = st.lists(st.text("abcxyz,.!?'’ é", max_size=8), min_size=2, max_size=2)


@given(_WORDS, st.integers(0, 10**18))
def test_what_stands_round_a_number_stays(around: list[str], number: int) -> None:
    left, right = around
    spoken = spell_numbers(f"{left} {number} {right}")
    assert spoken.startswith(f"{left} ")
    assert spoken.endswith(f" {right}")
    middle = spoken[len(left) + 1 : len(spoken) - len(right) - 1]
    assert middle
    assert set(middle) <= set("abcdefghijklmnopqrstuvwxyz- ")
