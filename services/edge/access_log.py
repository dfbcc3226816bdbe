"""One line per HTTP request, without what must not be in a log: no query, no token in the path."""

from __future__ import annotations

import logging
import re

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

log = logging.getLogger(__name__)

_TOKEN = re.compile(r"^/t/[^/]*")
_UNSEEN = ("/healthz", "/readyz", "/metrics")


def redact(path: str) -> str:
    """Return the path without its token."""
    return _TOKEN.sub("/t/***", path)


class RedactedAccessLogger(AbstractAccessLogger):
    """Method, path, status and duration."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        if request.path not in _UNSEEN:
            log.info("%s %s %d %.3f s", request.method, redact(request.path), response.status, time)
