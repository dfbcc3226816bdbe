"""The door to Redis Streams: one connection set, one coalescing writer and one multiplexed reader per process."""

from __future__ import annotations

from shared.broker.broker import Broker
from shared.broker.connection import RedisClient, connect, is_cluster
from shared.broker.reader import StreamReader
from shared.broker.writer import StreamWriter

__all__ = ["Broker", "RedisClient", "StreamReader", "StreamWriter", "connect", "is_cluster"]
