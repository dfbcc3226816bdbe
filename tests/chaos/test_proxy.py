"""The proxy's faults are those of a network: what is sent in a partition comes late and is not lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.chaos.proxy import TcpProxy


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1024):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def behind_proxy() -> AsyncIterator[TcpProxy]:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    proxy = TcpProxy(server.sockets[0].getsockname()[1])
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.aclose()
        server.close()


@asynccontextmanager
async def connected(proxy: TcpProxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_what_is_sent_in_a_partition_arrives_when_it_is_over() -> None:
    async with behind_proxy() as proxy, connected(proxy) as (reader, writer):
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        proxy.partition()
        writer.write(b"two")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.readexactly(3)
        proxy.heal()
        assert await reader.readexactly(3) == b"two"


async def test_a_delay_holds_for_each_direction() -> None:
    async with behind_proxy() as proxy, connected(proxy) as (reader, writer):
        proxy.delay_s = 0.05
        began_s = time.monotonic()
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        assert time.monotonic() - began_s >= 0.1


async def test_a_cut_breaks_what_is_open_and_nothing_else() -> None:
    async with behind_proxy() as proxy, connected(proxy) as (reader, writer):
        writer.write(b"one")
        await reader.readexactly(3)
        assert proxy.cut() == 1
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        async with connected(proxy) as (again, out):
            out.write(b"two")
            assert await again.readexactly(3) == b"two"
