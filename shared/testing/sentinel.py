"""A real Redis master with a replica and three sentinels on this machine, for tests; leaves none of it behind."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import redis

from shared.errors import BrokerError
from shared.redis_server import RedisServer, find_redis_binary

SERVICE = "splitbrain"
N_SENTINELS = 3
FORM_LIMIT_S = 15.0

DOWN_AFTER_MS = 400
"""Without an answer for so long a server is taken for dead. In earnest: seconds."""

FAILOVER_LIMIT_MS = 1_500
"""A promotion that was not seen within it is given up (replicas are asked once a second then), and a vote that nobody
won is held again after twice as long."""

_QUICK = {"info-period": 200, "ask-period": 100, "publish-period": 200}
"""Milliseconds between what sentinels ask and tell (10 s, 1 s, 2 s by default): they know each other at once. Not the
ping's: a replica whose last answer is five of its periods old is none to promote."""


class _Server(RedisServer):
    """A server that is always started with the same options of its own."""

    def __init__(self, options: tuple[str, ...]) -> None:
        super().__init__()
        self._options = options

    def start(self, extra: tuple[str, ...] = ()) -> RedisServer:
        # Without the last one a master that is to end waits for a replica that is gone.
        return super().start((*self._options, *extra, "--shutdown-timeout", "0"))


class SentinelNode(RedisServer):
    """One sentinel that watches the master on `master_port`. It keeps what it knows in its folder."""

    def __init__(self, master_port: int) -> None:
        super().__init__()
        self._master_port = master_port

    def start(self, extra: tuple[str, ...] = ()) -> SentinelNode:
        lines = (
            *(f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", "daemonize no"),
            f"sentinel monitor {SERVICE} 127.0.0.1 {self._master_port} {N_SENTINELS // 2 + 1}",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} {FAILOVER_LIMIT_MS}",
        )
        path = self.folder / "sentinel.conf"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._launch([str(find_redis_binary()), str(path), "--sentinel", *extra])
        return self


class SentinelServers:
    """A master, a replica that has all of its data, and the sentinels that watch them. Use as a context."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.sentinels: list[SentinelNode] = []

    @property
    def url(self) -> str:
        """redis+sentinel:// URL with all sentinels."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    def __enter__(self) -> SentinelServers:
        with ExitStack() as stack:
            # One after the other: a port is free for sure only until the next one is looked for.
            self.master = stack.enter_context(_Server(("--repl-diskless-sync-delay", "0")))
            self.replica = stack.enter_context(_Server(("--replicaof", "127.0.0.1", str(self.master.port))))
            for _ in range(N_SENTINELS):
                node = SentinelNode(self.master.port)
                stack.enter_context(node)
                self.sentinels.append(node)
            self._form()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _form(self) -> None:
        """Wait until the replica is in step and each sentinel knows it and the others."""
        clients: list[Any] = [redis.Redis(port=node.port, socket_timeout=5) for node in self.sentinels]
        try:
            for client in clients:
                for name, value in _QUICK.items():
                    client.execute_command("SENTINEL", "DEBUG", name, value)
            deadline = time.monotonic() + FORM_LIMIT_S
            while not all(_knows_all(client) for client in clients):
                if time.monotonic() > deadline:
                    raise BrokerError("the sentinels did not find each other and the replica")
                time.sleep(0.02)  # the sentinels gossip; nothing tells when they are done
        finally:
            for client in clients:
                client.close()


def _knows_all(client: Any) -> bool:
    about = client.sentinel_master(SERVICE)
    replicas = client.sentinel_slaves(SERVICE)
    in_step = any(replica["master-link-status"] == "ok" for replica in replicas)
    return about["num-other-sentinels"] == N_SENTINELS - 1 and in_step and not about["is_sdown"]
