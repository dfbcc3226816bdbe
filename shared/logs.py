"""Logging, configured once per process: JSON in containers, plain text on a terminal.

The session id travels in a context variable. Tokens, prompts and transcripts are never logged.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal, TextIO

session_id_var: ContextVar[str] = ContextVar("session_id", default="")


class _SessionFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.session_id = session_id_var.get()
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, service, logger, message, session, and the traceback if any."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if session := getattr(record, "session_id", ""):
            entry["session_id"] = session
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """`12:00:00.000 INFO  voice [session] message`."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")[:-3]
        session = getattr(record, "session_id", "")
        where = f" [{session[-6:]}]" if session else ""
        text = f"{clock} {record.levelname:<7} {self._service}{where} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def configure_logging(
    service: str, level: str = "INFO", style: Literal["auto", "text", "json"] = "auto", stream: TextIO | None = None
) -> None:
    """Send all logs to `stream` (stderr). Replaces what was configured before."""
    out = stream or sys.stderr
    text = style == "text" or (style == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(TextFormatter(service) if text else JsonFormatter(service))
    handler.addFilter(_SessionFilter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("asyncio", "arq.worker", "httpx", "openai", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
