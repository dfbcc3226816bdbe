"""A real Redis Cluster of three masters on this machine, for tests; leaves none of it behind."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import redis

from shared.errors import BrokerError
from shared.redis_server import RedisServer, free_port

N_SLOTS = 16_384
FORM_LIMIT_S = 20.0


class ClusterNode(RedisServer):
    """One cluster-enabled server. Its slots are kept in its folder, so it may be killed and started again."""

    def __init__(self) -> None:
        super().__init__()
        self.bus_port = free_port()

    def start(self, extra: tuple[str, ...] = ()) -> ClusterNode:
        super().start(
            (
                *("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port)),
                *("--cluster-announce-ip", "127.0.0.1", "--cluster-config-file", "nodes.conf"),
                *("--cluster-require-full-coverage", "no", "--cluster-node-timeout", "2000"),
                *extra,
            )
        )
        return self


class ClusterServers:
    """Cluster-enabled servers that share the slots evenly. Use as a context."""

    def __init__(self, n_nodes: int = 3) -> None:
        self._n_nodes = n_nodes
        self._stack = ExitStack()
        self.nodes: list[ClusterNode] = []

    @property
    def url(self) -> str:
        """redis+cluster:// URL of the first node."""
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port}"

    def __enter__(self) -> ClusterServers:
        with ExitStack() as stack:
            for _ in range(self._n_nodes):
                node = ClusterNode()
                stack.callback(node.stop)
                node.start()
                self.nodes.append(node)
            self._form()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _form(self) -> None:
        """Give each node its slots, have them meet, and wait until each sees a whole cluster."""
        share = -(-N_SLOTS // self._n_nodes)
        clients: list[Any] = [redis.Redis(port=node.port, socket_timeout=5) for node in self.nodes]
        try:
            for index, client in enumerate(clients):
                first, last = index * share, min((index + 1) * share, N_SLOTS) - 1
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self.nodes[0].bus_port)
            deadline = time.monotonic() + FORM_LIMIT_S
            while not all(self._whole(client) for client in clients):
                if time.monotonic() > deadline:
                    raise BrokerError("the cluster's nodes did not find each other")
                time.sleep(0.02)  # the nodes gossip; nothing tells when they are done
        finally:
            for client in clients:
                client.close()

    def _whole(self, client: Any) -> bool:
        raw = client.execute_command("CLUSTER", "INFO")
        info = raw if isinstance(raw, dict) else dict(line.split(":") for line in raw.decode().split())
        return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == self._n_nodes
