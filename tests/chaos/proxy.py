"""A TCP proxy before Redis, one for each process, in which the network's faults are made.

As in a real network nothing that was sent is forgotten in a partition: it arrives when the partition is over, also
what was sent by a connection that its owner has given up since.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

_CHUNK = 64 * 1024
_QUEUE = 1_000


class TcpProxy:
    """Listens on a free loopback port and passes on to `upstream` (a loopback port). Start it inside a loop."""

    def __init__(self, upstream: int) -> None:
        self.port = 0
        self.delay_s = 0.0
        """How much later everything arrives, in each direction, in seconds."""
        self._upstream = upstream
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def partition(self) -> None:
        """Let nothing through in either direction, and no new connection."""
        self._open.clear()

    def heal(self) -> None:
        """Let through again what waits and what comes, without delay."""
        self.delay_s = 0.0
        self._open.set()

    def cut(self) -> int:
        """Break every connection at once (reset); new ones are welcome. Returns how many there were."""
        writers, self._writers = self._writers, set()
        for writer in writers:
            writer.transport.abort()
        return len(writers) // 2

    async def aclose(self) -> None:
        """Stop listening and break what is open."""
        if self._server:
            self._server.close()
        self.cut()
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            with suppress(OSError):
                await self._link(reader, writer)
        except asyncio.CancelledError:
            pass  # asyncio's own callback on this task would print it
        finally:
            writer.close()
            self._links.discard(task)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        there, back = await asyncio.open_connection("127.0.0.1", self._upstream)
        pair = {writer, back}
        self._writers |= pair
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, back))
                group.create_task(self._pump(there, writer))
        except* OSError:
            pass  # one end broke: the other one is broken below
        finally:
            self._writers -= pair
            for end in pair:
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUE)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take(reader, waiting))
            group.create_task(self._give(waiting, writer))

    async def _take(self, reader: asyncio.StreamReader, waiting: asyncio.Queue[tuple[float, bytes]]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data = await reader.read(_CHUNK)
            await waiting.put((loop.time() + self.delay_s, data))
            if not data:
                return

    async def _give(self, waiting: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s, data = await waiting.get()
            await asyncio.sleep(max(0.0, due_s - loop.time()))  # the delay that is asked for
            await self._open.wait()
            if not data:
                writer.close()  # the other direction ends with it
                return
            writer.write(data)
            await writer.drain()
