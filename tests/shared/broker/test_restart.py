"""A Redis with an append-only file that goes down and comes back in the middle of a conversation."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shared.redis_server import RedisServer
from tests.shared.broker.conversation import conversation


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_conversation_goes_on_after_a_restart_with_no_frame_lost(tmp_path: Path, how: str) -> None:
    server = RedisServer(append_only=True, folder=tmp_path).start()
    try:
        async with conversation(server.url) as call, call.talking():
            await call.heard(10)
            server.stop() if how == "stopped" else server.kill()
            while call.client.writer.up:
                await asyncio.sleep(0.01)
            at_loss = len(call.sent)
            await asyncio.sleep(0.5)  # frames wait in the writer meanwhile
            server.start()
            last = len(call.sent) + 10
            await call.heard(last)
            assert last > at_loss + 10
            assert call.echoed[: last + 1] == list(range(last + 1)), "all, each once, in order"
            assert (await call.kept(call.keys.audio_in))[: last + 1] == list(range(last + 1))
            assert await call.owner() == ("echo-1", 1)
            assert call.worker.sessions.keys() == {call.sid}
    finally:
        server.stop()
