"""Logs: one JSON object a line in containers, the session by context, no chatter of libraries."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from shared.logs import configure_logging, session_id_var


@pytest.fixture(autouse=True)
def restore_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(style: str, level: str = "INFO") -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    configure_logging("voice", level, style, stream)  # type: ignore[arg-type]
    return logging.getLogger("test.logs"), stream


def test_json_is_one_object_a_line() -> None:
    log, stream = lines("json")
    log.info("took %d\nof %s", 3, "é")
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert entry.pop("time").endswith("+00:00")
    assert entry == {"level": "INFO", "service": "voice", "logger": "test.logs", "message": "took 3\nof é"}


def test_an_error_carries_its_traceback_in_the_same_object() -> None:
    log, stream = lines("json")
    try:
        raise ValueError("wrong")
    except ValueError:
        log.exception("failed")
    entry = json.loads(stream.getvalue())
    assert "ValueError: wrong" in entry["error"]


def test_the_session_comes_from_the_context() -> None:
    log, stream = lines("json")
    token = session_id_var.set("s" * 26)
    log.info("one")
    session_id_var.reset(token)
    log.info("two")
    one, two = map(json.loads, stream.getvalue().splitlines())
    assert one["session_id"] == "s" * 26
    assert "session_id" not in two


def test_text_is_for_people() -> None:
    log, stream = lines("text")
    token = session_id_var.set("abcdefghijklmnopqrstuvwxyz")
    log.warning("late")
    session_id_var.reset(token)
    assert stream.getvalue().rstrip().endswith("WARNING voice [uvwxyz] late")
    with pytest.raises(json.JSONDecodeError):
        json.loads(stream.getvalue())


def test_auto_means_json_where_there_is_no_terminal() -> None:
    log, stream = lines("auto")
    log.info("x")
    assert json.loads(stream.getvalue())["message"] == "x"


def test_configuring_twice_does_not_log_twice() -> None:
    _, first = lines("json")
    log, second = lines("json")
    log.info("x")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1


def test_levels_hold_and_libraries_stay_quiet() -> None:
    """An HTTP library logs URLs, and a URL may hold a token: below WARNING none of them is heard."""
    log, stream = lines("json", "DEBUG")
    for name in ("httpx", "openai", "aiohttp.access", "asyncio"):
        logging.getLogger(name).info("GET /t/secret-token/api/chat")
    log.debug("heard")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["heard"]
