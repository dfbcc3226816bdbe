"""The whole product as real processes on a real Redis, each behind a proxy of its own, ready to be harmed."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from redis.asyncio import Redis

from shared.broker.connection import TRANSIENT
from shared.leases import GROUP
from shared.redis_server import RedisServer, free_port
from shared.streams import request_stream
from tests.chaos.client import client_socket
from tests.chaos.clocks import ClockedRedis, WallClock
from tests.chaos.process import ServiceProcess
from tests.chaos.proxy import TcpProxy

STREAMS = {
    "voice": request_stream("voice", "echo"),
    "coach": request_stream("coach"),
    "evaluator": request_stream("evaluator"),
}
"""Request stream of each role that holds leases."""


SUPERVISE_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """How many processes there are, and the times that they are given (seconds).

    `voices` serve the echo engine, `cascades` the cascade: both are of the role `voice`.
    """

    edges: int = 2
    voices: int = 2
    cascades: int = 0
    coaches: int = 2
    evaluators: int = 2
    slots: int = 16
    cascade_slots: int = 4
    lease_s: float = 1.0
    retention_s: int = 10
    resume_s: float = 15.0
    clocks: bool = False
    """Wall clocks can be set: needs libfaketime, and costs each process 4 us a look at its clock."""

    def labels(self) -> list[tuple[str, str]]:
        """Return (role, label) of each process; a label is a name and a number."""
        counts = {"edge": self.edges, "voice": self.voices, "coach": self.coaches, "evaluator": self.evaluators}
        labels = [(role, f"{role}-{number}") for role, count in counts.items() for number in range(1, count + 1)]
        return [*labels, *(("voice", f"cascade-{number}") for number in range(1, self.cascades + 1))]


class World:
    """Use as a context. Everything in it ends with the block, and with this process."""

    def __init__(self, plan: Plan | None = None) -> None:
        self.plan = plan or Plan()
        self.folder = Path(tempfile.mkdtemp(prefix="splitbrain-chaos-"))
        self.clocks: dict[str, WallClock] = {}
        self.server = (
            ClockedRedis(self.folder, self._clock("redis"))
            if self.plan.clocks
            else RedisServer(append_only=True, folder=self.folder)
        )
        self.processes: dict[str, ServiceProcess] = {}
        self.proxies: dict[str, TcpProxy] = {}
        self.edges: list[str] = []
        self.http: aiohttp.ClientSession
        self.redis: Any = None
        self._deaths: list[str] = []
        self._supervisor: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.server.start()
        self.redis = Redis.from_url(self.server.url)
        connector = aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=client_socket)
        self.http = aiohttp.ClientSession(connector=connector)
        try:
            for role, label in self.plan.labels():
                await self._add(role, label)
            await asyncio.gather(*(process.start() for process in self.processes.values()))
            await asyncio.gather(*(process.wait_ready(self.http) for process in self.processes.values()))
        except BaseException:
            await self._close()
            raise
        self._supervisor = asyncio.create_task(self._supervise(), name="supervisor")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        if self._supervisor:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        for process in self.processes.values():
            process.thaw()
        await asyncio.gather(*(process.kill() for process in self.processes.values()))
        await asyncio.gather(*(proxy.aclose() for proxy in self.proxies.values()))
        await self.http.close()
        await self.redis.aclose()
        self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _add(self, role: str, label: str) -> None:
        proxy = self.proxies[label] = TcpProxy(self.server.port)
        await proxy.start()
        environment = {**self._shared(proxy), **(self._cascade() if label.startswith("cascade") else self._own(role))}
        if self.plan.clocks:
            environment |= self._clock(label).environment
        self.processes[label] = ServiceProcess(label, role, environment, self.folder)

    def _clock(self, label: str) -> WallClock:
        clock = self.clocks[label] = WallClock(self.folder / f"{label}.clock")
        return clock

    async def redis_wall_s(self) -> float | None:
        """Return Redis's wall clock in seconds since 1970; None if it does not answer."""
        with suppress(*TRANSIENT):
            seconds, microseconds = await self.redis.time()
            return float(seconds) + microseconds / 1e6
        return None

    def _shared(self, proxy: TcpProxy) -> dict[str, str]:
        return {
            "SPLITBRAIN_REDIS_URL": f"redis://127.0.0.1:{proxy.port}/0",
            "SPLITBRAIN_LEASE_S": str(self.plan.lease_s),
            "SPLITBRAIN_RETENTION_S": str(self.plan.retention_s),
            "SPLITBRAIN_RETENTION_WITHOUT_CONSENT_S": str(self.plan.retention_s),
            "SPLITBRAIN_LOG_LEVEL": "INFO",
            "SPLITBRAIN_LOG_FORMAT": "text",
        }

    def _cascade(self) -> dict[str, str]:
        return {
            "SPLITBRAIN_VOICE_ENGINES": "cascade",
            "SPLITBRAIN_VOICE_CASCADE_SLOTS": str(self.plan.cascade_slots),
            "SPLITBRAIN_VOICE_LANGUAGES": "en",
        }

    def _own(self, role: str) -> dict[str, str]:
        if role == "voice":
            slots = str(self.plan.slots)
            return {
                "SPLITBRAIN_VOICE_ENGINES": "echo",
                "SPLITBRAIN_VOICE_LISTENER": "off",
                "SPLITBRAIN_VOICE_ECHO_SLOTS": slots,
            }
        if role == "evaluator":
            return {"SPLITBRAIN_EVALUATOR_JOBS_DELAY_S": "0.5"}
        if role != "edge":
            return {}
        port = free_port()
        self.edges.append(f"http://127.0.0.1:{port}")
        return {
            "SPLITBRAIN_EDGE_PORT": str(port),
            "SPLITBRAIN_EDGE_ENGINES": "echo,cascade" if self.plan.cascades else "echo",
            "SPLITBRAIN_EDGE_RESUME_S": str(self.plan.resume_s),
            "SPLITBRAIN_EDGE_MAX_PER_USER": "1000",
            "SPLITBRAIN_EDGE_MAX_PER_ADDRESS": "1000",
            "SPLITBRAIN_EDGE_NEW_PER_MINUTE": "100000",
        }

    def of_role(self, role: str) -> list[ServiceProcess]:
        """Return the role's processes by label."""
        return [process for process in self.processes.values() if process.role == role]

    async def busiest(self, role: str, clients_at: Counter[int]) -> list[ServiceProcess]:
        """Return the role's processes that are up, the one that serves most sessions first.

        `clients_at` counts the clients by index of their edge: an edge's sessions are the sockets that it holds.
        """
        processes = [process for process in self.of_role(role) if process.pid and process.ready]
        if role == "edge":
            served = {process.label: clients_at[index] for index, process in enumerate(self.of_role(role))}
        else:
            pending = []
            with suppress(*TRANSIENT):  # where Redis is away, nobody is known to be busier than another
                pending = await self.redis.xpending_range(STREAMS[role], GROUP, min="-", max="+", count=1000)
            by_pid = Counter(int(entry["consumer"].rpartition(b"-")[2]) for entry in pending)
            served = {process.label: by_pid[process.pid] for process in processes}
        return sorted(processes, key=lambda process: -served[process.label])

    async def restart(self, process: ServiceProcess) -> None:
        """Start a process that a fault has ended, as its supervisor would, and wait until it is ready.

        Where it dies before that, `_supervise` sees it and starts it again.
        """
        await process.start()
        with suppress(RuntimeError, TimeoutError):
            await process.wait_ready(self.http)

    async def engines(self, edge: int = 0) -> dict[str, Any]:
        """Return what an edge says of the echo engine: `slots`, `free`, `available`."""
        async with asyncio.timeout(5), self.http.get(f"{self.edges[edge]}/api/engines") as answer:
            listed = await answer.json()
        return next(engine for engine in listed if engine["id"] == "echo")

    def descriptors(self) -> dict[str, tuple[int, int]]:
        """Return label -> (process id, open files and sockets)."""
        return {label: (process.pid, process.n_descriptors()) for label, process in self.processes.items()}

    async def _supervise(self) -> None:
        """Start again what ended without being asked to, and keep its last words for `take_deaths`."""
        while True:
            for process in self.processes.values():
                if not process.pid and not process.expected_down:
                    self._deaths.append(f"{process.label} ended with {process.exit_code}: {process.last_lines()}")
                    process.expected_down = True
                    await self.restart(process)
            await asyncio.sleep(SUPERVISE_EVERY_S)  # the supervisor's own wait

    def take_deaths(self) -> list[str]:
        """Return what ended without being asked to since the last call, with its last lines."""
        deaths, self._deaths = self._deaths, []
        return deaths
