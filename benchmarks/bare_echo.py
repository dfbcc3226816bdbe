"""The least a WebSocket echo can cost here: aiohttp and nothing else. What every figure is compared with."""

from __future__ import annotations

import sys

import uvloop
from aiohttp import WSMsgType, web


async def echo(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    await ws.send_bytes(b"\x00")
    async for message in ws:
        if message.type is WSMsgType.BINARY:
            await ws.send_bytes(message.data)
    return ws


def main() -> None:
    """Serve on the loopback port given as the only argument."""
    uvloop.install()
    app = web.Application()
    app.add_routes([web.get("/api/chat", echo), web.get("/readyz", _ready)])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


async def _ready(_: web.Request) -> web.Response:
    return web.Response(text="ready")


if __name__ == "__main__":
    main()
