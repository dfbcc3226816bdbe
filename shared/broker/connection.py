"""Opens connections to Redis, a Cluster or the master that Sentinels name, with time limits on every call."""

from __future__ import annotations

from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from shared.broker import closed_transport
from shared.broker.sentinel import connect_to_master, is_sentinel
from shared.errors import ConfigError

closed_transport.install()

# redis-py's annotations mix the answers of its blocking and its asynchronous client; the doors that call it
# give each value its type.
RedisClient: TypeAlias = Any

CALL_TIMEOUT_S = 2.0
"""How long a call that does not block may take."""

TRANSIENT = (RedisError, RedisClusterException, OSError, TimeoutError)
"""What a lost or busy Redis raises; callers retry these, and nothing else. A Cluster's own errors are no RedisError."""


def is_cluster(url: str) -> bool:
    """True for redis+cluster:// and rediss+cluster:// URLs."""
    return "+cluster://" in url


def connect(url: str, *, call_timeout_s: float | None = CALL_TIMEOUT_S) -> RedisClient:
    """Return a client for `url`; it connects at its first call. `call_timeout_s` None is for blocking reads.

    Raises ConfigError for what is no URL of a Redis.
    """
    limits: dict[str, Any] = {"socket_timeout": call_timeout_s, "socket_connect_timeout": CALL_TIMEOUT_S}
    try:
        if is_sentinel(url):
            return connect_to_master(url, **limits)
        kind = RedisCluster if is_cluster(url) else Redis
        return kind.from_url(url.replace("+cluster", ""), **limits)
    except (RedisError, ValueError) as error:
        raise ConfigError(f"cannot use the Redis URL: {error}") from error


async def node_of(client: RedisClient, key: str) -> dict[str, Any]:
    """Return the keyword that sends a raw command to the key's node; empty where there is one Redis only.

    Without it a Cluster client asks the server where the keys stand in the command, each time.
    """
    if isinstance(client, RedisCluster):
        await client.initialize()  # knows no node before its first call; at once if it does
        return {"target_nodes": client.get_node_from_key(key)}
    return {}
