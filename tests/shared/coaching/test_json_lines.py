"""Strict JSON with line numbers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.coaching.json_lines import entry_lines, parse_strict
from shared.errors import ConfigError


def test_lines_of_keys_and_list_entries() -> None:
    text = '{\n "a": 1,\n "list": [\n  {"x": 1},\n  {"x": 2}\n ],\n "z": {}\n}'
    assert entry_lines(text) == {("a",): 2, ("list",): 3, ("list", 0): 4, ("list", 1): 5, ("z",): 7}


def test_a_key_twice_is_refused_at_any_depth() -> None:
    with pytest.raises(ConfigError, match="'x' stands twice"):
        parse_strict('{"a": [{"x": 1, "x": 2}]}', "file.json")


@given(
    st.dictionaries(
        st.text(), st.one_of(st.integers(), st.lists(st.dictionaries(st.text(), st.integers()))), max_size=6
    ),
    st.sampled_from([None, 1, 3]),
)
def test_every_entry_has_a_line_whatever_the_layout(value: dict[str, object], indent: int | None) -> None:
    lines = entry_lines(json.dumps(value, indent=indent))
    expected: set[tuple[object, ...]] = {(key,) for key in value}
    expected |= {(key, index) for key, item in value.items() if isinstance(item, list) for index in range(len(item))}
    assert set(lines) == expected
    assert parse_strict(json.dumps(value), "x") == value
