"""A session that talks through Redis in real time, served by an echo worker: for tests of a Redis that goes away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from shared.broker import Broker
from shared.broker.append import FIELD
from shared.broker.connection import TRANSIENT
from shared.broker.reader import Entries
from shared.leases import RequestQueue, ensure_group
from shared.ownership import list_ownership
from shared.streams import new_session_id
from shared.testing.brokers import running
from shared.testing.echo_worker import EchoWorker
from shared.wire import AudioFrame, decode_audio

STREAM = "sb:voice.echo"
FRAME_S = 0.08
LIMIT_S = 20.0


class Conversation:
    """The client's side. `echoed` are the frames that came back, each once, in the order in which they came."""

    def __init__(self, client: Broker, worker: EchoWorker) -> None:
        self.client, self.worker = client, worker
        self.sid = new_session_id(client.clock.wall_ms())
        self.keys = client.keys(self.sid)
        self.sent: list[float] = []
        self.echoed: list[int] = []
        self.doubled = 0
        self._changed = asyncio.Event()

    async def begin(self) -> None:
        await ensure_group(self.client.client, STREAM)
        await RequestQueue(self.client).admit(STREAM, self.sid, {}, by_slots=False)
        self.client.reader.subscribe(self.keys.audio_out, "0", self._on_audio)
        await self.worker.wait(lambda: self.sid in self.worker.sessions)

    def say(self, n: int = 1) -> None:
        for _ in range(n):
            self.client.publish_audio(self.keys.audio_in, AudioFrame(len(self.sent), 1920, (b"x",)))
            self.sent.append(time.monotonic())

    @asynccontextmanager
    async def talking(self) -> AsyncIterator[None]:
        """Say a frame every 80 ms for the length of the block."""
        task = asyncio.create_task(self._talk())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _talk(self) -> None:
        while True:
            self.say()
            await asyncio.sleep(FRAME_S)

    async def heard(self, seq: int) -> None:
        """Wait until this frame has come back."""
        async with asyncio.timeout(LIMIT_S):
            while seq not in self.echoed:
                self._changed.clear()
                await self._changed.wait()

    async def ask(self, make: Callable[[], Awaitable[Any]]) -> Any:
        """Return Redis' answer; a connection to a server that is gone fails once, and is asked again."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                try:
                    return await make()
                except TRANSIENT:
                    await asyncio.sleep(0.02)

    async def port(self) -> int:
        """Return the port of the server that this client speaks to."""
        answer = await self.ask(lambda: self.client.client.config_get("port"))
        return int(answer["port"])

    async def kept(self, key: str) -> list[int]:
        """Return the frames that Redis has of a stream, each once."""
        entries = await self.ask(lambda: self.client.client.xrange(key))
        return list(dict.fromkeys(decode_audio(fields[FIELD]).seq for _, fields in entries))

    async def owner(self) -> tuple[str, int]:
        """Return who has the lease, and its epoch."""
        found = await self.ask(lambda: list_ownership(self.client))
        (owned,) = [one for one in found if one.session_id == self.sid]
        return owned.owner, owned.epoch

    def _on_audio(self, key: str, entries: Entries) -> None:
        for _, data in entries:
            seq = decode_audio(data).seq
            if seq in self.echoed:
                self.doubled += 1
            else:
                self.echoed.append(seq)
        self._changed.set()


@asynccontextmanager
async def conversation(url: str) -> AsyncIterator[Conversation]:
    """Two processes' brokers on a Redis: a client's, and an echo worker's that serves it."""
    async with running(Broker.open(url)) as client, running(Broker.open(url)) as serving:
        worker = EchoWorker(serving)
        task = asyncio.create_task(worker.run())
        try:
            call = Conversation(client, worker)
            await call.begin()
            yield call
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
