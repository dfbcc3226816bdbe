"""The load client against a small server: it finds its frames again, skips instead of bursting, and counts refusals."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import WSMsgType, web

from benchmarks import frame_client
from benchmarks.frame_client import Client, frame_number, make_messages, run
from benchmarks.frame_round_trip import Measured
from shared.audio.ogg import OggOpusDemuxer
from shared.audio.opus_toc import packet_samples
from shared.redis_server import free_port

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def server(handler: object) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes([web.get("/api/chat", handler)])  # type: ignore[arg-type]
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"ws://127.0.0.1:{port}/api/chat"
    finally:
        await runner.cleanup()


def echo(*, lose: int = 0) -> object:
    """An echo that gives back everything but every `lose`th page."""

    async def handler(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_bytes(b"\x00")
        count = 0
        async for message in ws:
            if message.type is WSMsgType.BINARY:
                count += frame_number(message.data) >= 0
                if not lose or count % lose:
                    await ws.send_bytes(message.data)
        return ws

    return handler


def test_the_pages_are_a_stream_of_valid_opus_frames_of_80_ms() -> None:
    demuxer = OggOpusDemuxer()
    first, *others = make_messages(5)
    at = 6 + (first[1] & 0x7F)  # the headers are a message of their own, before the first page
    assert demuxer.feed(first[7:at]) == []
    for message in (first[at:], *others):
        assert message[:2] == b"\x82\xfe"
        payload = message[8:]
        assert int.from_bytes(message[2:4], "big") == len(payload)
        assert payload[:1] == b"\x01"
        packets = demuxer.feed(payload[1:])
        assert sum(packet_samples(packet) for packet in packets) == 1920


def test_a_page_is_known_again_by_its_number() -> None:
    messages = make_messages(300)
    assert [frame_number(message[8:]) for message in messages[1:]] == list(range(1, 300))
    assert frame_number(b"\x00") == -1
    assert frame_number(b"\x01" + bytes(60)) == -1
    assert frame_number(b"") == -1


async def test_every_frame_comes_back_from_an_echo() -> None:
    async with server(echo()) as url:
        result = await run(url, 3, 0.16, 0.8)
    times = result["round_trip_ms"]
    assert isinstance(times, list)
    assert (result["served"], result["expected"]) == (3, 30)
    assert 0 < len(times) == result["sent"] <= 30, "a sender that is held up skips"
    assert min(times) > 0


async def test_lost_frames_are_missing_not_fast() -> None:
    async with server(echo(lose=2)) as url:
        result = await run(url, 1, 0.0, 0.8)
    row = Measured(1, 0.8, result, {"client": 0.0}).row("x")
    assert row[4:6] == ["missing", "missing"]
    sent = result["sent"]
    assert isinstance(sent, int)
    assert 2 <= sent <= 10, "a sender that is held up skips"
    assert row[6] == str(sent // 2)


async def test_refused_sessions_stay_in_the_denominator() -> None:
    n = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal n
        n += 1
        return await echo()(request) if n == 1 else web.Response(status=429)  # type: ignore[operator]

    async with server(handler) as url:
        result = await run(url, 4, 0.0, 0.4)
    assert (result["served"], result["expected"]) == (1, 20)
    assert Measured(4, 0.4, result, {"client": 0.0}).row("x")[3] == "missing"


class Sink:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        pass


async def test_a_sender_that_was_held_up_skips_and_does_not_burst() -> None:
    messages = make_messages(10)
    client, sink = Client("/", "h", messages), Sink()
    client._transport = sink  # type: ignore[assignment]
    client._start_s = time.perf_counter() - 0.3  # frames 0 to 3 are due, 3 of them by 60 ms
    client._send()
    assert sink.written == [messages[3]]
    assert client.skipped == 3
    assert 0.05 < client.lateness[0] < 0.08
    client._transport = None


async def test_the_process_writes_its_figures(tmp_path: Path) -> None:
    result = tmp_path / "figures.json"
    async with server(echo()) as url:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.frame_client", url, str(result)),
            *("--sessions", "2", "--seconds", "0.4", "--warm-up", "0.1"),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(child.communicate(), 30)
    assert out.split() == [b"measuring", b"measured"]
    assert json.loads(result.read_text())["served"] == 2
    assert frame_client.PERIOD_S == 0.08
