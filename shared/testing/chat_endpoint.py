"""A chat completions endpoint on this machine for tests: whole or streamed answers, and every fault."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Reply:
    """One request's answer in the making."""

    request: dict[str, Any]
    response: web.StreamResponse
    server: ChatEndpoint

    async def piece(self, text: str) -> None:
        """Stream one piece of the answer."""
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        await self.raw(f"data: {json.dumps({**_HEAD, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n")

    async def whole(self, text: str, finish_reason: str = "stop", model: str = "test") -> None:
        """Send the whole answer at once."""
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        body = {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": usage, "model": model}
        await self.raw(json.dumps(body))

    async def stall(self) -> None:
        """Send nothing more until the endpoint is closed."""
        await self.server.released.wait()

    async def raw(self, text: str) -> None:
        """Send text as it is."""
        await self.response.write(text.encode())

    async def done(self) -> None:
        """End a stream as the protocol wants it."""
        await self.raw("data: [DONE]\n\n")


Script = Callable[[Reply], Awaitable[None]]
Step = int | str | Script
"""An int is a status, a str is the answer (streamed word by word if the request asks so), a script does as it likes."""


@dataclass
class ChatEndpoint:
    """What was asked, and what to answer: a step for each request, the last one for all that follow.

    With `answer` the request itself decides.
    """

    script: list[Step] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], Step] | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    headers: dict[str, str] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        body = await request.json()
        self.requests.append(body)
        step = self.answer(body) if self.answer else self.script[min(len(self.requests), len(self.script)) - 1]
        if isinstance(step, int):
            return web.json_response({"error": {"message": "no"}}, status=step, headers=self.headers)
        is_stream = bool(body.get("stream"))
        kind = "text/event-stream" if is_stream else "application/json"
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        reply = Reply(body, response, self)
        if not isinstance(step, str):
            await step(reply)
        elif is_stream:
            for word in step.split(" "):
                await reply.piece(f"{word} ")
            await reply.done()
        else:
            await reply.whole(step)
        return response


_HEAD = {"id": "c1", "created": 1, "model": "test"}


@asynccontextmanager
async def chat_endpoint(
    *script: Step, answer: Callable[[dict[str, Any]], Step] | None = None
) -> AsyncIterator[ChatEndpoint]:
    """Run an endpoint on a free port: `async with chat_endpoint("Good.", 429) as server: ... server.url`."""
    server = ChatEndpoint(list(script), answer)
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
