"""The frame of every page: one file, nothing from elsewhere, only its own scripts, and what was said stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from services.evaluator.report.page import LIBRARY, _asset, clock, policy
from services.evaluator.report.session import session_page
from services.evaluator.report.texts import Words
from tests.services.evaluator.recorded_talks import EVIL, role_play_view, scene_events, view_of

LIBRARY_SHA256 = "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0"
"""Of the file as it is published in version 6.1.0."""


class Reader(HTMLParser):
    """Notes what a browser would load, run or show of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.scripts: list[str] = []
        self.data = ""
        self.policy = ""
        self.tags: list[str] = []
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        self.handlers += [name for name in values if name.startswith("on") or name == "style"]
        if tag == "meta" and values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values.get("content") or ""
        if tag == "script":
            self._open = values.get("type") or "script"

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts.append(data)
        elif self._open:
            self.data += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._open = ""


@pytest.fixture(scope="module")
def evil_page() -> str:
    return session_page(view_of(scene_events(EVIL, "Hoe plant u uw ritten?")), Words("nl"), {}, {})


def test_a_page_loads_nothing() -> None:
    reader = Reader(session_page(role_play_view(), Words("en"), {}, {"user": "data:audio/ogg;base64,T2dn"}))
    assert [load for load in reader.loads if not load.startswith(("data:", "#"))] == []
    assert reader.handlers == []
    assert "link" not in reader.tags
    assert "@import" not in _asset("page.css")
    assert "url(" not in _asset("page.css")


def test_only_its_own_scripts_may_run(evil_page: str) -> None:
    reader = Reader(evil_page)
    allowed = set(re.findall(r"'sha256-([^']+)'", reader.policy))
    for script in reader.scripts:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in allowed
    assert "default-src 'none'" in reader.policy
    assert "unsafe" not in reader.policy
    assert "connect-src" not in reader.policy


def test_what_was_said_is_no_markup(evil_page: str) -> None:
    reader = Reader(evil_page)
    assert len(reader.scripts) == 5
    assert "img" not in reader.tags
    assert "owned</script>" not in evil_page
    assert "{{ 7*7 }}" in evil_page  # text, not a template
    assert json.loads(reader.data)["turns"][0]["text"] == EVIL


def test_the_library_is_the_published_one() -> None:
    assert hashlib.sha256(_asset(LIBRARY).encode()).hexdigest() == LIBRARY_SHA256


def test_the_same_recording_gives_the_same_page() -> None:
    first, second = (session_page(role_play_view(), Words("nl"), {}, {}) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("ms", "text"), [(0, "0:00"), (7_900, "0:07"), (760_000, "12:40"), (3_723_000, "1:02:03")])
def test_clock(ms: int, text: str) -> None:
    assert clock(ms) == text


def test_the_policy_names_each_script() -> None:
    assert policy(["a", "b"], "c").count("sha256-") == 3
