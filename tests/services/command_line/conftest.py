"""Doubles of the two things that the command line talks to: an edge, and a service process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from services.command_line.roles import Role
from services.command_line.up_plan import ProcessPlan
from shared.audio import FRAME_SAMPLES
from shared.audio.ogg import OggOpusDemuxer, OggOpusMuxer
from shared.audio.opus import OpusDecoder, OpusEncoder
from shared.events import Body, Event
from shared.wire import event_to_json

SESSION = "01hzzzzzzzzzzzzzzzzzzzzzzz"

FAKE_SERVICE = """
import http.server, os, signal, sys
mode, label = os.environ["FAKE_MODE"], os.environ["FAKE_LABEL"]
if mode == "settings":
    print("SPLITBRAIN_FAKE_X: wrong"); sys.exit(2)
if mode == "dies":
    print("boom"); sys.exit(1)

def end(*_):
    with open(os.environ["FAKE_LOG"], "a") as log:
        log.write(label + "\\n")
    os._exit(0)

signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "stubborn" else end)

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if mode == "unready" else 200)
        self.end_headers()
    def log_message(self, *_):
        pass

port = next(int(v) for k, v in os.environ.items() if k.endswith("_HEALTH_PORT"))
print("up", label, flush=True)
http.server.HTTPServer(("127.0.0.1", port), Health).serve_forever()
"""


class FakeEdge:
    """Speaks the server's side of the protocol: echoes frames, and lets a test say the rest.

    `on_frame(edge, number)` runs after each frame of input; `refuse` is an HTTP status instead of a call, `refusal`
    its JSON body.
    """

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.commands: list[dict[str, object]] = []
        self.heard: list[np.ndarray] = []
        self.on_open: Callable[[FakeEdge], object] | None = None
        self.on_frame: Callable[[FakeEdge, int], object] | None = None
        self.on_command: Callable[[FakeEdge, dict[str, object]], object] | None = None
        self.refuse = 0
        self.refusal: dict[str, object] | None = None
        self.greets = True
        self.url = ""
        self.socket: web.WebSocketResponse | None = None
        self._events = 0

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.refuse:
            return (
                web.json_response(self.refusal, status=self.refuse)
                if self.refusal
                else web.Response(status=self.refuse)
            )
        self.socket = web.WebSocketResponse()
        await self.socket.prepare(request)
        if self.on_open:
            await _call(self.on_open(self))
        if self.greets and not self.socket.closed:
            await self.send(b"\x00")
        await self._echo(self.socket)
        return self.socket

    async def _echo(self, socket: web.WebSocketResponse) -> None:
        demuxer, decoder, encoder = OggOpusDemuxer(), OpusDecoder(), OpusEncoder()
        muxer = OggOpusMuxer(serial=7)
        if self.greets and not socket.closed:
            await self.send(b"\x01" + muxer.head())
        async for message in socket:
            if message.type is WSMsgType.BINARY and message.data[0] == 4:
                await self._command(json.loads(message.data[1:]))
            packets = demuxer.feed(message.data[1:]) if message.data[0] == 1 else []
            if packets:
                pcm = np.concatenate([decoder.decode(packet) for packet in packets])
                self.heard.append(pcm)
                await self.send(b"\x01" + muxer.pages(encoder.encode(pcm), FRAME_SAMPLES))
                if self.on_frame:
                    await _call(self.on_frame(self, len(self.heard)))

    async def _command(self, command: dict[str, object]) -> None:
        self.commands.append(command)
        if self.on_command:
            await _call(self.on_command(self, command))

    async def send(self, data: bytes) -> None:
        assert self.socket is not None
        await self.socket.send_bytes(data)

    async def event(self, body: Body, media_ms: int = 0) -> None:
        self._events += 1
        event = Event(f"test:{self._events}", SESSION, "voice", 1, media_ms, 0, body)
        await self.send(b"\x04" + json.dumps(event_to_json(event)).encode())


async def _call(result: object) -> None:
    if hasattr(result, "__await__"):
        await result


@pytest.fixture
async def edge() -> AsyncIterator[FakeEdge]:
    fake = FakeEdge()
    app = web.Application()
    app.router.add_get("/api/chat", fake.chat)
    server = TestServer(app)
    await server.start_server()
    fake.url = f"ws://127.0.0.1:{server.port}"
    yield fake
    await server.close()


@pytest.fixture
def make_plan(tmp_path: Path) -> Callable[..., ProcessPlan]:
    """A plan for a real process that answers /readyz and writes its label to `stopped` on SIGTERM."""
    (tmp_path / "fake_service.py").write_text(FAKE_SERVICE)

    def make(label: str, mode: str = "ok", role: str = "fake") -> ProcessPlan:
        environment = {
            "PYTHONPATH": str(tmp_path),
            "FAKE_MODE": mode,
            "FAKE_LABEL": label,
            "FAKE_LOG": str(tmp_path / "stopped"),
        }
        return ProcessPlan(label, Role(role, "fake_service", "", ""), environment)

    return make
