"""A model hub on loopback: speaks what huggingface_hub asks of the real one, and fails where a test tells it to."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from threading import Event, Thread

import pytest
from aiohttp import web

TOKEN = "hf_right"


class FakeHub:
    """One gated repository. Large files are redirected to `/cdn` at another address, as the real one does.

    `broken_off` counts transfers that are still to be cut after half of what they have to bring. `spoiled` names files
    whose bytes are not those stated; `stated_sizes` replaces stated sizes; `small` are not in large file storage.
    """

    def __init__(self) -> None:
        self.token = TOKEN
        self.repo = "nvidia/personaplex-7b-v1"
        self.files = weights()
        self.small: set[str] = set()
        self.commit = "c" * 40
        self.accepted = True
        self.may_read_gated = True
        self.broken_off = 0
        self.spoiled: set[str] = set()
        self.stated_sizes: dict[str, int] = {}
        self.answer: web.Response | None = None
        self.asked: list[tuple[str, str, str, str]] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def put_voices(self, members: dict[str, bytes]) -> None:
        """Replace the archive of voices by one with these members."""
        self.files["voices.tgz"] = tarball(members)

    @property
    def fetched(self) -> list[str]:
        """Names of the files whose bytes were asked for, once each time."""
        return [path.rpartition("/")[2] for method, path, _, _ in self.asked if method == "GET"]

    @property
    def ranges(self) -> list[str]:
        return [asked for method, _, _, asked in self.asked if method == "GET"]

    @web.middleware
    async def note(self, request: web.Request, handler: Callable[..., object]) -> web.StreamResponse:
        headers = request.headers
        self.asked.append((request.method, request.path, headers.get("Authorization", ""), headers.get("Range", "")))
        return await handler(request)

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        if self.answer is not None:
            return web.Response(status=self.answer.status, headers=self.answer.headers)
        refusal = self._refusal(request)
        if refusal:
            return refusal
        name = request.match_info["file"]
        data = self.files[name]
        n_bytes = self.stated_sizes.get(name, len(data))
        headers = {"X-Repo-Commit": self.commit}
        if name in self.small:
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            headers["ETag"] = f'"{blob}"'
            if request.method == "GET":
                return await self._send(request, name, headers)
            return web.Response(headers={**headers, "Content-Length": str(n_bytes)})
        headers |= {
            "X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"',
            "X-Linked-Size": str(n_bytes),
            "ETag": '"of-the-pointer"',
            "Location": f"http://127.0.0.1:{self.port}/cdn/{name}",
        }
        return web.Response(status=302, headers=headers)

    def _refusal(self, request: web.Request) -> web.Response | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token != TOKEN:
            return web.Response(status=401, headers={"X-Error-Message": "Invalid credentials in Authorization header"})
        if f"{request.match_info['owner']}/{request.match_info['name']}" != self.repo:
            return web.Response(status=404 if token else 401, headers={"X-Error-Code": "RepoNotFound"})
        if not token:
            return web.Response(status=401, headers={"X-Error-Code": "GatedRepo"})
        if not self.may_read_gated:
            return web.Response(status=403, headers={"X-Error-Message": "Please enable access to gated repositories"})
        if not self.accepted:
            return web.Response(status=403, headers={"X-Error-Code": "GatedRepo"})
        if request.match_info["revision"] not in ("main", self.commit):
            return web.Response(status=404, headers={"X-Error-Code": "RevisionNotFound"})
        if request.match_info["file"] not in self.files:
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self.commit})
        return None

    async def cdn(self, request: web.Request) -> web.StreamResponse:
        return await self._send(request, request.match_info["file"], {})

    async def _send(self, request: web.Request, name: str, headers: dict[str, str]) -> web.StreamResponse:
        data = self.files[name]
        if name in self.spoiled:
            data = bytes(len(data))
        asked = request.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(data):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        rest = data[start:]
        response = web.StreamResponse(status=206 if asked else 200, headers=headers)
        response.content_length = len(rest)
        if asked:
            response.headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        await response.prepare(request)
        if self.broken_off > 0:
            self.broken_off -= 1
            await response.write(rest[: len(rest) // 2])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(rest)
        await response.write_eof()
        return response

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.note])
        app.router.add_route("*", "/{owner}/{name}/resolve/{revision}/{file}", self.resolve)
        app.router.add_get("/cdn/{file}", self.cdn)
        return app


def weights() -> dict[str, bytes]:
    """Return files with the names of the real ones, a few KB each."""
    return {
        "model.safetensors": b"m" * 40_000,
        "tokenizer-e351c8d8-checkpoint125.safetensors": b"c" * 20_000,
        "tokenizer_spm_32k_3.model": b"t" * 3_000,
        "voices.tgz": tarball({"voices/NATM1.pt": b"one", "voices/NATF2.pt": b"two", "voices/README.md": b"no voice"}),
    }


def tarball(members: dict[str, bytes]) -> bytes:
    """Return a .tgz of these files, the same bytes each time."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """The hub on a thread of its own, as clients here block; HF_ENDPOINT and HF_TOKEN lead to it.

    The library writes what comes in pieces of 1 KB instead of 10 MB, so that small files can break off in the middle.
    """
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1_000)
    fake, ready, stop = FakeHub(), Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        runner = web.AppRunner(fake.app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        fake.port = runner.addresses[0][1]
        loops.append(asyncio.get_running_loop())
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    monkeypatch.setenv("HF_ENDPOINT", fake.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    yield fake
    loops[0].call_soon_threadsafe(stop.set)
    thread.join()
