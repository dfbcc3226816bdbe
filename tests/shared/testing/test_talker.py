"""The protocol client for tests, against a server that gives back what it gets."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from shared.testing.talker import Talker


async def test_it_sends_frames_that_all_differ_and_reads_them_back() -> None:
    async def handle(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_bytes(b"\x00")
        await ws.send_bytes(b"\x02hello")
        for _ in range(3):
            await ws.send_bytes(await ws.receive_bytes())
        await ws.close(code=1012)
        return ws

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestServer(app) as server, TestClient(server) as client, client.ws_connect("/") as ws:
        talker = Talker(ws)
        assert await talker.next(2) == b"hello"
        await talker.send_frame(3)
        assert len(set(talker.sent)) == 12
        assert await talker.audio(5) == talker.sent[:5]
        assert await talker.audio(5) == talker.sent[5:10]
        assert talker.packets_so_far() == talker.sent[10:]
        assert await talker.closed() == 1012
        with pytest.raises(AssertionError):
            await talker.next(0)
