"""Fixtures for the web page: headless Chromium, and a double of the edge that speaks the real binary protocol.

One browser for the whole run (in the session's event loop); each test has a fresh profile and a fresh double.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from services.edge.web_page import PAGE_HEADERS
from shared.audio.ogg import OggOpusMuxer
from shared.audio.opus import OpusEncoder
from shared.events import Event
from shared.wire import event_to_json

WEB = Path(__file__).parents[2] / "services" / "edge" / "web"
SPEECH = Path(__file__).parents[1] / "fixtures" / "audio" / "en_human"
TIMEOUT_S = 20.0
SILENCE_S = 8
CSP = PAGE_HEADERS["Content-Security-Policy"]
ENGINES: list[dict[str, Any]] = [
    {"id": "cascade", "languages": ["nl", "en"], "duplex": False, "available": True, "description": "Local models"},
    {"id": "personaplex", "languages": ["en"], "duplex": True, "available": True, "description": "Speech to speech"},
    {"id": "openai_realtime", "languages": ["nl", "en"], "duplex": True, "available": False, "description": "No key"},
]


class EdgeClient:
    """The server's end of one page's WebSocket. The test says what goes out and reads what came in."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.query = dict(request.query)
        self._transport = request.transport
        self.received: list[bytes] = []
        self.is_closed = asyncio.Event()
        self.close_code: int | None = None
        self._socket = socket
        self._news = asyncio.Condition()
        self._events = 0

    async def run(self) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.BINARY:
                async with self._news:
                    self.received.append(message.data)
                    self._news.notify_all()
        self.close_code = self._socket.close_code
        self.is_closed.set()

    def payloads(self, kind: int) -> list[bytes]:
        return [message[1:] for message in self.received if message[0] == kind]

    async def wait_for(self, is_there: Callable[[], Any]) -> None:
        """Wait until what came in makes `is_there()` true."""
        async with asyncio.timeout(TIMEOUT_S), self._news:
            await self._news.wait_for(is_there)

    async def json_message(self, index: int = 0) -> Any:
        await self.wait_for(lambda: len(self.payloads(4)) > index)
        return json.loads(self.payloads(4)[index])

    async def send(self, kind: int, payload: bytes = b"") -> None:
        await self._socket.send_bytes(bytes([kind]) + payload)

    async def event(self, body: Any, *, id: str = "", media_ms: int = 0, epoch: int = 1, source: Any = "voice") -> None:
        self._events += 1
        name = id or f"test:{self._events}"
        await self.envelope(Event(name, "s-1", source, epoch, media_ms, 0, body))

    async def envelope(self, event: Event) -> None:
        await self.send(4, json.dumps(event_to_json(event)).encode())

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._socket.close(code=code, message=reason.encode())

    def abort(self) -> None:
        """Cut the connection without a goodbye, as a failing network does."""
        if self._transport is not None:
            self._transport.abort()


class EdgeDouble:
    """Serves the page and its API as the edge does, and hands each WebSocket to the test."""

    def __init__(self) -> None:
        self.engines: list[dict[str, Any]] | None = ENGINES
        self.profile = "personal_training"
        self.ticket_status = 200
        self.refuse_chat = 0
        self.requests: list[str] = []
        self.authorizations: list[str] = []
        self.clients: asyncio.Queue[EdgeClient] = asyncio.Queue()
        self._all_clients: list[EdgeClient] = []
        app = web.Application()
        app.router.add_get("/", self._index)
        app.router.add_get("/blank", self._blank)
        app.router.add_get("/api/engines", self._engines)
        app.router.add_get("/api/config", self._config)
        app.router.add_post("/api/tickets", self._tickets)
        app.router.add_get("/api/chat", self._chat)
        app.router.add_static("/static", WEB)
        app.on_response_prepare.append(self._add_policy)
        self.server = TestServer(app)

    @property
    def url(self) -> str:
        # A browser counts localhost as secure; that is what opens the microphone.
        return f"http://localhost:{self.server.port}"

    async def stop(self) -> None:
        for client in self._all_clients:
            client.abort()
        await self.server.close()

    async def next_client(self) -> EdgeClient:
        async with asyncio.timeout(TIMEOUT_S):
            return await self.clients.get()

    async def _add_policy(self, request: web.Request, response: web.StreamResponse) -> None:
        self.requests.append(str(request.rel_url))
        response.headers["Content-Security-Policy"] = CSP

    async def _index(self, _request: web.Request) -> web.FileResponse:
        return web.FileResponse(WEB / "index.html")

    async def _blank(self, _request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><html lang=en><title>blank</title>", content_type="text/html")

    async def _engines(self, request: web.Request) -> web.Response:
        self.authorizations.append(request.headers.get("Authorization", ""))
        return web.Response(status=500) if self.engines is None else web.json_response(self.engines)

    async def _config(self, _request: web.Request) -> web.Response:
        return web.json_response({"profile": self.profile, "emotionAllowed": self.profile == "personal_training"})

    async def _tickets(self, request: web.Request) -> web.Response:
        self.authorizations.append(request.headers.get("Authorization", ""))
        if self.ticket_status != 200:
            error = {"error": {"code": "refused", "message": "the desk says no"}}
            return web.json_response(error, status=self.ticket_status, headers={"Retry-After": "7"})
        return web.json_response({"ticket": "one-time-ticket"})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        if self.refuse_chat:
            return web.Response(status=self.refuse_chat)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client = EdgeClient(socket, request)
        self._all_clients.append(client)
        await self.clients.put(client)
        await client.run()
        return socket


class Person:
    """Somebody at the page: opens it, presses start, waits for what it shows."""

    def __init__(self, page: Page, edge: EdgeDouble) -> None:
        self.page = page
        self._edge = edge

    async def open(self, fragment: str = "") -> None:
        await self.page.goto(f"{self._edge.url}/{fragment}")
        await self.page.wait_for_selector("body[data-loaded=yes]")

    async def connect(self) -> EdgeClient:
        """Press start and return the server's end; the engine is not ready yet."""
        await self.page.click("#start")
        client = await self._edge.next_client()
        await self.sees("waiting")
        return client

    async def talk(self) -> EdgeClient:
        """Connect and get ready."""
        client = await self.connect()
        await client.send(0)
        await self.sees("talking")
        return client

    async def sees(self, status: str) -> None:
        await self.page.wait_for_selector(f"body[data-status={status}]")

    async def status_text(self) -> str:
        return (await self.page.inner_text("#status")).replace("\n", " ")

    async def until(self, condition: str) -> None:
        """Wait for a condition in the page.

        Playwright's own way evaluates a string inside the page, which the page's content policy forbids.
        """
        script = f"new Promise((ok) => {{ const t = () => ({condition}) ? ok() : setTimeout(t, 30); t(); }})"
        async with asyncio.timeout(TIMEOUT_S):
            await self.page.evaluate(script)


class Talker:
    """Ogg-Opus messages of a voice-like tone, 80 ms each, as the edge sends them."""

    def __init__(self, hz: float = 220.0) -> None:
        self._encoder = OpusEncoder()
        self._muxer = OggOpusMuxer(7)
        self._hz = hz
        self._frames = 0

    def head(self) -> bytes:
        return self._muxer.head()

    def page(self, level: float = 0.3) -> bytes:
        at = np.arange(1920) + 1920 * self._frames
        self._frames += 1
        pcm = (level * np.sin(2 * math.pi * self._hz * at / 24_000)).astype(np.float32)
        return self._muxer.pages(self._encoder.encode(pcm), 1920)


def chromium_path() -> str:
    """The browser to drive: SPLITBRAIN_CHROMIUM, else the installed one."""
    path = os.environ.get("SPLITBRAIN_CHROMIUM") or shutil.which("chromium")
    if not path:
        pytest.fail("no Chromium: install it (Debian: apt-get install chromium) or set SPLITBRAIN_CHROMIUM")
    return path


def chromium_flags(microphone: Path) -> list[str]:
    return [
        "--no-sandbox",
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-sync",
        "--disable-component-update",
        "--no-first-run",
    ]


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser's microphone hears, over and over: one recorded sentence, then silence for an answer."""
    path = tmp_path_factory.mktemp("microphone") / "speech.wav"
    with wave.open(str(sorted(SPEECH.glob("*.wav"))[0]), "rb") as clip, wave.open(str(path), "wb") as heard:
        heard.setparams(clip.getparams())
        heard.writeframes(clip.readframes(clip.getnframes()))
        heard.writeframes(bytes(SILENCE_S * clip.getframerate() * clip.getsampwidth() * clip.getnchannels()))
    return path


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium(microphone: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=chromium_path(), headless=True, args=chromium_flags(microphone)
        )
        yield browser
        await browser.close()


@pytest.fixture
def talker() -> Talker:
    return Talker()


@pytest_asyncio.fixture(loop_scope="session")
async def edge() -> AsyncIterator[EdgeDouble]:
    double = EdgeDouble()
    await double.server.start_server()
    yield double
    await double.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def profile(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """A fresh browser profile that may use the microphone."""
    # Without motion: the page's animations would take a core from the tests beside it.
    context = await chromium.new_context(permissions=["microphone"], locale="nl-NL", reduced_motion="reduce")
    context.set_default_timeout(TIMEOUT_S * 1000)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(profile: BrowserContext) -> AsyncIterator[Page]:
    """A tab that fails the test on any script error or breach of the content security policy."""
    tab = await profile.new_page()
    faults: list[str] = []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
    yield tab
    assert faults == []


@pytest.fixture
def person(page: Page, edge: EdgeDouble) -> Person:
    return Person(page, edge)
