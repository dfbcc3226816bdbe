"""Many XADDs in one write: the same answers whichever way they go, and no answer for the wrong entry."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from shared.broker import Broker
from shared.broker.append import Appender, ConnectionAppender, Entry, PipelineAppender, packed
from shared.broker.connection import TRANSIENT
from shared.redis_server import RedisServer


@pytest.fixture(params=["connection", "pipeline"])
def appender(request: pytest.FixtureRequest, broker: Broker) -> Appender:
    if request.param == "pipeline":
        return PipelineAppender(broker.client)
    return ConnectionAppender(broker.connect_blocking)


def entry(key: str, data: bytes, maxlen: int = 100) -> Entry:
    return Entry(key, data, maxlen, False)


async def test_each_entry_gets_its_own_answer(broker: Broker, appender: Appender) -> None:
    await broker.client.set("sb:{00}:text", "no stream")
    batch = [entry("sb:{00}:a", b"1"), entry("sb:{00}:text", b"2"), entry("sb:{01}:b", b"3"), entry("sb:{00}:a", b"4")]
    first, refused, other, last = await appender.append(batch)
    assert isinstance(refused, ResponseError)
    assert [(i, f[b"m"]) for i, f in await broker.client.xrange("sb:{00}:a")] == [(first, b"1"), (last, b"4")]
    assert [(i, f[b"m"]) for i, f in await broker.client.xrange("sb:{01}:b")] == [(other, b"3")]
    await appender.aclose()


async def test_any_bytes_arrive_as_they_are(broker: Broker, appender: Appender) -> None:
    blobs = [b"", b"\r\n", b"$3\r\nabc\r\n", bytes(range(256)) * 100]
    for blob in blobs:
        (answer,) = await appender.append([entry("sb:{00}:é", blob)])
        assert isinstance(answer, bytes)
    assert [fields[b"m"] for _, fields in await broker.client.xrange("sb:{00}:é")] == blobs
    await appender.aclose()


@given(key=st.text(max_size=20), data=st.binary(max_size=50), maxlen=st.integers(0, 10**9))
def test_the_packed_command_is_what_a_server_reads(key: str, data: bytes, maxlen: int) -> None:
    rest = packed(entry(key, data, maxlen))
    count, rest = rest.split(b"\r\n", 1)
    parts = []
    for _ in range(int(count[1:])):
        size, rest = rest.split(b"\r\n", 1)
        parts.append(rest[: int(size[1:])])
        rest = rest[int(size[1:]) + 2 :]
    assert parts == [b"XADD", key.encode(), b"MAXLEN", b"~", b"%d" % maxlen, b"*", b"m", data]
    assert rest == b""


async def test_a_lost_server_is_an_error_and_the_next_write_connects_anew() -> None:
    with RedisServer() as server:
        broker = Broker.open(server.url)
        appender = ConnectionAppender(broker.connect_blocking)
        await appender.append([entry("sb:{00}:a", b"1")])
        server.kill()
        with pytest.raises(TRANSIENT):
            await appender.append([entry("sb:{00}:a", b"2")])
        server.start()
        (answer,) = await appender.append([entry("sb:{00}:a", b"3")])
        assert [i for i, _ in await broker.client.xrange("sb:{00}:a")] == [answer]
        await appender.aclose()
        await broker.aclose()


async def test_a_write_that_was_given_up_leaves_no_answer_behind(real_broker: Broker) -> None:
    """Else the next batch would take the answers of the one before."""
    appender = ConnectionAppender(real_broker.connect_blocking)
    await appender.append([entry("sb:{00}:a", b"0")])
    task = asyncio.create_task(appender.append([entry("sb:{00}:a", b"1")] * 50))
    await asyncio.sleep(0)  # it has sent, and waits for the answers
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (answer,) = await appender.append([entry("sb:{00}:b", b"2")])
    assert [i for i, _ in await real_broker.client.xrange("sb:{00}:b")] == [answer]
    await appender.aclose()
