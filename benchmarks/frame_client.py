"""Many paced clients in one process, as cheap as asyncio allows, so that the client is not what is measured.

Speaks just enough WebSocket over bare TCP. Every client sends the same pages, made beforehand: one of 80 ms,
every 80 ms, with its number inside the first Opus packet, which an echo gives back untouched. Prints
`measuring` and `measured` when the window opens and closes; its figures go into a JSON file.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import json
import os
import struct
import sys
from pathlib import Path
from time import perf_counter
from typing import cast
from urllib.parse import urlsplit

import uvloop

from shared.audio import FRAME_MS, FRAME_SAMPLES
from shared.audio.ogg import OggOpusMuxer

PERIOD_S = FRAME_MS / 1000
MARK = b"fRaMe"
_TOC_20_MS = 0x48  # SILK, 20 ms, one frame in the packet
_PACKET_BYTES = 60  # 24 kbit/s
GRACE_S = 2.0
"""How long after the window an answer may come and still count as an answer, late as it is."""

READY_LIMIT_S = 30.0
CONNECT_AT_ONCE = 20
_HEADER = struct.Struct("<5sI")


def make_messages(n_frames: int) -> list[bytes]:
    """Return `n_frames` pages, each as a WebSocket message; before the first stands one with the Ogg headers.

    They are masked with the key 0, which is a key like any other: the server unmasks as ever.
    """
    muxer = OggOpusMuxer(serial=1)
    head = muxer.head()
    filler = bytes(range(1, _PACKET_BYTES))
    messages = []
    for n in range(n_frames):
        marked = bytes([_TOC_20_MS]) + _HEADER.pack(MARK, n)
        first = marked + filler[: _PACKET_BYTES - len(marked)]
        rest = bytes([_TOC_20_MS]) + filler
        page = _message(b"\x01" + muxer.pages((first, rest, rest, rest), FRAME_SAMPLES))
        messages.append(page if n else _message(b"\x01" + head) + page)
    return messages


def _message(payload: bytes) -> bytes:
    if len(payload) < 126:
        return b"\x82" + bytes([0x80 | len(payload)]) + bytes(4) + payload
    return b"\x82\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload


def frame_number(payload: bytes) -> int:
    """Return the number inside an echoed page, -1 for other messages."""
    if not payload or payload[0] != 1 or len(payload) < 28:
        return -1
    at = 1 + 27 + payload[27] + 1
    if payload[at : at + 5] != MARK:
        return -1
    return int(_HEADER.unpack_from(payload, at)[1])


class Client(asyncio.Protocol):
    """One connection: sends frame n at its due time, notes when frame n comes back."""

    def __init__(self, path: str, host: str, messages: list[bytes]) -> None:
        self._path = path
        self._host = host
        self._messages = messages
        self._buffer = b""
        self._upgraded = False
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.sent_at: dict[int, float] = {}
        self.back_at: dict[int, float] = {}
        self.lateness: list[float] = []
        self.skipped = 0
        self.doubled = 0
        self._next = 0
        self._start_s = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is not derived from it
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.ready.done():
            self.ready.set_result(False)

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        buffer = self._buffer + data if self._buffer else data
        if not self._upgraded:
            head, end, buffer = buffer.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self._refused()
                return
            self._upgraded = True
        self._buffer = self._messages_in(buffer, now)

    def _messages_in(self, buffer: bytes, now: float) -> bytes:
        """Take in every whole message and return the rest."""
        at, size = 0, len(buffer)
        while size - at >= 2:
            length, body = buffer[at + 1] & 0x7F, at + 2
            if length == 126:
                if size - at < 4:
                    break
                length, body = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                if size - at < 10:
                    break
                length, body = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
            if size - body < length:
                break
            self._message(buffer[at], buffer[body : body + length], now)
            at = body + length
        return buffer[at:]

    def _message(self, first: int, payload: bytes, now: float) -> None:
        opcode = first & 0x0F
        if opcode == 2 and payload == b"\x00" and not self.ready.done():
            self.ready.set_result(True)
        elif opcode == 2 and (n := frame_number(payload)) >= 0:
            self.doubled += n in self.back_at
            self.back_at.setdefault(n, now)
        elif opcode == 9 and self._transport:
            self._transport.write(b"\x8a" + bytes([0x80 | len(payload)]) + bytes(4) + payload)
        elif opcode == 8:
            self._refused()

    def _refused(self) -> None:
        if not self.ready.done():
            self.ready.set_result(False)
        if self._transport:
            self._transport.close()

    def start(self, at_s: float) -> None:
        """Send frame 0 at `at_s` and the others after it, PERIOD_S apart."""
        self._start_s = at_s
        self._schedule()

    def _schedule(self) -> None:
        if self._next < len(self._messages) and self._transport:
            wait = self._start_s + self._next * PERIOD_S - perf_counter()
            asyncio.get_running_loop().call_later(max(0.0, wait), self._send)

    def _send(self) -> None:
        """Send the frame that is due. A sender that was held up skips frames: it may not send a burst."""
        now = perf_counter()
        late = now - (self._start_s + self._next * PERIOD_S)
        while late >= PERIOD_S and self._next < len(self._messages) - 1:
            self.skipped += 1
            self._next += 1
            late -= PERIOD_S
        if self._transport:
            self.lateness.append(late)
            self.sent_at[self._next] = perf_counter()
            self._transport.write(self._messages[self._next])
        self._next += 1
        self._schedule()

    def close(self) -> None:
        if self._transport:
            self._transport.write(b"\x88\x82" + bytes(4) + b"\x03\xe8")
            self._transport.close()


async def run(url: str, n_sessions: int, warm_up_s: float, window_s: float) -> dict[str, object]:
    """Connect, warm up, measure, and return the figures' raw material."""
    n_warm, n_window = round(warm_up_s / PERIOD_S), round(window_s / PERIOD_S)
    clients = await connect(url, n_sessions, make_messages(n_warm + n_window))
    gc.collect()
    gc.disable()
    served = [client for client in clients if client.ready.done() and client.ready.result()]
    start = perf_counter() + 0.1
    for index, client in enumerate(served):
        client.start(start + PERIOD_S * index / max(1, len(served)))
    await asyncio.sleep(start + n_warm * PERIOD_S - perf_counter())
    say("measuring")
    await asyncio.sleep(start + (n_warm + n_window) * PERIOD_S - perf_counter())
    say("measured")
    await asyncio.sleep(GRACE_S)
    window = range(n_warm, n_warm + n_window)
    result = {
        "served": len(served),
        "expected": n_sessions * n_window,
        "sent": sum(n in client.sent_at for client in served for n in window),
        "skipped": sum(client.skipped for client in served),
        "doubled": sum(client.doubled for client in served),
        "lateness_ms": [round(s * 1000, 3) for client in served for s in client.lateness],
        "round_trip_ms": [
            round((client.back_at[n] - client.sent_at[n]) * 1000, 4)
            for client in served
            for n in window
            if n in client.sent_at and n in client.back_at
        ],
    }
    for client in served:
        client.close()
    await asyncio.sleep(0.2)  # lets the closes go out; after the measured window
    return result


async def connect(url: str, n_sessions: int, messages: list[bytes]) -> list[Client]:
    """Return one client for each session, also for those that were refused."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path
    gate = asyncio.Semaphore(CONNECT_AT_ONCE)

    async def one() -> Client:
        client = Client(path, f"{host}:{port}", messages)
        async with gate:
            try:
                async with asyncio.timeout(READY_LIMIT_S):
                    await asyncio.get_running_loop().create_connection(lambda: client, host, port)
                    await asyncio.shield(client.ready)
            except (OSError, TimeoutError):
                client._refused()
        return client

    return list(await asyncio.gather(*(one() for _ in range(n_sessions))))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("result", type=Path, help="file for the figures")
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--warm-up", type=float, default=3.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    given = parser.parse_args()
    result = uvloop.run(run(given.url, given.sessions, given.warm_up, given.seconds))
    given.result.write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
