"""A scripted client: numbered frames in real time, comes back with its resume token, writes everything down."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import aiohttp

from shared.audio import FRAME_MS, FRAME_SAMPLES
from shared.audio.ogg import OggError, OggOpusDemuxer, OggOpusMuxer
from tests.chaos.frames import frame, is_intact, number_of
from tests.chaos.records import ClientTrace, Connection, Heard, Sent

FRAME_S = FRAME_MS / 1000
RETRY_S = 0.1
LOST_AFTER_S = 25.0
"""How long a client tries to come back; the world's edges keep a session for less."""

STALL_MORE_BYTES = 1_000
"""By how much the packets of a client that does not read are larger: 54 kB/s, so that buffers fill within seconds.

At the 4 kB/s of a voice the client's own kernel alone takes several seconds of it.
"""

RECEIVE_BUFFER_BYTES = 16 * 1024
"""What the kernel may keep for a client that does not read. By default it is more than an edge ever has."""

END_LIMIT_S = 12.0
"""How long the edge may take to close after `end`: 10 s for the scorecard, and some."""

_AUDIO, _METADATA, _ERROR = 1, 4, 5
_OVER = (1000, 1007, 1008, 1009, 1011)
"""Close codes after which a client does not come back (docs/protocol.md)."""


def client_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Return the socket for one connection of a client; for aiohttp's connector."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    return made


class ScriptedClient:
    """One conversation with the echo engine over any of `edges` (http URLs), beginning at index `first`."""

    def __init__(self, http: aiohttp.ClientSession, edges: Sequence[str], first: int, name: str) -> None:
        self.trace = ClientTrace(name)
        self._http = http
        self._edges = edges
        self._edge = first % len(edges)
        self._token = ""
        self._last_event = ""
        self._next = 0
        self._sending = True
        self._over = asyncio.Event()
        self._ending = False
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._muxer = OggOpusMuxer(1)
        self._lock = asyncio.Lock()
        self._repeat_after_resume = False
        self._more_bytes = 0

    @property
    def is_over(self) -> bool:
        """True once the conversation has ended, whoever ended it."""
        return self._over.is_set()

    @property
    def edge(self) -> int:
        """Index of the edge that it is or was connected to."""
        return self._edge

    @property
    def caught_up(self) -> bool:
        """True if the newest frame that came back was sent within the last second."""
        if not self.trace.heard:
            return False
        newest = self.trace.heard[-1].number
        sent = next((each for each in reversed(self.trace.sent) if each.number == newest), None)
        return sent is not None and time.monotonic() - sent.at_s < 1.0

    def heard_since(self, at_s: float) -> bool:
        """True if a frame that was sent after `at_s` came back."""
        sent_after = {each.number for each in self.trace.sent if each.at_s > at_s}
        return any(each.number in sent_after for each in self.trace.heard[-50:])

    def flows_since(self, at_s: float) -> bool:
        """True if what comes back now is of now, and was sent after `at_s`."""
        return self.heard_since(at_s) and self.caught_up

    async def run(self) -> None:
        """Talk until the conversation is over."""
        lost_s = time.monotonic()
        try:
            while not self._over.is_set():
                try:
                    if await self._converse():
                        lost_s = time.monotonic()
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    self._note_refusal(error)
                if self._over.is_set() or time.monotonic() - lost_s > LOST_AFTER_S:
                    break
                self._edge = (self._edge + 1) % len(self._edges)
                await asyncio.sleep(RETRY_S)  # a client does not knock without a pause
        finally:
            self._over.set()

    def _note_refusal(self, error: Exception) -> None:
        status = getattr(error, "status", 0)
        if status in (400, 401, 403):
            self.trace.errors.append(f"the edge refused with {status}")
            self._over.set()

    async def _converse(self) -> bool:
        """Hold one connection; true if it came about. Sets `_over` where the close says so."""
        query = "engine=echo&events=1&language=en"
        if self._token:
            query += f"&resume={self._token}&last_event={self._last_event}"
        async with asyncio.timeout(5):
            ws = await self._http.ws_connect(
                f"{self._edges[self._edge]}/api/chat?{query}", max_msg_size=4 << 20, autoclose=True
            )
        record = Connection(self._edges[self._edge], time.monotonic(), resumed=bool(self._token))
        self.trace.connections.append(record)
        self._ws = ws
        sender = asyncio.create_task(self._send_all(ws))
        try:
            await self._read(ws)
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            self._ws = None
            record.closed_s = time.monotonic()
            record.close_code = ws.close_code or 1006
            await ws.close()
        if record.close_code in _OVER and not record.ours:
            self.trace.hung_up = self._ending and record.close_code == 1000
            self._over.set()
        return True

    # What goes out

    async def _send_all(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        with suppress(ConnectionError, aiohttp.ClientError, RuntimeError):
            self._muxer = OggOpusMuxer(1)
            await ws.send_bytes(bytes([_AUDIO]) + self._muxer.head())
            if self._repeat_after_resume and len(self.trace.connections) > 1:
                self._repeat_after_resume = False
                for each in [sent.number for sent in self.trace.sent[-6:]]:
                    await self._send(ws, each)
            due_s = time.monotonic()
            while True:
                due_s = max(due_s + FRAME_S, time.monotonic() - FRAME_S)  # one that was held up sends no burst
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))  # real time
                if self._sending:
                    await self._send_next(ws)

    async def _send_next(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        number, self._next = self._next, self._next + 1
        await self._send(ws, number)

    async def _send(self, ws: aiohttp.ClientWebSocketResponse, number: int) -> None:
        async with self._lock:  # Ogg pages are numbered: made and sent in one order
            index = len(self.trace.connections) - 1
            self.trace.sent.append(Sent(number, time.monotonic(), index))
            await ws.send_bytes(bytes([_AUDIO]) + self._muxer.pages(frame(number, self._more_bytes), FRAME_SAMPLES))

    async def flood(self, n_frames: int) -> None:
        """Send so many frames at once, and then nothing for a second."""
        self.trace.flooded = True
        ws = self._ws
        self._sending = False
        try:
            with suppress(ConnectionError, aiohttp.ClientError, RuntimeError):
                for _ in range(n_frames if ws else 0):
                    await self._send_next(ws)  # type: ignore[arg-type]
            await asyncio.sleep(1.0)  # the silence after a flood is part of it: what was dropped is to be told in it
        finally:
            self._sending = True

    async def stall(self, duration_s: float) -> None:
        """Read nothing for so long, and go on sending, at a higher bit rate."""
        if self._ws is None:
            return
        self.trace.stalled = True
        # aiohttp's own flow control lets 128 KiB in; the transport's does not. It has no public way to that.
        transport = self._ws._response.connection.transport
        self._more_bytes = STALL_MORE_BYTES
        transport.pause_reading()
        try:
            await asyncio.sleep(duration_s)  # how long the client reads nothing
        finally:
            self._more_bytes = 0
            if not transport.is_closing():
                transport.resume_reading()

    def cut(self, *, repeat: bool = False) -> None:
        """Break the socket without a goodbye. `repeat`: send the last six frames again on the next one."""
        if self._ws is None:
            return
        self._repeat_after_resume = repeat
        self.trace.connections[-1].ours = True
        raw = self._ws.get_extra_info("socket")
        if raw is not None:
            with suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)

    async def hang_up(self) -> None:
        """Send no more, wait until all has come back, say `end`, and wait for the close."""
        self._sending = False
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                while not self.is_over and not self._all_back():
                    await asyncio.sleep(0.02)  # looks again: frames come back in real time
        self._ending = True
        try:
            async with asyncio.timeout(END_LIMIT_S):
                while not self._over.is_set():
                    if self._ws is not None:
                        with suppress(ConnectionError, aiohttp.ClientError, RuntimeError):
                            await self._ws.send_bytes(bytes([_METADATA]) + b'{"type":"end"}')
                    with suppress(TimeoutError):
                        async with asyncio.timeout(3):  # said again on the next socket if this one breaks
                            await self._over.wait()
        except TimeoutError:
            self.trace.errors.append(f"`end` was not answered within {END_LIMIT_S:.0f} s")
            self._over.set()

    def _all_back(self) -> bool:
        return not self.trace.sent or bool(self.trace.heard and self.trace.heard[-1].number >= self._next - 1)

    # What comes in

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        demuxer = OggOpusDemuxer()
        async for message in ws:
            if self._over.is_set():
                return
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            kind, payload = message.data[0], message.data[1:]
            if kind == _AUDIO:
                self._take_audio(demuxer, payload)
            elif kind == _METADATA:
                self._take_event(json.loads(payload))
            elif kind == _ERROR:
                self.trace.errors.append(payload.decode(errors="replace"))

    def _take_audio(self, demuxer: OggOpusDemuxer, payload: bytes) -> None:
        try:
            packets = tuple(demuxer.feed(payload))
        except OggError as error:
            self.trace.errors.append(f"damaged Ogg from the edge: {error}")
            return
        if packets:
            index = len(self.trace.connections) - 1
            self.trace.heard.append(Heard(number_of(packets), is_intact(packets), time.monotonic(), index))

    def _take_event(self, data: dict[str, Any]) -> None:
        if data.get("kind") == "session":
            self.trace.session_id, self._token = data["sessionId"], data["resumeToken"]
            return
        self._last_event = data["id"]
        self.trace.event_ids.append(data["id"])
        body = data["body"]
        if body["kind"] == "notice":
            self.trace.told[body["code"]] = self.trace.told.get(body["code"], 0) + (body.get("count") or 0)
        elif body["kind"] == "session_ended":
            self.trace.ended.append(body["reason"])
        elif body["kind"] == "scorecard":
            self.trace.has_scorecard = True
