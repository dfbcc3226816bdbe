"""A client of the Moshi protocol for tests: sends frames whose packets all differ, reads messages by kind."""

from __future__ import annotations

import asyncio

import aiohttp

from shared.audio.ogg import OggOpusDemuxer, OggOpusMuxer

LIMIT_S = 10.0
_PACKET = b"\x48" + b"p" * 39  # SILK, 20 ms, one frame


class Talker:
    """A client: sends frames of four packets and reads messages by kind."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.sent: list[bytes] = []
        self._muxer = OggOpusMuxer(4711)
        self._demuxer = OggOpusDemuxer()
        self._head = self._muxer.head()
        self._packets: list[bytes] = []
        self.messages: list[bytes] = []

    async def send_frame(self, n: int = 1) -> None:
        for _ in range(n):
            packets = [_PACKET[:-4] + (len(self.sent) + i).to_bytes(4, "big") for i in range(4)]
            self.sent += packets
            page = self._muxer.pages(packets, 1920)
            head, self._head = self._head, b""
            await self.ws.send_bytes(b"\x01" + head + page)

    async def next(self, kind: int) -> bytes:
        """Return the payload of the next message of this kind; others are kept in `messages`."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                message = await self.ws.receive()
                assert message.type is aiohttp.WSMsgType.BINARY, f"{message.type} {message.data} {self.ws.close_code}"
                self.messages.append(message.data)
                if message.data[0] == 1:
                    self._packets += self._demuxer.feed(message.data[1:])
                if message.data[0] == kind:
                    return bytes(message.data[1:])

    async def audio(self, n_packets: int) -> list[bytes]:
        """Return the next so many packets of what comes back."""
        while len(self._packets) < n_packets:
            await self.next(1)
        packets, self._packets = self._packets[:n_packets], self._packets[n_packets:]
        return packets

    def packets_so_far(self) -> list[bytes]:
        """Return the packets that came and were not asked for yet."""
        packets, self._packets = self._packets, []
        return packets

    async def closed(self) -> int:
        """Read until the server closes; return its code."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                message = await self.ws.receive()
                if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
                    assert self.ws.close_code is not None
                    return self.ws.close_code
                assert message.type is aiohttp.WSMsgType.BINARY
                self.messages.append(message.data)
