"""Writes the numbers of an English text as they are spoken. Pure; touches nothing but numbers.

The model speaks what its text tokens spell: a word it knows comes out well, a row of digits is a guess.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final

import inflect

MAX_DIGITS: Final = 15
"""Longer whole numbers are read digit by digit: nobody can follow them otherwise."""

_WHOLE = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
_NUMBER = rf"(?:{_WHOLE}(?:\.[0-9]+)?|\.[0-9]+)"
_CLOCK = r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9]"

# A number inside something longer (A4, 1.2.3, 12/05, 2024-05-06, US$5) is a name, not a number.
_LEFT = r"(?<![\w.,:/$€£])(?<![0-9][-–])"
_RIGHT = r"(?!\w)(?![.,:/][0-9])(?![-–][0-9])"
_RIGHT_OF_TIME = r"(?:(?=[ap]m\b)|(?!\w))(?![.,:/][0-9])(?![-–][0-9])"

_RANGE = re.compile(
    rf"{_LEFT}([$€£]?(?:{_CLOCK}|{_NUMBER}))[-–]([$€£]?(?:{_CLOCK}|{_NUMBER}))(?:(?=[ap]m\b)|{_RIGHT})", re.IGNORECASE
)
_ITEM = re.compile(
    rf"{_LEFT}(?P<sign>[-−])?(?:"
    rf"(?P<hour>[01]?[0-9]|2[0-3])(?::(?P<minute>[0-5][0-9])|(?=[ap]m\b)){_RIGHT_OF_TIME}"
    rf"|(?P<unit>[$€£])[ ]?(?P<amount>{_NUMBER})(?P<scale>\s(?:hundred|thousand|million|billion|trillion)\b)?{_RIGHT}"
    rf"|(?P<ordinal>{_WHOLE})(?:st|nd|rd|th){_RIGHT}"
    rf"|(?P<number>{_NUMBER})(?P<after>[ ]?[%€](?!\w))?{_RIGHT})",
    re.IGNORECASE,
)
_HALF_DAY = re.compile(r"(?P<gap>\s?)[ap]\.?m\b", re.IGNORECASE)

_MONEY: Final = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
}


def spell_numbers(text: str) -> str:
    """Return `text` with its numbers as English words; all other characters stay as they are.

    Reads whole numbers, decimals, thousands separators ("1,250"), negative numbers, percentages, ordinals ("3rd"),
    amounts of $, € and £, times ("10:30", "7pm") and rising ranges ("5-10" is "five to ten"). Four digits from 1100
    to 2099 are read as a year. What is no number by itself (A4, 1.2.3, 12/05, 10kg) is left alone.
    """
    return _ITEM.sub(_spoken, _RANGE.sub(_range, text))


def _range(match: re.Match[str]) -> str:
    """Falling pairs ("won 3-1") are left alone; a time after a later one is the next day's."""
    first, second = match[1], match[2]
    is_time = ":" in first
    if is_time != (":" in second) or (not is_time and _value(first) >= _value(second)):
        return match[0]
    return f"{first} to {second}"


def _value(number: str) -> float:
    return float(number.lstrip("$€£").replace(",", ""))


def _spoken(match: re.Match[str]) -> str:
    sign = "minus " if match["sign"] else ""
    if match["hour"]:
        return sign + _time(match)
    if match["unit"]:
        return sign + _money(match["unit"], match["amount"], match["scale"] or "")
    if match["ordinal"]:
        return sign + _ordinal(match["ordinal"])
    return sign + _plain(match["number"], (match["after"] or "").strip(), may_be_year=not sign)


def _plain(number: str, after: str, *, may_be_year: bool) -> str:
    if after == "%":
        return f"{_number(number)} percent"
    if after:
        return _money(after, number, "")
    if may_be_year and len(number) == 4 and number.isdigit() and 1100 <= int(number) <= 2099:
        return _year(int(number))
    return _number(number)


def _time(match: re.Match[str]) -> str:
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    half_day = _HALF_DAY.match(match.string, match.end())
    words = _whole(str(hour))
    if minute:
        words += f" {'oh ' if minute < 10 else ''}{_whole(str(minute))}"
    elif half_day is None:
        words += " o'clock" if 1 <= hour <= 12 else " hundred"
    return f"{words} " if half_day and not half_day["gap"] else words


def _money(unit: str, amount: str, scale: str) -> str:
    one, many, one_small, many_small = _MONEY[unit]
    whole, _, fraction = amount.partition(".")
    if scale or len(fraction) not in (0, 2):
        return f"{_number(amount)}{scale} {many}"
    small = int(fraction or 0)
    parts: list[str] = []
    if whole.strip("0,") or not small:
        parts.append(f"{_whole(whole or '0')} {one if whole == '1' else many}")
    if small:
        parts.append(f"{_whole(str(small))} {one_small if small == 1 else many_small}")
    return " and ".join(parts)


def _ordinal(whole: str) -> str:
    return str(_engine().ordinal(_whole(whole)))


def _number(number: str) -> str:
    whole, _, fraction = number.partition(".")
    words = [_whole(whole)] if whole else []
    if fraction:
        words += ["point", _digits(fraction)]
    return " ".join(words)


def _year(year: int) -> str:
    hundreds, rest = divmod(year, 100)
    if 2000 <= year < 2010:
        return _whole(str(year))
    if rest == 0:
        return f"{_whole(str(hundreds))} hundred"
    return f"{_whole(str(hundreds))} {'oh ' if rest < 10 else ''}{_whole(str(rest))}"


@lru_cache(maxsize=1024)  # 50 µs a number otherwise
def _whole(whole: str) -> str:
    """Words of a whole number; a leading zero or great length makes it a code, read digit by digit."""
    digits = whole.replace(",", "")
    if len(digits) > MAX_DIGITS or (len(digits) > 1 and digits.startswith("0")):
        return _digits(digits)
    return str(_engine().number_to_words(digits, comma=""))


def _digits(digits: str) -> str:
    return " ".join(_whole(digit) for digit in digits)


@cache
def _engine() -> inflect.engine:
    return inflect.engine()
