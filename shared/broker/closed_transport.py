"""Makes redis-py say "connection lost" where uvloop says RuntimeError.

When the other side has closed a connection that redis-py is just opening, uvloop raises "unable to perform operation
on <TCPTransport closed=True ...>; the handler is closed", and redis-py 5.3.1 hands that on. It is no error that any
caller retries, so a process ended because a proxy or a restarting Redis accepted and closed. All kinds of
connection (TCP, TLS, Cluster, Sentinel) send through one method; that is where it is mended.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as LostConnection

_send = AbstractConnection.send_packed_command


async def _send_or_lose(self: AbstractConnection, command: Any, check_health: bool = True) -> None:
    try:
        await _send(self, command, check_health)
    except RuntimeError as error:
        if "closed" not in str(error):
            raise
        raise LostConnection(f"the connection was closed: {error}") from error


def install() -> None:
    """Have all connections of this process behave so. Idempotent."""
    AbstractConnection.send_packed_command = _send_or_lose  # type: ignore[method-assign]
