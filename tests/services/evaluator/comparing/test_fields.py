from __future__ import annotations

from typing import Any

import pytest

from services.evaluator.comparing.fields import differing_fields


@pytest.mark.parametrize(
    ("first", "second", "fields"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a"]),
        ({"a": 1}, {"a": 1.0}, ["a"]),  # other bytes
        ({"a": None}, {}, ["a"]),
        ({}, {"b": {"c": 1}}, ["b"]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3, 4]}}, ["a.b[1]", "a.b[2]"]),
        ({"m": [{"name": "pace", "v": 1}]}, {"m": [{"name": "pace", "v": 2}]}, ["m[pace].v"]),
        ({"t": [{"turn": "u1", "q": 1}, {"turn": "u2"}]}, {"t": [{"turn": "u1", "q": 2}]}, ["t[u1].q", "t[u2]"]),
        ([], {}, ["the whole"]),
    ],
)
def test_paths(first: Any, second: Any, fields: list[str]) -> None:
    assert differing_fields(first, second) == fields


def test_a_long_list_is_cut() -> None:
    assert differing_fields(list(range(50)), list(range(1, 51)), limit=3) == ["[0]", "[1]", "[2]"]
