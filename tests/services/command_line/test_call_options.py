"""A caller's wishes become an address; secrets stay out of it."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from services.command_line.call_options import CallOptions
from shared.errors import BadInput


@pytest.mark.parametrize(
    ("given", "scheme", "path"),
    [
        ("ws://h:1", "ws", "/api/chat"),
        ("http://h:1/", "ws", "/api/chat"),
        ("https://h", "wss", "/api/chat"),
        ("wss://h/t/abc/api/chat", "wss", "/t/abc/api/chat"),
    ],
)
def test_the_address_has_scheme_and_path(given: str, scheme: str, path: str) -> None:
    parts = urlsplit(CallOptions().address(given))
    assert (parts.scheme, parts.path) == (scheme, path)


def test_wishes_become_parameters_and_empty_ones_do_not() -> None:
    options = CallOptions(engine="echo", language="nl", prompt="a & b", extra=(("consent_emotion", "1"),))
    query = parse_qs(urlsplit(options.address("ws://h:1/?seed=3")).query)
    assert query == {
        "seed": ["3"],
        "engine": ["echo"],
        "language": ["nl"],
        "text_prompt": ["a & b"],
        "events": ["1"],
        "consent_emotion": ["1"],
    }


def test_the_token_is_neither_in_the_address_nor_in_the_text() -> None:
    options = CallOptions(token="geheim", resume="r")
    assert "geheim" not in options.address("ws://h:1")
    assert "geheim" not in repr(options)


@pytest.mark.parametrize("url", ["h:1", "ftp://h", "ws://", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="use ws://host:port"):
        CallOptions().address(url)
