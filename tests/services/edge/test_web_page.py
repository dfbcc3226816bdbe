"""The page's files: types, policy, and nothing beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.edge.web_page import PAGE_DIR, WebPage, load_page


def _folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "main.js").write_text("1")
    (tmp_path / "sub" / "style.css").write_text("a{}")
    (tmp_path / "secret.py").write_text("no")
    (tmp_path / ".env").write_text("no")
    return tmp_path


def test_only_files_of_known_types_are_loaded(tmp_path: Path) -> None:
    files = load_page(_folder(tmp_path))
    assert set(files) == {"index.html", "main.js", "sub/style.css"}
    assert files["main.js"].content_type == "text/javascript; charset=utf-8"


def test_the_real_page_is_whole() -> None:
    files = load_page(PAGE_DIR)
    assert "index.html" in files
    assert sum(len(file.content) for file in files.values()) < 5_000_000
    assert b"<script>" not in files["index.html"].content  # the policy allows no inline script


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/static/main.js", 200),
        ("/static/sub/style.css", 200),
        ("/static/secret.py", 404),
        ("/static/x", 404),
    ],
)
async def test_what_is_served(tmp_path: Path, path: str, status: int) -> None:
    page = WebPage(load_page(_folder(tmp_path)))
    app = web.Application()
    app.add_routes([web.get("/", page.index), web.get("/static/{path:.+}", page.static)])
    async with TestServer(app) as server, TestClient(server) as client, client.get(path) as answer:
        assert answer.status == status
        if status == 200:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "script-src 'self';" in answer.headers["Content-Security-Policy"]
            assert "unsafe" not in answer.headers["Content-Security-Policy"]


async def test_an_unchanged_file_is_not_sent_again(tmp_path: Path) -> None:
    page = WebPage(load_page(_folder(tmp_path)))
    app = web.Application()
    app.add_routes([web.get("/", page.index)])
    async with TestServer(app) as server, TestClient(server) as client:
        async with client.get("/") as first:
            etag = first.headers["ETag"]
        async with client.get("/", headers={"If-None-Match": f'"other", {etag}'}) as again:
            assert (again.status, await again.read()) == (304, b"")
        async with client.get("/", headers={"If-None-Match": '"other"'}) as changed:
            assert changed.status == 200
