"""Log lines without tokens and queries."""

from __future__ import annotations

import logging

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from services.edge.access_log import RedactedAccessLogger, redact


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/t/eyJ.abc.def/api/chat", "/t/***/api/chat"),
        ("/t/eyJ", "/t/***"),
        ("/t/", "/t/***"),
        ("/api/chat", "/api/chat"),
        ("/static/t/x.js", "/static/t/x.js"),
    ],
)
def test_the_token_in_the_path_is_left_out(path: str, logged: str) -> None:
    assert redact(path) == logged


def test_a_line_has_no_query(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    request = make_mocked_request("GET", "/t/secret/api/chat?text_prompt=private&ticket=abc")
    RedactedAccessLogger(logging.getLogger(), "").log(request, web.Response(status=401), 0.5)
    assert caplog.messages == ["GET /t/***/api/chat 401 0.500 s"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes_are_not_logged(path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    RedactedAccessLogger(logging.getLogger(), "").log(make_mocked_request("GET", path), web.Response(), 0.1)
    assert caplog.messages == []
