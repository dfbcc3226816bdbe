"""Conversations of a real client through a real edge, a real Redis and a worker that echoes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from shared.events import SessionEnded
from shared.testing.echo_worker import EchoWorker
from shared.testing.talker import Talker

if TYPE_CHECKING:
    from tests.services.edge.conftest import Edge


async def test_a_stock_client_talks(edge: Edge, worker: EchoWorker) -> None:
    async with edge.connect() as ws:
        talker = Talker(ws)
        first = await asyncio.wait_for(ws.receive_bytes(), 5)
        assert first == b"\x00"
        await talker.send_frame(20)
        assert await talker.audio(80) == talker.sent
        assert {message[0] for message in talker.messages} == {1}
    await worker.wait(lambda: len(worker.ended) == 1)
    assert list(worker.ended.values()) == [SessionEnded("client_closed")]
