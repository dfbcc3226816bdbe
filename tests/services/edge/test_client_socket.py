"""The door to one client, on a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.edge.client_socket import HIGH_WATER_BYTES, ClientSocket
from services.edge.outbox import Outbox
from shared.audio import FRAME_MS
from shared.wire import AudioFrame

VOICE_FRAME_BYTES = 360
"""80 ms of a voice as Ogg-Opus."""

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

Serve = Callable[[ClientSocket, web.WebSocketResponse], Awaitable[None]]


@asynccontextmanager
async def _connected(serve: Serve, outbox: Outbox | None = None) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async def handle(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        socket = ClientSocket(request, ws, Outbox() if outbox is None else outbox, lambda frame: b"\x01%d" % frame.seq)
        sender = asyncio.create_task(socket.run())
        try:
            await serve(socket, ws)
        finally:
            sender.cancel()
            with suppress(asyncio.CancelledError):
                await sender
        return ws

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestServer(app) as server, TestClient(server) as client, client.ws_connect("/") as ws:
        yield ws


async def test_messages_and_frames_go_out_in_order() -> None:
    async def serve(socket: ClientSocket, ws: web.WebSocketResponse) -> None:
        socket.send(b"first")
        socket.send_audio(AudioFrame(7, 1920, ()))
        socket.send(b"last")
        assert socket.sent == 3
        await ws.receive()

    async with _connected(serve) as ws:
        assert [await ws.receive_bytes(timeout=5) for _ in range(3)] == [b"first", b"\x017", b"last"]


async def test_what_does_not_fit_waits_and_comes_later_in_order() -> None:
    total = 400
    outbox = Outbox(max_frames=1000, max_bytes=10_000_000)

    async def serve(socket: ClientSocket, ws: web.WebSocketResponse) -> None:
        for n in range(total):
            assert socket.send(b"%06d" % n + bytes(HIGH_WATER_BYTES))
        assert len(outbox) > 0
        await ws.receive()

    async with _connected(serve, outbox) as ws:
        numbers = [int((await ws.receive_bytes(timeout=5))[:6]) for _ in range(total)]
    assert numbers == list(range(total))
    assert not outbox


async def test_a_client_that_reads_nothing_has_seconds_of_a_voice_waiting_not_more() -> None:
    """The outbox bounds what is late only if little waits in front of it, in the transport and in the kernel."""
    held: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_304)  # the least: what the client's own kernel holds
    narrow.setblocking(False)

    async def handle(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        client = ClientSocket(request, ws, Outbox(), lambda frame: bytes(VOICE_FRAME_BYTES))
        for n in range(400):
            client.send_audio(AudioFrame(n, 1920, ()))
            await asyncio.sleep(0.001)  # the kernel takes what it can between two frames
        held.set_result(client.sent)
        return ws

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestServer(app) as server:
        await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", server.port))
        with narrow:
            await asyncio.get_running_loop().sock_sendall(narrow, UPGRADE)
            seconds = await asyncio.wait_for(held, 10) * FRAME_MS / 1000
    assert seconds < 4


async def test_a_full_outbox_says_so() -> None:
    refused: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def serve(socket: ClientSocket, ws: web.WebSocketResponse) -> None:
        for _ in range(10_000):
            if not socket.send(bytes(10_000)):
                refused.set_result(True)
                return
        refused.set_result(False)

    async with _connected(serve, Outbox(max_bytes=50_000)):
        assert await asyncio.wait_for(refused, 5)


async def test_the_goodbye_fits_a_close_frame() -> None:
    async def serve(socket: ClientSocket, ws: web.WebSocketResponse) -> None:
        await socket.close(1013, "é" * 200)
        socket.send_audio(AudioFrame(0, 1920, ()))
        assert socket.send(b"too late")
        assert socket.sent == 0

    async with _connected(serve) as ws:
        message = await ws.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1013)
        assert message.extra == "é" * 60
