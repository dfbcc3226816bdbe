"""The door to one client: sends at once while the client keeps up, else through the outbox."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from services.edge.outbox import Item, Outbox, websocket_frame
from shared.wire import AudioFrame

log = logging.getLogger(__name__)

HIGH_WATER_BYTES = 2 * 1024
"""What may wait in this process before the outbox is used; half a second of a voice at 4.5 kB/s."""

SEND_BUFFER_BYTES = 8 * 1024
"""What the kernel may hold; Linux takes twice as much, which is two seconds of a voice. Its own default holds minutes.

Nothing of it can be taken back, so that the outbox bounds how late audio comes only if little waits in front of it.
"""

CLOSE_TIMEOUT_S = 3.0


class ClientSocket:
    """Sends to one client, in order. `render` makes the bytes of a frame at the moment of sending.

    While the transport takes what it is given, a message is written without a task switch. aiohttp writes
    uncompressed frames whole, and in the same way, so its pongs and ours never mix. Once the client is behind,
    `run` empties the outbox as fast as the client reads.
    """

    def __init__(
        self, request: web.Request, ws: web.WebSocketResponse, outbox: Outbox, render: Callable[[AudioFrame], bytes]
    ) -> None:
        self.sent = 0
        self._request = request
        self._ws = ws
        self._outbox = outbox
        self._render = render
        self._wake = asyncio.Event()
        self._busy = False
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        self._transport: asyncio.Transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            with suppress(OSError):  # a UNIX socket or a wrapped one may have no such option
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    @property
    def shed_frames(self) -> int:
        """Frames that were dropped because they were too late for this client."""
        return self._outbox.shed_frames

    def send_audio(self, frame: AudioFrame) -> None:
        """Send a frame, or queue it; the oldest queued one gives way."""
        if self._can_write():
            self._write(self._render(frame))
        elif not self._ws.closed:
            self._outbox.put_audio(frame, asyncio.get_running_loop().time())
            self._wake.set()

    def send(self, message: bytes) -> bool:
        """Send a message, or queue it; false if the client is too slow for what may not be lost."""
        if self._can_write():
            self._write(message)
            return True
        if self._ws.closed:
            return True
        self._wake.set()
        return self._outbox.put(message)

    async def run(self) -> None:
        """Empty the outbox whenever something waits in it, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._busy = True
            try:
                while self._outbox:
                    await self._request.writer.drain()
                    if self._transport.is_closing() or self._ws.closed:
                        return
                    if self._outbox:
                        item: Item = self._outbox.take()
                        self._write(self._render(item) if isinstance(item, AudioFrame) else item)
            except ConnectionError:
                return
            finally:
                self._busy = False

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye; a client that does not answer or read is cut off after CLOSE_TIMEOUT_S."""
        # A close frame holds at most 123 bytes of text.
        text = reason.encode()[:120].decode(errors="ignore").encode()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._ws.close(code=code, message=text)
        except (TimeoutError, ConnectionError):
            self._transport.abort()

    def _can_write(self) -> bool:
        return not (
            self._busy
            or self._outbox
            or self._ws.closed
            or self._transport.is_closing()
            or self._transport.get_write_buffer_size() > HIGH_WATER_BYTES
        )

    def _write(self, payload: bytes) -> None:
        self._transport.write(websocket_frame(payload))
        self.sent += 1
