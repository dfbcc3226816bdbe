"""Strict JSON with places: which line each entry of a top-level list starts on, and no key twice."""

from __future__ import annotations

import json
from typing import Any

from shared.errors import ConfigError

_SPACE = " \t\r\n"


def parse_strict(text: str, name: str) -> dict[str, Any]:
    """Return the JSON object in `text`; raise ConfigError with file and line where it is not one."""
    try:
        value = json.loads(text, object_pairs_hook=_no_key_twice)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name}:{error.lineno}: not JSON: {error.msg}") from error
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{name}:1: the file must hold one JSON object")
    return value


def entry_lines(text: str) -> dict[tuple[str | int, ...], int]:
    """Return the line of every top-level key and of every entry of a top-level list.

    `("techniques",)` is the key's line, `("techniques", 3)` the line on which the fourth entry starts.
    `text` must be valid JSON with an object at the top.
    """
    decoder = json.JSONDecoder()
    lines: dict[tuple[str | int, ...], int] = {}
    at = _skip(text, text.index("{") + 1)
    while text[at] != "}":
        line = _line(text, at)
        key, at = decoder.raw_decode(text, at)
        lines[(key,)] = line
        at = _skip(text, _skip(text, at) + 1)  # over the colon
        if text[at] == "[":
            at = _list_lines(decoder, text, at, key, lines)
        else:
            _, at = decoder.raw_decode(text, at)
        at = _skip_comma(text, at)
    return lines


def _list_lines(
    decoder: json.JSONDecoder, text: str, at: int, key: str, lines: dict[tuple[str | int, ...], int]
) -> int:
    at = _skip(text, at + 1)
    index = 0
    while text[at] != "]":
        lines[(key, index)] = _line(text, at)
        _, at = decoder.raw_decode(text, at)
        at = _skip_comma(text, at)
        index += 1
    return at + 1


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            raise ValueError(f"the key {key!r} stands twice in one object (beside {pairs[0][0]!r}: {pairs[0][1]!r})")
        value[key] = item
    return value


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at


def _skip_comma(text: str, at: int) -> int:
    at = _skip(text, at)
    return _skip(text, at + 1) if text[at] == "," else at


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
