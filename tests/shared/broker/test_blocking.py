"""The bytes of a blocking XREAD, kept ready between reads; on the server's own word that they are right."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from shared.broker import Broker
from shared.broker.blocking import BlockingConnection, ReadSet

keys = st.sampled_from([b"a", b"bb", b"sb:{00}:x:events", "\u00e9".encode()])
steps = st.lists(st.tuples(st.sampled_from(["put", "remove"]), keys, st.integers(0, 99)), max_size=20)


def parsed(command: bytes) -> list[bytes]:
    """Read a command as a server does."""
    count, rest = command.split(b"\r\n", 1)
    parts = []
    for _ in range(int(count[1:])):
        size, rest = rest.split(b"\r\n", 1)
        n = int(size[1:])
        parts.append(rest[:n])
        rest = rest[n + 2 :]
    assert rest == b""
    return parts


@given(steps=steps)
def test_the_command_names_what_was_put_and_not_removed(steps: list[tuple[str, bytes, int]]) -> None:
    streams, expected = ReadSet(), dict[bytes, bytes]()
    for what, key, n in steps:
        if what == "put":
            streams.put(key, b"%d-0" % n)
            expected[key] = b"%d-0" % n
        else:
            streams.remove(key)
            expected.pop(key, None)
        head = [b"XREAD", b"COUNT", b"256", b"BLOCK", b"2000", b"STREAMS"]
        assert parsed(streams.command()) == [*head, *expected, *expected.values()]
        assert streams.positions() == expected
        assert len(streams) == len(expected)


def test_positions_are_those_of_the_moment() -> None:
    streams = ReadSet()
    streams.put(b"a", b"1-0")
    before = streams.positions()
    streams.put(b"a", b"2-0")
    assert before == {b"a": b"1-0"}
    assert streams.position(b"a") == b"2-0"
    assert streams.position(b"b") is None
    assert b"a" in streams


async def test_a_read_waits_for_an_entry_and_gives_it(real_broker: Broker) -> None:
    streams = ReadSet()
    streams.put(b"sb:{00}:s:events", b"0")
    connection = BlockingConnection(real_broker.connect_blocking, "sb:{00}:s:events")
    task = asyncio.create_task(connection.read(streams.command()))
    real_broker.writer.add("sb:{00}:s:events", b"hello", maxlen=9)
    ((key, ((_, fields),)),) = await asyncio.wait_for(task, 10)
    assert (key, fields) == (b"sb:{00}:s:events", [b"m", b"hello"])
    await connection.aclose()


async def test_an_answer_that_is_an_error_is_raised(real_broker: Broker) -> None:
    await real_broker.client.set("sb:{00}:text", "x")
    streams = ReadSet()
    streams.put(b"sb:{00}:text", b"0")
    connection = BlockingConnection(real_broker.connect_blocking, "sb:{00}:text")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await connection.read(streams.command())
    await connection.aclose()


async def test_it_can_be_closed_while_it_waits(real_broker: Broker) -> None:
    streams = ReadSet()
    streams.put(b"sb:{00}:s:events", b"0")
    connection = BlockingConnection(real_broker.connect_blocking, "sb:{00}:s:events")
    task = asyncio.create_task(connection.read(streams.command()))
    async with asyncio.timeout(10):
        while connection._connection is None:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await connection.aclose()
