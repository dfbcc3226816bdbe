"""A local chat endpoint that speaks the streaming protocol, with faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

Script = Callable[["Reply"], Any]


@dataclass
class Reply:
    """One request's answer in the making."""

    response: web.StreamResponse
    server: LlmServer

    async def piece(self, text: str) -> None:
        chunk = {
            "id": "c1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "test",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
        }
        await self.raw(f"data: {json.dumps(chunk)}\n\n")

    async def raw(self, text: str) -> None:
        await self.response.write(text.encode())

    async def done(self) -> None:
        await self.raw("data: [DONE]\n\n")


@dataclass
class LlmServer:
    """What was asked, and what to answer: an int is a status, a str is streamed, a callable does as it likes."""

    script: list[int | str | Script] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        step = self.script[min(len(self.requests), len(self.script)) - 1]
        if isinstance(step, int):
            return web.json_response({"error": {"message": "no"}}, status=step)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        reply = Reply(response, self)
        if isinstance(step, str):
            for word in step.split(" "):
                await reply.piece(f"{word} ")
            await reply.done()
        else:
            await step(reply)
        return response


@pytest.fixture
def llm_server() -> Callable[..., AbstractAsyncContextManager[LlmServer]]:
    """Return the endpoint: `async with llm_server("Good. What now?") as server`."""
    return _running


@asynccontextmanager
async def _running(*script: int | str | Script) -> AsyncIterator[LlmServer]:
    """Run the endpoint on a free port of this machine."""
    server = LlmServer(list(script))
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        server.released.set()
        await runner.cleanup()
