"""The web page: its files, read once at the start, with types, a content policy and ETags."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

PAGE_DIR = Path(__file__).parent / "web"
MAX_FILES = 500
MAX_FILE_BYTES = 4 * 1024 * 1024

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}

PAGE_HEADERS = {
    # connect-src names ws: and wss: because older Safari does not count them as 'self'.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
        "connect-src 'self' ws: wss:; media-src 'self' blob:; worker-src 'self' blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address may hold a token in its path
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",  # ask again each time; the ETag makes that cheap
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file in memory."""

    content: bytes
    content_type: str
    etag: str


def load_page(folder: Path = PAGE_DIR) -> dict[str, PageFile]:
    """Return the page's files by their path below `folder`; files of other types are no part of it."""
    files: dict[str, PageFile] = {}
    for path in sorted(folder.rglob("*")):
        kind = _TYPES.get(path.suffix)
        if kind is None or not path.is_file() or path.stat().st_size > MAX_FILE_BYTES or len(files) >= MAX_FILES:
            continue
        content = path.read_bytes()
        etag = hashlib.sha256(content).hexdigest()[:32]
        files[path.relative_to(folder).as_posix()] = PageFile(content, kind, etag)
    return files


class WebPage:
    """Serves `/` and `/static/<file>`; nothing that was not there at the start."""

    def __init__(self, files: dict[str, PageFile]) -> None:
        self._files = files

    async def index(self, request: web.Request) -> web.Response:
        """The page itself."""
        return self._answer(request, "index.html")

    async def static(self, request: web.Request) -> web.Response:
        """One of its files."""
        return self._answer(request, request.match_info["path"])

    def _answer(self, request: web.Request, name: str) -> web.Response:
        file = self._files.get(name)
        if file is None:
            raise web.HTTPNotFound
        headers = {**PAGE_HEADERS, "ETag": f'"{file.etag}"'}
        if any(tag.value == file.etag for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.content, headers={**headers, "Content-Type": file.content_type})
