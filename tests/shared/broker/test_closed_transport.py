"""A connection that the other side closed is a lost connection, whatever the event loop calls it."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio.connection import Connection
from redis.exceptions import ConnectionError as LostConnection

from shared.broker import closed_transport
from shared.broker.connection import TRANSIENT


class Writer:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def writelines(self, _: Any) -> None:
        raise self.error

    def close(self) -> None:
        pass


def connection(error: Exception) -> Connection:
    closed_transport.install()
    made = Connection()
    made._reader, made._writer = object(), Writer(error)  # type: ignore[assignment]
    return made


async def test_what_uvloop_says_of_a_closed_transport_can_be_retried() -> None:
    error = RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
    with pytest.raises(LostConnection, match="was closed") as raised:
        await connection(error).send_packed_command([b"PING"], check_health=False)
    assert isinstance(raised.value, TRANSIENT)


async def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await connection(RuntimeError("a fault of ours")).send_packed_command([b"PING"], check_health=False)
