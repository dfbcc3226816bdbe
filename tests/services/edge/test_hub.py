"""What concerns all sessions at once: Redis lost and back, draining, deadlines that all edges share."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from services.edge import hub
from shared.events import Notice, SessionEnded, Spoken
from shared.streams import EDGE_SESSIONS_KEY
from shared.testing.echo_worker import EchoWorker
from shared.testing.talker import Talker

if TYPE_CHECKING:
    from tests.services.edge.conftest import Edge, EdgeFactory


class Cable:
    """A TCP cable between an edge and Redis that can be pulled out and put back."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._host, self._port = parts.hostname, parts.port
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        # Bound and never listening: it keeps the port for us while the cable is out.
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._place.bind(("127.0.0.1", 0))
        self.port = self._place.getsockname()[1]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def plug(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port, reuse_port=True)

    async def pull(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    def close(self) -> None:
        self._place.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(self._host, self._port)
        pair = {writer, there_writer}
        self._writers |= pair
        try:
            await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))
        finally:
            self._writers -= pair
            for each in pair:
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@pytest.fixture
async def cable(real_redis_url: str) -> AsyncIterator[Cable]:
    if not real_redis_url.startswith("redis://"):
        pytest.skip("the test server has no TCP port")
    cable = Cable(real_redis_url)
    await cable.plug()
    yield cable
    await cable.pull()
    cable.close()


async def _notice(talker: Talker, code: str) -> dict[str, Any]:
    while True:
        value = json.loads(await talker.next(4))
        if value.get("body", {}).get("code") == code:
            return dict(value["body"])


async def _event(talker: Talker, kind: str) -> dict[str, Any]:
    while True:
        value = json.loads(await talker.next(4))
        if value.get("body", value)["kind"] == kind:
            return dict(value)


def _transport(ws: aiohttp.ClientWebSocketResponse) -> Any:
    assert ws._response is not None
    assert ws._response.connection is not None
    return ws._response.connection.transport


async def test_redis_lost_for_a_while(start_edge: EdgeFactory, worker: EchoWorker, cable: Cable) -> None:
    """Three seconds of speech come meanwhile: the socket stays, the client is told, and no frame is lost."""
    edge = await start_edge(redis_url=cable.url)
    async with edge.connect("events=1") as ws:
        talker = Talker(ws)
        await talker.send_frame(5)
        await talker.audio(20)
        await cable.pull()
        for _ in range(37):
            await talker.send_frame()
        await _notice(talker, "broker_lost")
        await cable.plug()
        await _notice(talker, "broker_back")
        assert await talker.audio(37 * 4) == talker.sent[20:]
        await talker.send_frame(5)
        assert await talker.audio(20) == talker.sent[-20:]
        (sid,) = worker.sessions
    assert [frame.seq for frame in worker.inputs[sid]] == list(range(47))


async def test_a_redis_that_came_back_empty_ends_the_conversation(
    start_edge: EdgeFactory, worker: EchoWorker, cable: Cable
) -> None:
    """Nobody may say that the conversation goes on: what it was is gone."""
    edge = await start_edge(redis_url=cable.url, resume_s=30)
    async with edge.connect("events=1") as ws:
        talker = Talker(ws)
        await talker.send_frame(5)
        await talker.audio(20)
        (sid,) = worker.sessions
        await cable.pull()
        await talker.send_frame(1)
        await _notice(talker, "broker_lost")
        await worker.broker.client.flushall()
        await cable.plug()
        assert await talker.closed() == 1011
    told = b"".join(talker.messages)
    assert b"the conversation is lost" in told
    assert b"broker_back" not in told
    await edge.until_idle()
    keys = worker.broker.keys(sid)
    for key in keys.all():  # what was written again meanwhile goes soon
        assert await worker.broker.client.ttl(key) != -1


async def test_a_loss_that_nobody_noticed_is_found_at_the_next_renewal(
    start_edge: EdgeFactory, worker: EchoWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "TICK_S", 0.02)
    edge = await start_edge()
    async with edge.connect() as ws:
        talker = Talker(ws)
        await talker.send_frame(5)
        await talker.audio(20)
        await worker.broker.client.flushall()
        assert await talker.closed() == 1011


async def test_a_longer_absence_costs_the_oldest_audio_and_is_told(
    start_edge: EdgeFactory, worker: EchoWorker, cable: Cable
) -> None:
    edge = await start_edge(redis_url=cable.url)
    async with edge.connect("events=1") as ws:
        talker = Talker(ws)
        await talker.send_frame(5)
        await talker.audio(20)
        await cable.pull()
        await talker.send_frame(1)
        await _notice(talker, "broker_lost")
        await talker.send_frame(99)  # eight seconds; five are kept
        shed = await _notice(talker, "input_shed")
        assert 35 <= shed["count"] <= 38
        await cable.plug()
        assert (await talker.audio(62 * 4))[-4:] == talker.sent[-4:]
        (sid,) = worker.sessions
    numbers = [frame.seq for frame in worker.inputs[sid]]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 104


async def test_a_stock_client_is_told_by_text(start_edge: EdgeFactory, worker: EchoWorker, cable: Cable) -> None:
    edge = await start_edge(redis_url=cable.url)
    async with edge.connect() as ws:
        talker = Talker(ws)
        await talker.send_frame(1)
        await talker.audio(4)
        await cable.pull()
        await talker.send_frame(1)
        assert b"held up" in await talker.next(5)
        await cable.plug()
        assert await talker.audio(4) == talker.sent[4:]


async def test_redis_absent_at_the_start_and_there_later(
    start_edge: EdgeFactory, worker: EchoWorker, cable: Cable
) -> None:
    await cable.pull()
    edge = await start_edge(redis_url=cable.url)
    async with edge.connect() as ws:
        assert await Talker(ws).closed() == 1013
    await cable.plug()
    async with asyncio.timeout(10):
        while True:
            async with edge.client.get(f"{edge.base}/readyz") as answer:
                if answer.status == 200:
                    break
            await asyncio.sleep(0.05)
    async with edge.connect() as ws:
        assert await Talker(ws).next(0) == b""


async def test_draining_closes_with_1012_and_the_client_goes_on_elsewhere(
    start_edge: EdgeFactory, worker: EchoWorker
) -> None:
    edge, other = await start_edge(), await start_edge()
    async with edge.connect("events=1") as ws:
        talker = Talker(ws)
        token = json.loads(await talker.next(4))["resumeToken"]
        await talker.next(0)
        drained = asyncio.create_task(edge.hub.drain(5))
        assert await talker.closed() == 1012
        assert await drained
    async with edge.client.get(f"{edge.base}/api/chat") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    async with edge.client.get(f"{edge.base}/readyz") as answer:
        assert answer.status == 503
    async with other.connect(f"resume={token}") as ws:
        talker = Talker(ws)
        await talker.next(0)
        await talker.send_frame()
        assert await talker.audio(4) == talker.sent
    await worker.wait(lambda: len(worker.ended) == 1)
    assert list(worker.ended.values()) == [SessionEnded("client_closed")]


async def test_a_client_that_does_not_answer_does_not_hold_up_the_drain(
    start_edge: EdgeFactory, worker: EchoWorker
) -> None:
    edge = await start_edge()
    ws = await edge.connect()
    await Talker(ws).next(0)
    _transport(ws).pause_reading()
    assert await edge.hub.drain(8)
    _transport(ws).abort()


async def test_sessions_of_a_dead_edge_are_ended_by_another(start_edge: EdgeFactory, worker: EchoWorker) -> None:
    edge = await start_edge()
    ws = await edge.connect()
    await Talker(ws).next(0)
    (sid,) = worker.sessions
    # As if the edge that holds the socket had died: its deadline is in the past and it renews nothing.
    await worker.broker.client.zadd(EDGE_SESSIONS_KEY, {sid: 1})
    await worker.wait(lambda: sid in worker.ended)
    assert worker.ended[sid] == SessionEnded("client_lost")
    # The edge is alive after all: its client must not talk to nobody.
    assert await Talker(ws).closed() == 1000
    await edge.until_idle()
    events, _ = await worker.broker.history(sid)
    assert [event.body for event in events].count(SessionEnded("client_lost")) == 1


async def test_deadlines_are_renewed(start_edge: EdgeFactory, worker: EchoWorker) -> None:
    edge = await start_edge()
    async with edge.connect() as ws:
        await Talker(ws).next(0)
        (sid,) = worker.sessions
        client = worker.broker.client
        before = await client.zscore(EDGE_SESSIONS_KEY, sid)
        async with asyncio.timeout(10):
            while await client.zscore(EDGE_SESSIONS_KEY, sid) == before:
                await asyncio.sleep(0.05)


async def test_notices_are_on_the_stream_too(start_edge: EdgeFactory, worker: EchoWorker) -> None:
    edge = await start_edge()
    async with edge.connect() as ws:
        talker = Talker(ws)
        await talker.next(0)
        await ws.send_bytes(b"\x0fwhat")
        assert b"kind 15" in await talker.next(5)
        (sid,) = worker.sessions
        await edge.broker.writer.drain()
        events, _ = await worker.broker.history(sid)
    assert [event.body.code for event in events if isinstance(event.body, Notice)] == ["unknown_kind"]


class TestResume:
    async def test_a_lost_client_comes_back_to_another_edge(
        self, edge: Edge, start_edge: EdgeFactory, worker: EchoWorker
    ) -> None:
        other = await start_edge()
        ws = await edge.connect("events=1")
        talker = Talker(ws)
        hello = await _event(talker, "session")
        await talker.send_frame(5)
        await talker.audio(20)
        (sid,) = worker.sessions
        worker.publish(sid, Spoken("h1", " een", 0), "voice:spoken:h1:0")
        last = (await _event(talker, "spoken"))["id"]
        _transport(ws).abort()
        await edge.until_idle()
        worker.publish(sid, Spoken("h1", " twee", 0), "voice:spoken:h1:1")
        await worker.broker.writer.drain()
        async with other.connect(f"events=1&resume={hello['resumeToken']}&last_event={last}") as again:
            talker = Talker(again)
            assert (await _event(talker, "session"))["sessionId"] == sid
            assert await talker.next(0) == b""
            assert (await _event(talker, "spoken"))["body"]["text"] == " twee"
            await talker.send_frame(5)
            assert await talker.audio(20) == talker.sent
        await worker.wait(lambda: sid in worker.ended)
        assert [frame.seq for frame in worker.inputs[sid]] == list(range(10))

    async def test_the_newer_connection_wins(self, edge: Edge, start_edge: EdgeFactory, worker: EchoWorker) -> None:
        for second in (edge, await start_edge()):
            async with edge.connect("events=1") as ws:
                talker = Talker(ws)
                token = (await _event(talker, "session"))["resumeToken"]
                await talker.next(0)
                async with second.connect(f"resume={token}") as newer:
                    assert await talker.closed() == 1000
                    fresh = Talker(newer)
                    await fresh.next(0)
                    await fresh.send_frame()
                    assert await fresh.audio(4) == fresh.sent
        await worker.wait(lambda: len(worker.ended) == 2)

    async def test_who_does_not_come_back_is_ended_by_any_edge(
        self, start_edge: EdgeFactory, worker: EchoWorker
    ) -> None:
        edge = await start_edge(resume_s=0.3)
        ws = await edge.connect()
        talker = Talker(ws)
        await talker.send_frame(2)
        await talker.audio(8)
        _transport(ws).abort()
        await worker.wait(lambda: len(worker.ended) == 1)
        (sid,) = worker.ended
        events, _ = await worker.broker.history(sid)
        assert (events[-1].body, events[-1].media_ms) == (SessionEnded("client_lost"), 160)

    async def test_without_resume_a_lost_client_ends_the_session(
        self, start_edge: EdgeFactory, worker: EchoWorker
    ) -> None:
        edge = await start_edge(resume_s=0)
        ws = await edge.connect()
        await Talker(ws).next(0)
        _transport(ws).abort()
        await worker.wait(lambda: len(worker.ended) == 1)
        assert next(iter(worker.ended.values())).reason == "client_lost"

    async def test_a_wrong_token_and_an_ended_session(self, edge: Edge, worker: EchoWorker) -> None:
        async with edge.connect("events=1") as ws:
            token = (await _event(Talker(ws), "session"))["resumeToken"]
            sid, _, _ = token.partition(".")
            async with edge.connect(f"resume={sid}.{'a' * 43}") as thief:
                assert await Talker(thief).closed() == 1008
        await edge.until_idle()
        async with edge.connect(f"resume={token}") as late:
            talker = Talker(late)
            assert await talker.closed() == 1000
            assert b"over" in talker.messages[0]
